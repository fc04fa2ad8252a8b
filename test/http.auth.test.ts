import { afterEach, describe, expect, it, vi } from 'vitest';
import { bySecret, reply } from './harness/token-vendor.ts';
import { ask, clientOf, connectionTo, failureOf, list, openTokenWorld, signal } from './harness/token-workers.ts';
import { until } from './harness/until.ts';

const { world, startVendor, worker, rowsOf } = await openTokenWorld();

afterEach(() => void vi.useRealTimers());

describe('one refresher at a time', () => {
  it('20 callers over 3 workers: one refresh, flushed before the first use', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    const stored: number[] = [];
    vendor.onList = async () => void stored.push((await rowsOf(connection))[0]!.version);
    const workers = [worker(), worker(), worker()];
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => list(clientOf(workers[i % 3]!.tokens, connection).client)),
    );
    expect(vendor).toMatchObject({ given: 1, refused: 0, lists: 20 });
    expect(answers.map((a) => a.data)).toEqual(Array(20).fill({ rows: [{ id: 1 }] }));
    expect(stored, 'version in Postgres when the platform saw the token').toEqual(Array(20).fill(1));
    expect(await rowsOf(connection)).toMatchObject([{ version: 1, holder: null, openSince: null, refused: null }]);
  });

  it('20 callers hit by the same end of a token: one refresh, each call tried once more', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    const workers = [worker(), worker(), worker()];
    const clients = Array.from({ length: 20 }, (_, i) => clientOf(workers[i % 3]!.tokens, connection).client);
    await Promise.all(clients.map((client) => list(client)));
    vendor.expire();
    vendor.lists = 0;
    const answers = await Promise.all(clients.map((client) => list(client)));
    expect(answers.every((a) => (a.data as { rows: unknown[] }).rows.length === 1)).toBe(true);
    expect(vendor).toMatchObject({ given: 2, refused: 0 });
    expect(vendor.lists, 'one refused call each at most, then the good one').toBeLessThanOrEqual(40);
  });

  it('a pair that another worker stored is used without a refresh of ours', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    const first = worker();
    const token = await first.tokens.current(ask(connection), signal());
    await first.close();
    expect(await worker().tokens.current(ask(connection), signal())).toEqual(token);
    expect(vendor.given).toBe(1);
  });

  it('a token is replaced 300 s before its end, and no sooner', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    const { tokens } = worker();
    const begin = Date.now();
    vi.useFakeTimers({ toFake: ['Date'], now: begin });
    expect(await tokens.current(ask(connection), signal())).toEqual({ access: 'access-0-1', version: 1 });
    vi.setSystemTime(begin + 3_290_000);
    expect((await tokens.current(ask(connection), signal())).version).toBe(1);
    vi.setSystemTime(begin + 3_301_000);
    expect(await tokens.current(ask(connection), signal())).toEqual({ access: 'access-0-2', version: 2 });
    vendor.life = 100;
    vi.setSystemTime(begin + 7_000_000);
    expect((await tokens.current(ask(connection), signal())).version).toBe(3);
    vi.setSystemTime(begin + 7_040_000);
    expect((await tokens.current(ask(connection), signal())).version, 'the first half of a short life').toBe(3);
  });
});

describe('consent', () => {
  it('a refresh token that was used up: the sentence, no token in it, and one question over all workers', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    const { client } = clientOf(worker().tokens, connection);
    await list(client);
    const old = { ...connection, credential: JSON.stringify({ refreshToken: 'refresh-0-used' }) };
    const workers = [worker(), worker(), worker()];
    const errors = await Promise.all(
      Array.from({ length: 9 }, (_, i) => failureOf(list(clientOf(workers[i % 3]!.tokens, old).client))),
    );
    for (const { type, message } of errors) {
      expect(type).toBe('Unauthorized');
      expect(message).toContain('Vendor takes the refresh token no longer (100200102).');
      expect(message).toContain('npx syncline connect NAME --credential-env VARIABLE');
      expect(message).not.toContain('refresh-0');
    }
    expect(vendor.refused).toBe(1);
    await list(clientOf(worker().tokens, connection).client);
    expect(vendor.given, 'the pair of the consent before was not touched').toBe(1);
    expect(await rowsOf(connection)).toHaveLength(2);
  });

  it('no refresh token at all', async () => {
    const vendor = await startVendor();
    const { message } = await failureOf(worker().tokens.current(ask(connectionTo(vendor, {})), signal()));
    expect(message).toContain('the credential has no field "refreshToken"');
    expect(vendor.refused).toBe(0);
  });

  it('the pair stands sealed', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    await worker().tokens.current(ask(connection), signal());
    const [row] = await rowsOf(connection);
    expect(row!.pair.length).toBeGreaterThan(28);
    expect(row!.pair.toString('latin1')).not.toMatch(/access-|refresh-/);
    const { rows } = await world.pool.query('SELECT to_jsonb(t) - $1::text AS rest FROM syncline.tokens t', ['pair']);
    expect(JSON.stringify(rows)).not.toContain('refresh-0');
  });
});

