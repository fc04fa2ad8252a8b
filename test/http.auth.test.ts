import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openTokens, type Tokens, type TokensOptions } from '../activities/http/auth.ts';
import { type Answer, openClient, type PlatformClient } from '../activities/http/client.ts';
import { settingsOf } from '../activities/http/settings.ts';
import type { Throttle } from '../activities/http/throttle.ts';
import type { Connector, VerdictRule } from '../connectors/shape.ts';
import { createPool } from '../db/client.ts';
import type { Connection } from '../db/connections.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const signal = () => new AbortController().signal;

/** A platform that changes both tokens with each refresh and kills the old pair with its answer. */
async function startVendor() {
  let pair = 0;
  let consents = 0;
  const state = {
    url: '',
    /** Refresh token of the first consent. */
    refreshToken: 'refresh-0-0',
    /** Calls for a token that gave one, and those that were refused. */
    given: 0,
    refused: 0,
    lists: 0,
    /** Life of an access token, seconds. */
    life: 3600,
    /** True: an old refresh token gives another pair. */
    forgiving: false,
    /** Awaited after the pair has changed and before the answer leaves. */
    beforeAnswer: async (_response: ServerResponse): Promise<void> => undefined,
    /** Awaited before a refusal leaves. */
    beforeRefusal: async (): Promise<void> => undefined,
    /** Awaited when a list is asked for with a token. */
    onList: async (_token: string): Promise<void> => undefined,
    /** Answers a list call instead of the list. */
    list: undefined as ((response: ServerResponse) => void) | undefined,
    consent: () => {
      consents += 1;
      pair = 0;
      return `refresh-${consents}-0`;
    },
    /** The current access token ends early. */
    expire: () => {
      expired = pair;
    },
  };
  let expired = -1;
  const access = () => `access-${consents}-${pair}`;

  async function token(body: URLSearchParams, response: ServerResponse) {
    const refresh = body.get('refresh_token');
    const obtained = refresh === null && body.get('secret') === 'app-secret';
    const rotated = refresh === `refresh-${consents}-${pair}` || (state.forgiving && refresh !== null);
    if (!obtained && !rotated) {
      state.refused += 1;
      await state.beforeRefusal();
      return reply(response, { code: 100200102, msg: `refreshToken.discarded ${refresh}` });
    }
    pair += 1;
    state.given += 1;
    const answer = { access: access(), refresh: `refresh-${consents}-${pair}`, life: state.life };
    await state.beforeAnswer(response);
    if (!response.destroyed) reply(response, answer);
  }

  async function list(query: URLSearchParams, response: ServerResponse) {
    state.lists += 1;
    const token = query.get('access_token') ?? '';
    if (token !== access() || expired === pair) return reply(response, { code: 27, msg: `invalid ${token}` });
    await state.onList(token);
    if (state.list) return state.list(response);
    reply(response, { code: 0, data: { rows: [{ id: 1 }] } });
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url!, 'http://x');
    if (url.pathname === '/token') await token(new URLSearchParams(await bodyOf(request)), response);
    else await list(url.searchParams, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  world.onClose(async () => {
    server.closeAllConnections();
    server.close();
  });
  return state;
}

type Vendor = Awaited<ReturnType<typeof startVendor>>;

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

function reply(response: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

const rules: VerdictRule[] = [
  { code: [100200102], verdict: 'consent', hint: 'Ask the merchant.' },
  { code: [27], verdict: 'token' },
  { code: [7], verdict: 'retry-after', waitMs: 1_500, level: 'endpoint' },
  { code: [8], verdict: 'quota', until: 'midnight', level: 'platform' },
  { code: [9], verdict: 'busy', waitMs: 700 },
  { code: [11], verdict: 'permission' },
  { code: [12], verdict: 'consent' },
  { code: [13], verdict: 'empty' },
  { code: [14], verdict: 'too-big' },
];

const answer = { access: 'access', refresh: 'refresh', expires: { path: 'life', unit: 's' }, lifeSeconds: 60 } as const;

const byConsent: Connector = {
  platform: 'vendor',
  title: 'Vendor',
  baseUrl: 'https://vendor.example.com',
  settings: { refreshToken: { secret: true, about: 'From the consent.' } },
  auth: {
    kind: 'token',
    refresh: { method: 'POST', path: '/token', in: 'form', params: { refresh_token: { token: 'refresh' } }, answer },
  },
  gateway: {
    path: '/{api}',
    method: 'GET',
    system: { in: 'query', params: { access_token: { token: 'access' } } },
    business: { in: 'query' },
  },
  envelope: { shapes: [{ ok: { path: 'code', is: [0] }, code: ['code'], text: ['msg'], data: 'data' }], rules },
  limits: { connection: [{ requests: 10, perMs: 1000 }] },
  streams: {},
  unconfirmed: [],
};

const bySecret: Connector = {
  ...byConsent,
  settings: { appSecret: { secret: true, about: 'Secret of the app.' } },
  auth: {
    kind: 'token',
    obtain: { method: 'POST', path: '/token', in: 'form', params: { secret: { secret: 'appSecret' } }, answer },
  },
};

let made = 0;
function connectionTo(
  vendor: Vendor,
  credential: Record<string, string> = { refreshToken: vendor.refreshToken },
): Connection {
  const id = `v${++made}`;
  const text = JSON.stringify(credential);
  return { id, no: made, tenant: id, platform: 'vendor', baseUrl: vendor.url, options: {}, credential: text };
}

/** A worker's own pool and tokens. */
function worker(options: Partial<TokensOptions> = {}) {
  const pool = createPool({ url: world.servers.databaseUrl, size: 3, name: 'syncline test worker' });
  const tokens = openTokens({ pool, key: world.key, ...options });
  const close = async () => {
    await tokens.close();
    await pool.end();
  };
  world.onClose(async () => (pool.ended ? undefined : close()));
  return { pool, tokens, close };
}

interface Calls {
  taken: number;
  refused: unknown[][];
}

function clientOf(
  tokens: Tokens,
  connection: Connection,
  connector = byConsent,
  calls: Calls = { taken: 0, refused: [] },
) {
  const throttle: Throttle = {
    take: async () => void calls.taken++,
    refused: async (...args) => void calls.refused.push(args),
    close: async () => undefined,
  };
  const client = openClient({ tokens, throttle }, connection, connector);
  return { client, calls };
}

function list(client: PlatformClient, aborted = signal()): Promise<Answer> {
  return client.call({
    call: { api: 'list', params: { q: 'query-value' } },
    params: {},
    stream: 'orders',
    signal: aborted,
  });
}

const ask = (connection: Connection, connector = byConsent) => ({
  connection,
  connector,
  settings: settingsOf(connection, connector),
  budget: async () => undefined,
});

async function rowsOf(connection: Connection) {
  const { rows } = await world.pool.query(
    'SELECT version, holder, pair, refused, open_since AS "openSince" FROM syncline.tokens WHERE connection_id = $1 ORDER BY asked_at',
    [connection.id],
  );
  return rows as {
    version: number;
    holder: string | null;
    pair: Buffer;
    refused: string | null;
    openSince: Date | null;
  }[];
}

async function failureOf(work: Promise<unknown>): Promise<Error & { type?: string; waitMs?: number; code?: string }> {
  return work.then(
    () => expect.fail('it should have failed'),
    (error: Error) => error,
  );
}

/** A promise that is kept from outside. */
function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

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

describe('a rotated pair is never lost', () => {
  it('a caller that is cancelled leaves; the pair is stored all the same', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    const { opened, open } = gate();
    vendor.beforeAnswer = () => opened;
    const { tokens } = worker();
    const abort = new AbortController();
    const waiting = failureOf(tokens.current(ask(connection), abort.signal));
    await until('the refresh', async () => vendor.given === 1);
    abort.abort(new Error('cancelled'));
    expect((await waiting).message).toBe('cancelled');
    open();
    await until('the pair', async () => (await rowsOf(connection))[0]?.version === 1);
    expect((await tokens.current(ask(connection), signal())).access).toBe('access-0-1');
  });

  it('closing waits until the answer that is under way is stored', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    const { opened, open } = gate();
    vendor.beforeAnswer = () => opened;
    const { tokens, close } = worker();
    const token = tokens.current(ask(connection), signal());
    await until('the refresh', async () => vendor.given === 1);
    const closed = close();
    open();
    await closed;
    expect(await rowsOf(connection)).toMatchObject([{ version: 1 }]);
    expect((await token).version).toBe(1);
  });

  it('a Postgres that is away when the answer comes gets the pair when it is back', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    const { opened, open } = gate();
    vendor.beforeAnswer = () => opened;
    const { tokens, pool } = worker();
    const token = tokens.current(ask(connection), signal());
    await until('the refresh', async () => vendor.given === 1);
    const connect = vi.spyOn(pool, 'connect').mockImplementation(() => Promise.reject(new Error('Postgres is away')));
    open();
    await until('two attempts', async () => connect.mock.calls.length >= 2);
    expect(await rowsOf(connection)).toMatchObject([{ version: 0, pair: null }]);
    connect.mockRestore();
    expect((await token).access).toBe('access-0-1');
    expect(await rowsOf(connection)).toMatchObject([{ version: 1 }]);
  });

  it('a holder that was slow and given up still stores the only pair that lives', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    const { opened, open } = gate();
    vendor.beforeAnswer = () => opened;
    const slow = worker({ heldMs: 200 }).tokens.current(ask(connection), signal());
    await until('the refresh', async () => vendor.given === 1);
    const { tokens } = worker();
    expect((await failureOf(tokens.current(ask(connection), signal()))).message).toContain('brought no answer to us');
    open();
    expect((await slow).access).toBe('access-0-1');
    expect(await tokens.current(ask(connection), signal())).toEqual(await slow);
    expect(vendor).toMatchObject({ given: 1, refused: 1 });
  });
});

