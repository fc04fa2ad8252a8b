import { describe, expect, inject, test } from 'vitest';
import type { Deps } from '../activities/deps.ts';
import { openTokens } from '../activities/http/auth.ts';
import { openThrottle } from '../activities/http/throttle.ts';
import { beginPass } from '../activities/platform/begin.ts';
import { readSlice } from '../activities/platform/slice.ts';
import type { Call } from '../activities/step.ts';
import { closePass } from '../db/close.ts';
import { loadConnection } from '../db/connections.ts';
import { openListener } from '../db/listen.ts';
import type { Pass } from '../db/passes.ts';
import { dingtalk } from '../sandbox/dingtalk.ts';
import { kuaishou } from '../sandbox/kuaishou.ts';
import type { Fixture } from '../sandbox/platform.ts';
import { breakOnce } from './harness/break-once.ts';
import { openShop, resultOf, type Shop } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { startWorkerProcess } from './harness/worker-process.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const comments = 'open.comment.list.get';
const streams = ['comments'];
/** 1,000 comments, 20 a page. */
const rows = 10_000;

/** Pages that are committed of the pass that is open. */
async function pagesOf({ name }: Shop): Promise<number> {
  const { rows: sums } = await world.pool.query(
    `SELECT coalesce(sum(s.pages), 0)::int AS n FROM syncline.slices s JOIN syncline.passes p ON p.id = s.pass_id
     WHERE p.connection_id = $1 AND p.ended_at IS NULL`,
    [name],
  );
  return sums[0].n;
}

async function passesOf({ name }: Shop): Promise<{ kind: string; verdict: string | null }[]> {
  const { rows: passes } = await world.pool.query(
    'SELECT kind, verdict FROM syncline.passes WHERE connection_id = $1 ORDER BY id',
    [name],
  );
  return passes;
}

const committed = (shop: Shop, pages: number) =>
  until(`${pages} pages committed`, async () => (await pagesOf(shop)) >= pages);

describe('a run that is terminated', () => {
  test('leaves its pass to the next one, which reads on behind the last committed page', async () => {
    const latencyMs = 40;
    const twin = await openShop(world, kuaishou, { rows, latencyMs });
    const quiet = resultOf(await twin.sync({ streams }), 'comments');
    const shop = await openShop(world, kuaishou, { rows, latencyMs });
    const run = await shop.start({ streams });
    await committed(shop, 15);
    await run.terminate('somebody lost patience');
    const result = resultOf(await shop.sync({ streams }), 'comments');
    expect(result).toMatchObject({ outcome: 'whole', kind: 'full', rows: quiet.rows, written: 1_000, doubt: null });
    expect(await passesOf(shop)).toEqual([{ kind: 'full', verdict: 'whole' }]);
    await shop.expectSame('comments');
    // What the terminated run had read and not committed: half a second, and what was on its way.
    expect(shop.source.requests.repeated - twin.source.requests.repeated).toBeLessThanOrEqual(1_000 / latencyMs);
    expect(quiet.requests, 'pages that it might have read again').toBeGreaterThan(2 * (1_000 / latencyMs));
  });

  test('leaves nothing to a run that asks for another kind', async () => {
    const shop = await openShop(world, kuaishou, { rows: 500, latencyMs: 50 }, { parallel: 1 });
    await shop.sync({ streams: ['orders'] });
    const run = await shop.start({ streams: ['orders'], mode: 'full' });
    await committed(shop, 2);
    await run.terminate();
    const next = await shop.sync({ streams: ['orders'], mode: 'incremental' });
    expect(resultOf(next, 'orders').kind).toBe('incremental');
    expect((await passesOf(shop)).map(({ verdict }) => verdict)).toEqual(['whole', 'dropped', 'whole']);
    await shop.expectSame('orders');
  });

  test('writes nothing more through a worker that was frozen with pages in its hands', async () => {
    const orders = 'open.order.cursor.list';
    // One window, and pages of 50: what it holds is less than a batch and younger than half a second.
    const since = new Date(Date.now() - 5 * 86_400_000).toISOString().slice(0, 10);
    const shop = await openShop(world, kuaishou, { rows: 3_000 }, { since, streams: ['orders'] });
    const taskQueue = `${world.config.taskQueue}-frozen`;
    const { servers, key } = world;
    const old = startWorkerProcess({ servers, key, taskQueue, bundle: inject('shared').bundle });
    world.onClose(() => old.kill());
    shop.source.setFaults([{ type: 'hang', api: orders, after: 5 }]);
    const run = await world.client.workflow.start('platformSync', {
      args: [{ connection: shop.name }],
      taskQueue,
      workflowId: `frozen-${taskQueue}`,
    });
    await until('a request that hangs', async () => shop.source.requests.byApi[orders]?.total === 6);
    expect(await pagesOf(shop), 'it holds pages that are not committed').toBeLessThan(5);
    old.freeze();
    await run.terminate();
    shop.source.setFaults([]);
    expect((await shop.sync()).outcome).toBe('whole');
    // Whatever it writes of its pages shows.
    await world.pool.query('DELETE FROM kuaishou.orders WHERE connection_id = $1', [shop.name]);
    const before = await everything(shop, 'orders');
    old.thaw();
    // It hears that its run is gone, tries to keep its pages, learns that another run has begun, and drains.
    await old.stop();
    expect(await everything(shop, 'orders')).toEqual(before);
  });
});

