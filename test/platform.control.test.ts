import type { WorkflowHandle } from '@temporalio/client';
import { describe, expect, test } from 'vitest';
import { kuaishou } from '../sandbox/kuaishou.ts';
import { streamSync } from '../workflows/index.ts';
import { type PlatformProgress, type PlatformSyncResult, streamSyncId } from '../workflows/platform.ts';
import type { StreamProgress } from '../workflows/platform.view.ts';
import { failureOfRun, openShop, reasonOf, resultOf, type Shop } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const comments = 'open.comment.list.get';

const child = (run: WorkflowHandle, stream: string) =>
  world.client.workflow.getHandle(streamSyncId(run.workflowId, stream));
/** Everything is asked for; nothing of it comes before `setFaults([])`. */
const stuck = (shop: Shop) => shop.source.setFaults([{ type: 'hang', times: 1, api: comments }]);
const asked = (shop: Shop, more = 0) =>
  until('a request that hangs', async () => (shop.source.requests.byApi[comments]?.total ?? 0) > more);

/** Ends the faults, and the request that hangs in one. */
async function wake({ source }: Shop): Promise<void> {
  source.setFaults([]);
  await source.restart();
}

describe('two runs of one connection', () => {
  test('the second one names the holder, and reads the streams that are free', async () => {
    const shop = await openShop(world, kuaishou, { rows: 200 });
    stuck(shop);
    const first = await shop.start({ streams: ['comments'] });
    await asked(shop);
    const holder = child(first, 'comments').workflowId;
    const { type, message } = await failureOfRun(shop.sync({ streams: ['comments'] }));
    expect(type).toBe('NothingRead');
    expect(message).toContain(`Another run reads comments of this connection: ${holder}. Wait for it`);
    const beside = await shop.sync({ streams: ['comments', 'orders'] });
    expect(reasonOf(beside, 'comments')).toMatchObject({ outcome: 'failed', reason: expect.stringContaining(holder) });
    expect(resultOf(beside, 'orders').outcome).toBe('whole');
    const alone = world.client.workflow.execute(streamSync, {
      args: [{ connection: shop.name, stream: 'comments' }],
      taskQueue: world.config.taskQueue,
      workflowId: `alone-${first.workflowId}`,
    });
    expect(await failureOfRun(alone)).toMatchObject({
      type: 'AlreadyRunning',
      message: expect.stringContaining(holder),
    });
    await wake(shop);
    expect((await first.result()).outcome).toBe('whole');
    await shop.expectSame('comments');
  });

  test('started at once, one of them reads', async () => {
    const shop = await openShop(world, kuaishou, { rows: 300, latencyMs: 100 });
    const runs = await Promise.allSettled([1, 2, 3].map(() => shop.sync({ streams: ['comments'] })));
    expect(runs.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
    await shop.expectSame('comments');
  });

  test('one that a schedule started leaves the stream to the other', async () => {
    const shop = await openShop(world, kuaishou, { rows: 200 });
    stuck(shop);
    const first = await shop.start({ streams: ['comments'] });
    await asked(shop);
    const result = await scheduled(shop, ['comments']);
    expect(result.streams).toMatchObject([{ stream: 'comments', outcome: 'skipped', rows: 0 }]);
    await wake(shop);
    expect((await first.result()).outcome).toBe('whole');
  });
});

/** Lets a clock start a run; its result. */
async function scheduled({ name }: Shop, streams: string[]): Promise<PlatformSyncResult> {
  const schedule = await world.client.schedule.create({
    scheduleId: `every-day-${world.config.taskQueue}`,
    spec: { intervals: [{ every: '1 day' }] },
    action: {
      type: 'startWorkflow',
      workflowType: 'platformSync',
      args: [{ connection: name, streams }],
      taskQueue: world.config.taskQueue,
      workflowId: `scheduled-${world.config.taskQueue}`,
    },
  });
  await schedule.trigger();
  const action = await until('the scheduled run', async () => {
    const [recent] = (await schedule.describe()).info.recentActions;
    return recent?.action.type === 'startWorkflow' ? recent.action.workflow : undefined;
  });
  await schedule.delete();
  return world.client.workflow.getHandle(action.workflowId).result();
}

describe('pause', () => {
  test('holds every stream until it is taken back', async () => {
    const shop = await openShop(world, kuaishou, { rows: 100, latencyMs: 50 }, { parallel: 1 });
    const run = await shop.start({ streams: ['orders', 'refunds', 'order_details'] });
    const stateOf = (stream: string) => child(run, stream).query<StreamProgress>('progress');
    await until('two streams at work', async () => shop.source.requests.total > 4);
    expect(await run.executeUpdate('pause')).toBe('paused');
    expect(await run.query<PlatformProgress>('progress')).toMatchObject({ state: 'paused' });
    for (const stream of ['orders', 'refunds']) {
      await until(`${stream} standing still`, async () => {
        const { raw } = await child(run, stream).describe();
        return raw.pendingActivities?.length === 0;
      });
      expect(await stateOf(stream)).toMatchObject({ state: 'paused' });
    }
    const before = shop.source.requests.total;
    expect((await stateOf('orders')).covered).toBeLessThan(1);
    expect(await run.executeUpdate('pause'), 'a second pause changes nothing').toBe('paused');
    expect(shop.source.requests.total).toBe(before);
    expect(await run.executeUpdate('resume')).toBe('running');
    const result = await run.result();
    expect(result.outcome).toBe('whole');
    for (const { stream } of result.streams) await shop.expectSame(stream);
  });

  test('lets no stream begin', async () => {
    const shop = await openShop(world, kuaishou, { rows: 100 }, { parallel: 1 });
    const [deleted, items] = ['open.item.deleted.get', 'open.item.list.get'];
    shop.source.setFaults([{ type: 'hang', api: deleted }]);
    const run = await shop.start({ streams: ['items', 'deleted_items'] });
    const streamsOf = async () => (await run.query<PlatformProgress>('progress')).streams;
    await until('a request that hangs', async () => shop.source.requests.byApi[deleted]);
    await run.executeUpdate('pause');
    shop.source.setFaults([{ type: 'refuse', kind: 'permission', api: deleted }]);
    await shop.source.restart();
    await until('the end of the first stream', async () =>
      (await streamsOf()).some(({ stream, outcome }) => stream === 'deleted_items' && outcome === 'parked'),
    );
    expect(await streamsOf()).toContainEqual({ stream: 'items', outcome: 'waiting' });
    expect(shop.source.requests.byApi[items]).toBeUndefined();
    await run.executeUpdate('resume');
    expect(resultOf(await run.result(), 'items').outcome).toBe('whole');
    await shop.expectSame('items');
  });
});

/** Rows that an open pass has read. */
async function readOf({ name }: Shop, stream: string): Promise<number> {
  const { rows } = await world.pool.query(
    `SELECT coalesce(sum(s.rows), 0)::int AS n FROM syncline.slices s JOIN syncline.passes p ON p.id = s.pass_id
     WHERE p.connection_id = $1 AND p.stream = $2`,
    [name, stream],
  );
  return rows[0].n;
}

describe('cancel', () => {
  test('ends every stream behind the page in hand, and the next run goes on there', async () => {
    const latencyMs = 60;
    const shop = await openShop(world, kuaishou, { rows: 6_000, latencyMs }, { parallel: 2 });
    const run = await shop.start({ streams: ['orders', 'order_details', 'comments'] });
    for (const stream of ['orders', 'comments'])
      await until(`rows of ${stream}`, async () => (await readOf(shop, stream)) > 0);
    await run.cancel();
    await expect(run.result()).rejects.toThrow('cancelled');
    for (const stream of ['orders', 'comments'])
      expect((await child(run, stream).describe()).status.name, stream).toBe('CANCELLED');
    for (const stream of ['orders', 'comments']) {
      const landed = (await shop.copy(stream)).size;
      expect(landed, `${stream}: pages that were read stand there`).toBe(await readOf(shop, stream));
    }
    const before = { ...shop.source.requests };
    const result = await shop.sync({ streams: ['orders', 'comments'] });
    expect(result.outcome).toBe('whole');
    // What was on its way in each lane, and the first page of comments, which is looked at twice.
    expect(shop.source.requests.repeated - before.repeated).toBeLessThanOrEqual(4);
    for (const stream of ['orders', 'comments']) await shop.expectSame(stream);
  });

  test('of one stream leaves the others at work', async () => {
    const shop = await openShop(world, kuaishou, { rows: 2_000, latencyMs: 30 });
    const run = await shop.start({ streams: ['comments', 'orders'] });
    await until('both at work', async () => shop.source.requests.total > 6);
    await child(run, 'comments').cancel();
    const result = await run.result();
    expect(result.outcome).toBe('partial');
    expect(reasonOf(result, 'comments')).toEqual({
      stream: 'comments',
      outcome: 'failed',
      reason: 'it was cancelled by itself',
    });
    expect(resultOf(result, 'orders').outcome).toBe('whole');
    await shop.expectSame('orders');
  });
});