describe('two holders, the first given up', () => {
  it('who is refused takes the pair that the slow one stored meanwhile', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    const [answered, refused] = [gate(), gate()];
    vendor.beforeAnswer = () => answered.opened;
    vendor.beforeRefusal = () => refused.opened;
    const slow = worker({ heldMs: 200 }).tokens.current(ask(connection), signal());
    await until('the refresh', async () => vendor.given === 1);
    const next = worker().tokens.current(ask(connection), signal());
    await until('the refusal', async () => vendor.refused === 1);
    answered.open();
    await slow;
    refused.open();
    expect(await next).toEqual({ access: 'access-0-1', version: 1 });
    expect(await rowsOf(connection)).toMatchObject([{ version: 1, refused: null }]);
  });

  it('the later pair stays when the slow one comes at last', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    vendor.forgiving = true;
    const { opened, open } = gate();
    vendor.beforeAnswer = () => (vendor.given === 1 ? opened : Promise.resolve());
    const slow = worker({ heldMs: 200 }).tokens.current(ask(connection), signal());
    await until('the refresh', async () => vendor.given === 1);
    expect((await worker().tokens.current(ask(connection), signal())).access).toBe('access-0-2');
    open();
    expect(await slow).toEqual({ access: 'access-0-2', version: 1 });
  });
});