describe('a token from a secret', () => {
  it('is asked for once by 3 workers, and again when it is refused', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor, { appSecret: 'app-secret' });
    const clients = [worker(), worker(), worker()].map((w) => clientOf(w.tokens, connection, bySecret).client);
    await Promise.all(clients.map((client) => list(client)));
    expect(vendor.given).toBe(1);
    vendor.expire();
    await Promise.all(clients.map((client) => list(client)));
    expect(vendor.given).toBe(2);
  });

  it('a wrong secret is shown to the platform once, not by every worker', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor, { appSecret: 'wrong-secret' });
    const workers = [worker(), worker(), worker()];
    const errors = await Promise.all(
      workers.map((w) => failureOf(w.tokens.current(ask(connection, bySecret), signal()))),
    );
    for (const { message } of errors) {
      expect(message).toContain('Vendor gives no token for this credential (100200102).');
      expect(message).not.toContain('wrong-secret');
    }
    expect(vendor.refused).toBe(1);
  });

  it('a token that is refused again when it is fresh ends the call', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor, { appSecret: 'app-secret' });
    vendor.list = (response) => reply(response, { code: 27, msg: 'never good' });
    const { message, type } = await failureOf(list(clientOf(worker().tokens, connection, bySecret).client));
    expect(type).toBe('Unauthorized');
    expect(message).toBe(
      `${vendor.url}/list refused the token it gave a moment ago (27). Give a valid credential: npx syncline connect NAME --credential-env VARIABLE`,
    );
    expect(vendor).toMatchObject({ given: 2, lists: 2 });
  });
});

describe('a call', () => {
  const prepared = async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor, { appSecret: 'app-secret' });
    return { vendor, ...clientOf(worker().tokens, connection, bySecret) };
  };

  it('takes the budget for each request, those for tokens included, and tells when it left', async () => {
    const { vendor, client, calls } = await prepared();
    const before = Date.now();
    const answer = await list(client);
    expect(calls.taken).toBe(2);
    expect(answer).toMatchObject({ data: { rows: [{ id: 1 }] }, body: { code: 0 }, bytes: 37 });
    expect(answer.requestedAt).toBeGreaterThanOrEqual(before);
    vendor.expire();
    await list(client);
    expect(calls.taken, 'the refused call, the token, the call again').toBe(5);
  });

  it.each([
    [7, 1_500, 'endpoint'],
    [8, undefined, 'platform'],
  ])('code %i tells the throttle and ends with RetryLater', async (code, waitMs, level) => {
    const { vendor, client, calls } = await prepared();
    vendor.list = (response) => reply(response, { code });
    const error = await failureOf(list(client));
    expect(error.name).toBe('RetryLater');
    expect(error.waitMs).toBe(waitMs ?? calls.refused[0]![2]);
    expect(calls.refused).toEqual([
      [
        expect.objectContaining({
          platform: 'vendor',
          lane: 'bulk',
          connectionRates: [{ requests: 10, perMs: 1000 }],
          endpoint: { name: 'list', rates: [] },
        }),
        level,
        error.waitMs,
        expect.stringContaining(`(${code})`),
      ],
    ]);
  });

  it('a busy platform is RetryLater and no fault of the rate', async () => {
    const { vendor, client, calls } = await prepared();
    vendor.list = (response) => reply(response, { code: 9 });
    expect(await failureOf(list(client))).toMatchObject({ name: 'RetryLater', waitMs: 700 });
    expect(calls.refused).toEqual([]);
  });

  it.each([
    [11, 'Forbidden', '/list: the connection may not read orders (11). Grant it that permission at the platform.'],
    [12, 'Unauthorized', '/list wants a person to consent again (12). Then store the fresh credential: npx syncline'],
    [14, 'BadAnswer', '/list refused the call for orders as too-big (14).'],
    [99, 'BadAnswer', '/list answered orders with a failure that its connector does not know (99).'],
  ])('code %i is %s', async (code, type, sentence) => {
    const { vendor, client } = await prepared();
    vendor.list = (response) => reply(response, { code, msg: 'of the platform' });
    const error = await failureOf(list(client));
    expect(error.type).toBe(type);
    expect(error.message).toContain(sentence);
    expect(error.message).not.toMatch(/query-value|access-|of the platform/);
    if (code === 14) expect(error).toMatchObject({ name: 'Refused', verdict: 'too-big', code: '14' });
  });

  it('an empty one has null for data', async () => {
    const { vendor, client } = await prepared();
    vendor.list = (response) => reply(response, { code: 13 });
    expect((await list(client)).data).toBeNull();
  });

  it('a platform that is away is Unavailable, and its address shows no query', async () => {
    const { vendor, client } = await prepared();
    vendor.list = (response) => void response.destroy();
    const error = await failureOf(list(client));
    expect(error.type).toBe('Unavailable');
    expect(error.message).toBe(`${vendor.url}/list did not answer (UND_ERR_SOCKET)`);
  });

  it('is aborted by its signal', async () => {
    const { vendor, client } = await prepared();
    vendor.list = () => undefined;
    const abort = new AbortController();
    const waiting = failureOf(list(client, abort.signal));
    await until('the call', async () => vendor.lists === 1);
    abort.abort(new Error('cancelled by the test'));
    expect((await waiting).message).toBe('cancelled by the test');
  });
});
