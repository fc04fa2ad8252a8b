import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Deps } from '../activities/deps.ts';
import { openTokens } from '../activities/http/auth.ts';
import { openThrottle } from '../activities/http/throttle.ts';
import { beginPass } from '../activities/platform/begin.ts';
import { readSlice } from '../activities/platform/slice.ts';
import { loadConnection } from '../db/connections.ts';
import { openListener } from '../db/listen.ts';
import type { Pass } from '../db/passes.ts';
import { kuaishou } from '../sandbox/kuaishou.ts';
import { memberId, memberRows, segmentMapping, segmentTables } from '../sandbox/segments.ts';
import { replayWindow } from '../workflows/index.ts';
import type { PlatformSyncResult } from '../workflows/platform.ts';
import { openShop, resultOf } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

/** Passes of a connection, oldest first; moments as ms since 1970. */
async function passesOf(connection: string) {
  const { rows } = await world.pool.query(
    `SELECT kind, verdict, extract(epoch FROM from_time)::float8 * 1000 AS "fromMs", extract(epoch FROM to_time)::float8 * 1000 AS "toMs",
       (SELECT sum(pages)::int FROM syncline.slices s WHERE s.pass_id = p.id) AS pages
     FROM syncline.passes p WHERE connection_id = $1 ORDER BY id`,
    [connection],
  );
  return rows as { kind: string; verdict: string | null; fromMs: number; toMs: number; pages: number | null }[];
}

async function watermarkOf(connection: string, stream: string): Promise<number> {
  const { rows } = await world.pool.query(
    'SELECT extract(epoch FROM watermark)::float8 * 1000 AS ms FROM syncline.streams WHERE connection_id = $1 AND stream = $2',
    [connection, stream],
  );
  return rows[0].ms;
}

test('a full pass that was terminated is gone on with by a plain run, to its own end; the next run reads on from there', async () => {
  const streams = ['orders'];
  const shop = await openShop(world, kuaishou, { rows: 500, latencyMs: 50 }, { parallel: 1 });
  await shop.sync({ streams });
  const run = await shop.start({ streams, mode: 'full' });
  await until('pages of the full pass', async () => ((await passesOf(shop.name)).at(-1)?.pages ?? 0) >= 2);
  await run.terminate('somebody lost patience');
  const cut = (await passesOf(shop.name)).at(-1);
  expect(cut).toMatchObject({ kind: 'full', verdict: null });
  // Behind the end of the open pass, and before the moment at which it is gone on with.
  const [order] = shop.source.lists.orders?.ids() ?? [];
  shop.source.lists.orders?.update(order as string, { note: 'paid later' }, (cut?.toMs ?? 0) + 1);

  expect(resultOf(await shop.sync({ streams }), 'orders')).toMatchObject({ outcome: 'whole', kind: 'full' });
  const passes = await passesOf(shop.name);
  expect(passes.map(({ verdict }) => verdict)).toEqual(['whole', 'whole']);
  expect(passes.at(-1)).toMatchObject({ fromMs: cut?.fromMs, toMs: cut?.toMs });
  expect(await watermarkOf(shop.name, 'orders')).toBe(cut?.toMs);
  expect(resultOf(await shop.sync({ streams }), 'orders')).toMatchObject({
    kind: 'incremental',
    written: 1,
    doubt: null,
  });
  await shop.expectSame('orders');
});

test('one that was cut off stands while ranges are read again, also by a run that is terminated, and is gone on with', async () => {
  const streams = ['orders'];
  const shop = await openShop(world, kuaishou, { rows: 500, latencyMs: 50 }, { parallel: 1 });
  await shop.sync({ streams });
  const run = await shop.start({ streams, mode: 'full' });
  await until('pages of the full pass', async () => ((await passesOf(shop.name)).at(-1)?.pages ?? 0) >= 2);
  await run.terminate('somebody lost patience');
  const [day, to] = [86_400_000, new Date().toISOString()];
  const range = { stream: 'orders', from: new Date(Date.now() - day).toISOString(), to };
  expect(await shop.replay(range)).toMatchObject({ outcome: 'whole', kind: 'replay' });
  expect(await shop.replay({ stream: 'orders', rejects: true })).toMatchObject({ tried: 0 });
  shop.source.setFaults([{ type: 'hang' }]);
  const asked = shop.source.requests.total;
  const args: [unknown] = [{ connection: shop.name, ...range }];
  const { taskQueue } = world.config;
  const left = await world.client.workflow.start(replayWindow, { args, taskQueue, workflowId: `left-${taskQueue}` });
  await until('a request that hangs', async () => shop.source.requests.total > asked);
  await left.terminate();
  shop.source.setFaults([]);

  expect(resultOf(await shop.sync({ streams }), 'orders')).toMatchObject({ outcome: 'whole', kind: 'full' });
  expect((await passesOf(shop.name)).map(({ kind, verdict }) => `${kind} ${verdict}`)).toEqual([
    'full whole',
    'full whole',
    'replay whole',
    'replay whole',
    'replay dropped',
  ]);
  await shop.expectSame('orders');
});