describe('a pair that is lost', () => {
  it.each([
    ['the platform forgives: the old refresh token gives another pair', true],
    ['the platform does not: a person is told, with the command', false],
  ])('a worker is killed between answer and write; %s', async (_, forgiving) => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    vendor.forgiving = forgiving;
    await killedWhileAsking(vendor, connection);
    const { tokens } = worker({ heldMs: 1_000 });
    const next = tokens.current(ask(connection), signal());
    if (forgiving) {
      expect(await next).toEqual({ access: 'access-0-2', version: 1 });
      expect(await rowsOf(connection)).toMatchObject([{ version: 1, openSince: null }]);
      return;
    }
    const { type, message } = (await failureOf(next)) as Error & { type: string };
    expect(type).toBe('Unauthorized');
    expect(message).toMatch(
      /^A refresh that began at \d{4}-\S+Z brought no answer to us \(a worker ended or the network failed meanwhile\), and Vendor takes the refresh token no longer \(100200102\)\. Ask the merchant\. A person must consent again and put the fresh refresh token into the credential's field "refreshToken": npx syncline connect NAME --credential-env VARIABLE$/,
    );
    const again = await failureOf(worker().tokens.current(ask(connection), signal()));
    expect(again.message, 'another worker says the same without asking').toContain('brought no answer to us');
    expect(vendor.refused).toBe(1);
    const consented = { ...connection, credential: JSON.stringify({ refreshToken: vendor.consent() }) };
    expect((await tokens.current(ask(consented), signal())).access).toBe('access-1-1');
  });

  it('an answer cut by the network is Unavailable first, and told as lost when the old token is refused', async () => {
    const vendor = await startVendor();
    const connection = connectionTo(vendor);
    vendor.beforeAnswer = async (response) => void response.destroy();
    const { tokens } = worker();
    const cut = await failureOf(tokens.current(ask(connection), signal()));
    expect(cut.type).toBe('Unavailable');
    expect(cut.message).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/token did not answer \(UND_ERR_SOCKET\)$/);
    const lost = await failureOf(tokens.current(ask(connection), signal()));
    expect(lost.message).toContain('brought no answer to us');
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

/** Starts a worker process that asks for a token, and kills it when the platform has changed the pair and not answered yet. */
async function killedWhileAsking(vendor: Vendor, connection: Connection): Promise<void> {
  const { opened, open } = gate();
  vendor.beforeAnswer = () => opened;
  const from = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const code = `
    import { openTokens } from ${from('../activities/http/auth.ts')};
    import { settingsOf } from ${from('../activities/http/settings.ts')};
    import { createPool } from ${from('../db/client.ts')};
    const { url, key, connection, connector } = JSON.parse(process.argv[1]);
    const tokens = openTokens({ pool: createPool({ url }), key: Buffer.from(key, 'hex'), heldMs: 1000 });
    const ask = { connection, connector, settings: settingsOf(connection, connector), budget: async () => undefined };
    await tokens.current(ask, new AbortController().signal);`;
  const input = { url: world.servers.databaseUrl, key: world.key.toString('hex'), connection, connector: byConsent };
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', code, JSON.stringify(input)],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const ended = once(child, 'exit');
  await until('the refresh of the worker process', async () => vendor.given === 1);
  child.kill('SIGKILL');
  await ended;
  open();
  vendor.beforeAnswer = async () => undefined;
  expect(await rowsOf(connection)).toMatchObject([{ version: 0, pair: null }]);
}