test('two calls that read one slice, since the first was given up: what one keeps the other does not undo', async () => {
  const shop = await openShop(world, kuaishou, { rows: 4_000 });
  const { pool, key } = world;
  const [throttle, tokens] = [openThrottle(pool), openTokens({ pool, key })];
  const connection = (id: string) => loadConnection(pool, key, id);
  // Never listens: it opens no connection.
  const listener = openListener(world.servers.databaseUrl);
  const parts = platformSteps({ pool, listener, throttle, tokens, connection, isOpen: async () => true });
  const hang = () => shop.source.setFaults([{ type: 'hang', api: comments, after: 3, times: 1 }]);
  const asked = (n: number) => until(`${n} requests`, async () => shop.source.requests.byApi[comments]?.total === n);
  const begun = await parts.begin(shop.name, 'comments');
  hang();
  const [givenUp, stop] = [new AbortController(), new AbortController()];
  const first = parts.read(begun, givenUp.signal);
  await asked(4);
  hang();
  const second = parts.read(begun, stop.signal);
  await asked(8);
  // Both hold the same three pages; the first keeps them, and the second must not count them as seen by nobody.
  givenUp.abort();
  await expect(first).rejects.toThrow();
  expect(await pagesOf(shop)).toBe(3);
  stop.abort();
  await expect(second).rejects.toThrow('Another call read on in slice 1: this one was given up');
  shop.source.setFaults([]);
  expect(await parts.read(begun, new AbortController().signal)).toMatchObject({ done: true, written: 400 });
  const result = resultOf(await shop.sync({ streams }), 'comments');
  expect(result).toMatchObject({ outcome: 'whole', written: 400, doubt: null });
  await shop.expectSame('comments');
  await Promise.all([throttle.close(), tokens.close()]);
});

/** Activities without Temporal. */
function platformSteps(deps: Deps) {
  const call = (signal: AbortSignal): Call => ({
    signal,
    attempt: 1,
    before: {},
    shouldEnd: () => false,
    report: () => undefined,
  });
  return {
    async begin(connection: string, stream: string): Promise<Pass> {
      const input = { connection, stream, mode: null, replay: null, workflowId: 'by hand', runId: '1' };
      const begun = await beginPass(deps, input, call(new AbortController().signal));
      if ('heldBy' in begun) throw new Error('somebody holds the stream');
      return begun.pass;
    },
    read: (pass: Pass, signal: AbortSignal) => readSlice(deps, { pass, no: 1 }, call(signal)),
  };
}