test('the deletions that a cut-off full pass was to look for are found by a plain run', async () => {
  const members = 4_500;
  const { databaseUrl } = world.servers;
  for (const { text, values } of [...segmentTables('postgres'), ...memberRows({ dialect: 'postgres', members })])
    await world.pool.query(text, values);
  const connection = await world.connect({
    platform: 'database',
    baseUrl: 'https://database.invalid',
    credential: JSON.stringify({ databaseUrl }),
    // No overlap that could hide a watermark too far on.
    options: { ...segmentMapping('postgres'), overlapSeconds: 0 },
  });
  const sync = async (input: Record<string, unknown> = {}) => {
    const result = await world.client.workflow.execute('segmentSync', {
      args: [{ connection, streams: ['users'], ...input }],
      taskQueue: world.config.taskQueue,
      workflowId: `test-${randomBytes(8).toString('hex')}`,
    });
    return resultOf(result as PlatformSyncResult, 'users');
  };
  const difference = async () => {
    const { rows } = await world.pool.query(
      `SELECT coalesce(m.id::text, u.id) AS id FROM crm.members m
       FULL JOIN (SELECT id, data->>'city' AS city FROM audience.users WHERE connection_id = $1 AND deleted_at IS NULL) u ON u.id = m.id::text
       WHERE m.city IS DISTINCT FROM u.city ORDER BY 1`,
      [connection],
    );
    return rows.map(({ id }) => id);
  };
  const change = (...numbers: number[]) =>
    world.pool.query(`UPDATE crm.members SET city = 'Elsewhere', updated_at = clock_timestamp() WHERE id = ANY ($1)`, [
      numbers.map(memberId),
    ]);
  expect(await sync()).toMatchObject({ kind: 'full', written: members });

  const pass = await cutOff(connection, 'users', 2);
  expect((await passesOf(connection)).at(-1)).toMatchObject({ kind: 'full', verdict: null, pages: 2 });
  await world.pool.query(`DELETE FROM crm.members WHERE id BETWEEN ${memberId(4_000)} AND ${memberId(4_099)}`);
  // One that the pass has read, one that it has yet to read.
  await change(5, 3_000);

  expect(await sync()).toMatchObject({ outcome: 'whole', kind: 'full', rows: members - 100, written: 1, deleted: 100 });
  expect((await passesOf(connection)).map(({ verdict }) => verdict)).toEqual(['whole', 'whole']);
  expect(Math.floor(await watermarkOf(connection, 'users'))).toBe(pass.startedMs);
  expect(await difference()).toEqual([memberId(5)]);
  expect(await sync()).toMatchObject({ outcome: 'whole', kind: 'incremental', written: 1, deleted: 0 });
  expect(await difference()).toEqual([]);
});

/** Reads pages of a full pass for a run that Temporal then knows nothing of. */
async function cutOff(connection: string, stream: string, pages: number): Promise<Pass> {
  const { pool, key } = world;
  const [throttle, tokens] = [openThrottle(pool), openTokens({ pool, key })];
  const listener = openListener(world.servers.databaseUrl);
  const load = (id: string) => loadConnection(pool, key, id);
  const deps: Deps = { pool, listener, throttle, tokens, connection: load, isOpen: async () => false };
  let asked = 0;
  const call = {
    signal: new AbortController().signal,
    attempt: 1,
    before: {},
    shouldEnd: () => ++asked >= pages,
    report: () => undefined,
  };
  const run = { workflowId: 'lost', runId: '1' };
  const begun = await beginPass(deps, { connection, stream, mode: 'full', replay: null, ...run }, call);
  if ('heldBy' in begun) throw new Error('somebody holds the stream');
  expect(await readSlice(deps, { pass: begun.pass, no: 1 }, call)).toMatchObject({ done: false });
  await Promise.all([throttle.close(), tokens.close()]);
  return begun.pass;
}

test('one that cannot come to its end keeps no plain run from reading what changed', async () => {
  const streams = ['orders'];
  const shop = await openShop(world, kuaishou, { rows: 500, latencyMs: 50 }, { parallel: 1 });
  await shop.sync({ streams });
  const run = await shop.start({ streams, mode: 'full' });
  await until('a page of the full pass', async () => ((await passesOf(shop.name)).at(-1)?.pages ?? 0) >= 1);
  await run.terminate('somebody lost patience');
  await world.pool.query(
    `UPDATE syncline.passes SET started_at = started_at - interval '25 hours' WHERE connection_id = $1 AND ended_at IS NULL`,
    [shop.name],
  );
  expect(resultOf(await shop.sync({ streams }), 'orders')).toMatchObject({ outcome: 'whole', kind: 'incremental' });
  expect((await passesOf(shop.name)).map(({ verdict }) => verdict)).toEqual(['whole', 'dropped', 'whole']);
});
