import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import type { Connection } from '../db/connections.ts';
import { byConsent, type Vendor } from './harness/token-vendor.ts';
import { ask, connectionTo, failureOf, gate, openTokenWorld, signal } from './harness/token-workers.ts';
import { until } from './harness/until.ts';

const { world, startVendor, worker, rowsOf } = await openTokenWorld();

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