async function everything({ name }: Shop, stream: string): Promise<unknown[]> {
  const found = await Promise.all([
    world.pool.query(`SELECT * FROM kuaishou.${stream} WHERE connection_id = $1 ORDER BY id`, [name]),
    world.pool.query('SELECT * FROM syncline.streams WHERE connection_id = $1', [name]),
    world.pool.query('SELECT * FROM syncline.passes WHERE connection_id = $1 ORDER BY id', [name]),
    world.pool.query('SELECT * FROM syncline.rejects WHERE connection_id = $1', [name]),
  ]);
  return found.map((one) => one.rows);
}

describe('an answer that is lost', () => {
  test('with the end of a list: the last page is read again, and nothing else', async () => {
    const shop = await openShop(world, kuaishou, { rows: 1_000 });
    const happened = await breakOnce(world.pool, 'syncline.slices', 'UPDATE', 'NEW.done AND NEW.rows > 50');
    const result = await shop.sync({ streams: ['orders', 'comments', 'items'] });
    expect(result.outcome).toBe('whole');
    expect(await happened()).toBe(true);
    for (const stream of ['orders', 'comments', 'items']) await shop.expectSame(stream);
  });

  test('with the end of a pass: asking again changes nothing and brings the same counts', async () => {
    const shop = await openShop(world, kuaishou, { rows: 1_000 });
    await shop.sync({ streams });
    for (const id of shop.source.lists.comments?.ids().slice(0, 60) ?? [])
      shop.source.lists.comments?.remove(id, Date.now() - 60_000);
    const {
      outcome: _,
      kind: __,
      stream: ___,
      durationMs: ____,
      ...counts
    } = resultOf(await shop.sync({ streams }), 'comments');
    expect(counts).toMatchObject({
      deleted: 0,
      withheld: 60,
      doubt: expect.stringContaining('allowed without asking'),
    });
    const before = await everything(shop, 'comments');
    const { rows: passes } = await world.pool.query(
      `SELECT p.id::int, c.epoch FROM syncline.passes p JOIN syncline.claims c USING (connection_id)
       WHERE p.connection_id = $1 ORDER BY p.id DESC LIMIT 1`,
      [shop.name],
    );
    const claim = { connection: shop.name, pipeline: 'platform/comments', epoch: passes[0].epoch };
    const pass = { id: passes[0].id, claim, stream: 'comments', kind: 'full', keepsSeen: true } as const;
    const rules = {
      scope: '',
      sweep: true,
      force: true,
      listed: null,
      snapshots: 0,
      guard: { count: 0, percent: 0, smallCount: 0, smallPercent: 0 },
    };
    const table = { schema: 'kuaishou', name: 'comments', columns: [] };
    const again = await closePass(
      world.pool,
      { ...pass, startedMs: Date.now(), fromMs: null, toMs: null },
      table,
      rules,
    );
    expect(again).toEqual({ undone: null, counts });
    expect(await everything(shop, 'comments')).toEqual(before);
  });

  test('with the root of a tree: the tree is read', async () => {
    const shop = await openShop(world, dingtalk, { rows: 300 });
    const happened = await breakOnce(world.pool, 'syncline.visits', 'INSERT', `NEW.over_id = '1'`);
    const result = resultOf(await shop.sync({ streams: ['departments'] }), 'departments');
    expect(await happened()).toBe(true);
    expect(result).toMatchObject({ outcome: 'whole', written: 14 });
    await shop.expectSame('departments');
  });
});

test('a department that goes behind the back of the reader takes nobody along', async () => {
  const api = 'topapi/v2/department/listsub';
  const { check, ...rest } = dingtalk.apis[api] as Fixture['apis'][string];
  const leaving = '400000009';
  const fixture: Fixture = {
    ...dingtalk,
    apis: {
      ...dingtalk.apis,
      [api]: {
        ...rest,
        // Its parent showed it; it leaves when it is asked for itself.
        check(params, lists) {
          if (String(params.dept_id) === leaving && lists.departments?.get(leaving)?.gone === null)
            lists.departments.remove(leaving);
          check?.(params, lists);
        },
      },
    },
  };
  const shop = await openShop(world, fixture, { rows: 600 });
  expect(resultOf(await shop.sync({ streams: ['departments'] }), 'departments').outcome).toBe('whole');
  await shop.expectSame('departments');
});
