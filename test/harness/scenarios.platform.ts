import type { WorkflowHandle } from '@temporalio/client';
import { kuaishou } from '../../sandbox/kuaishou.ts';
import type { Fault, Fixture, PlatformSandboxOptions } from '../../sandbox/platform.ts';
import { taobao } from '../../sandbox/taobao.ts';
import { streamSyncId } from '../../workflows/platform.ts';
import type { Ground } from './ground.ts';
import { openShop, type Shop } from './platforms.ts';
import { ended, type Scenario, scheduled } from './scenario.ts';
import { until } from './until.ts';

const orders = 'open.order.cursor.list';
const comments = 'open.comment.list.get';
const begun = ['beginPass', 'readSlice'] as const;
const read = [...begun, 'closePass'] as const;
/** Windows of a week over 90 days, one after the other. */
const calm = { parallel: 2 };

const open = (ground: Ground, sandbox: PlatformSandboxOptions = {}, fixture: Fixture = kuaishou) =>
  openShop(ground, fixture, { rows: 200, ...sandbox }, calm);

/** By the name of the file that keeps the history. */
export const platformScenarios: Record<string, Scenario> = {
  'platformSync.full': {
    shows: ['listStreams', 'child orders', 'child order_details', 'completed whole'],
    record: async (ground) =>
      ended(await (await open(ground)).start({ streams: ['order_details', 'orders', 'items'] })),
  },
  'platformSync.parked-stream': {
    shows: ['child orders', 'child failed Forbidden', 'completed partial'],
    async record(ground) {
      const faults: Fault[] = [{ type: 'refuse', kind: 'permission', api: comments }];
      return ended(await (await open(ground, { faults })).start({ streams: ['orders', 'comments'] }));
    },
  },
  'platformSync.failed': {
    shows: ['child failed Forbidden', 'workflow failed NothingRead'],
    async record(ground) {
      const faults: Fault[] = [{ type: 'refuse', kind: 'permission' }];
      return ended(await (await open(ground, { faults })).start({ streams: ['orders'] }));
    },
  },
  'platformSync.paused-resumed': {
    shows: ['update pause', 'signal hold', 'update resume', 'signal hold', 'completed whole'],
    async record(ground) {
      const { run } = await paused(ground);
      await run.executeUpdate('resume');
      return ended(run);
    },
  },
  'platformSync.cancelled': {
    shows: ['child orders', 'cancel requested', 'canceled'],
    async record(ground) {
      const { run } = await hanging(ground);
      await run.cancel();
      return ended(run);
    },
  },
  'platformSync.skipped': {
    shows: ['child failed AlreadyRunning', 'completed partial'],
    async record(ground) {
      const { shop, run } = await hanging(ground);
      const second = await scheduled(ground, 'platformSync', { connection: shop.name, streams: ['orders'] });
      await wake(shop);
      await ended(run);
      return second;
    },
  },
  'streamSync.full': {
    shows: [...read, 'completed whole'],
    record: async (ground) => ended(await start(ground, await open(ground), 'orders')),
  },
  'streamSync.incremental': {
    shows: [...read, 'completed whole'],
    async record(ground) {
      const shop = await open(ground);
      await ended(await start(ground, shop, 'orders'));
      const [id] = shop.source.lists.orders?.ids() ?? [];
      shop.source.lists.orders?.update(id as string, {}, Date.now() - 60_000);
      return ended(await start(ground, shop, 'orders'));
    },
  },
  'streamSync.split-windows': {
    // 90 windows of a day, and parts of the one that holds nearly all rows.
    shows: ['beginPass', ...Array(95).fill('readSlice'), 'closePass', 'completed whole'],
    async record(ground) {
      const shop = await open(ground, { rows: 5_500, spread: 'clustered', limits: 'none' }, taobao);
      return ended(await start(ground, shop, 'trades'));
    },
  },
  'streamSync.rate-limited': {
    shows: ['readSlice', 'timer', 'readSlice', 'completed whole'],
    async record(ground) {
      const faults: Fault[] = [{ type: 'refuse', kind: 'rate', api: comments, after: 3, times: 2 }];
      return ended(await start(ground, await open(ground, { rows: 2_000, faults }), 'comments'));
    },
  },
  'streamSync.tried-again': {
    shows: ['failed BadAnswer', 'timer', 'readSlice', 'completed whole'],
    async record(ground) {
      const faults: Fault[] = [{ type: 'html', api: orders, times: 1 }];
      return ended(await start(ground, await open(ground, { faults }), 'orders'));
    },
  },
  'streamSync.failed': {
    shows: [...begun, ...Array(3).fill('failed BadAnswer'), 'workflow failed BadAnswer'],
    async record(ground) {
      const faults: Fault[] = [{ type: 'html', api: comments }];
      return ended(await start(ground, await open(ground, { faults }), 'comments'));
    },
  },
  'streamSync.held': {
    shows: ['beginPass', 'signalled hold', 'signalled hold', 'closePass', 'completed whole'],
    async record(ground) {
      const { run } = await paused(ground);
      await run.executeUpdate('resume');
      await ended(run);
      return ground.client.workflow.getHandle(streamSyncId(run.workflowId, 'orders'));
    },
  },
  'streamSync.cancelled': {
    shows: ['readSlice', 'cancel requested', 'canceled'],
    async record(ground) {
      const { run } = await hanging(ground);
      await run.cancel();
      await ended(run);
      return ground.client.workflow.getHandle(streamSyncId(run.workflowId, 'orders'));
    },
  },
  'streamSync.already-running': {
    shows: ['beginPass', 'workflow failed AlreadyRunning'],
    async record(ground) {
      const { shop, run } = await hanging(ground);
      const second = await ended(await start(ground, shop, 'orders'));
      await wake(shop);
      await ended(run);
      return second;
    },
  },
  'streamSync.continues': {
    shows: ['beginPass', 'readSlice', 'continued as new'],
    shortHistories: 50,
    async record(ground) {
      const run = await long(ground);
      return ground.client.workflow.getHandle(run.workflowId, run.firstExecutionRunId);
    },
  },
  'streamSync.continued': {
    shows: ['taken over', 'beginPass', 'closePass', 'completed whole'],
    shortHistories: 50,
    record: async (ground) => ground.client.workflow.getHandle((await long(ground)).workflowId),
  },
  'replayWindow.range': {
    shows: [...read, 'completed whole'],
    async record(ground) {
      const shop = await open(ground);
      const [from, to] = [20, 10].map((days) => new Date(Date.now() - days * 86_400_000).toISOString());
      return ended(await start(ground, shop, 'orders', { from, to }));
    },
  },
  'replayWindow.continues': {
    shows: ['beginPass', 'readSlice', 'continued as new'],
    shortHistories: 50,
    async record(ground) {
      const run = await longReplay(ground);
      return ground.client.workflow.getHandle(run.workflowId, run.firstExecutionRunId);
    },
  },
  'replayWindow.continued': {
    shows: ['taken over', 'beginPass', 'closePass', 'completed whole'],
    shortHistories: 50,
    record: async (ground) => ground.client.workflow.getHandle((await longReplay(ground)).workflowId),
  },
  'replayWindow.rejects': {
    shows: ['beginPass', 'replayRejects', 'closePass', 'completed'],
    async record(ground) {
      const shop = await open(ground);
      const [id] = shop.source.lists.orders?.ids() ?? [];
      shop.source.lists.orders?.update(id as string, { status: 'paid?' }, Date.now() - 60_000);
      await ended(await start(ground, shop, 'orders'));
      return ended(await start(ground, shop, 'orders', { rejects: true }));
    },
  },
  'replayWindow.failed': {
    shows: ['failed Forbidden', 'workflow failed Forbidden'],
    async record(ground) {
      const faults: Fault[] = [{ type: 'refuse', kind: 'permission' }];
      const [from, to] = ['2026-01-01', '2026-01-02'];
      return ended(await start(ground, await open(ground, { faults }), 'orders', { from, to }));
    },
  },
};

/** Starts one stream, or a replay of it when there is something to replay. */
async function start(ground: Ground, { name }: Shop, stream: string, replay?: Record<string, unknown>) {
  return ground.client.workflow.start(replay ? 'replayWindow' : 'streamSync', {
    args: [{ connection: name, stream, ...replay }],
    taskQueue: ground.config.taskQueue,
    workflowId: `${stream}-${name}-${Date.now()}`,
  });
}

/** A run whose first request does not come back. */
async function hanging(ground: Ground): Promise<{ shop: Shop; run: WorkflowHandle }> {
  const shop = await open(ground, { faults: [{ type: 'hang', api: orders }] });
  const run = await shop.start({ streams: ['orders'] });
  await until('a request that hangs', async () => shop.source.requests.byApi[orders]);
  return { shop, run };
}

async function wake({ source }: Shop): Promise<void> {
  source.setFaults([]);
  await source.restart();
}

/** A run that was asked to pause while it read, and stands between two windows. */
async function paused(ground: Ground): Promise<{ run: WorkflowHandle }> {
  const { shop, run } = await hanging(ground);
  await run.executeUpdate('pause');
  await wake(shop);
  const child = ground.client.workflow.getHandle(streamSyncId(run.workflowId, 'orders'));
  await until('a stream that stands', async () => (await child.describe()).raw.pendingActivities?.length === 0);
  return { run };
}

/** 90 windows of a day. */
async function long(ground: Ground) {
  const run = await start(ground, await open(ground), 'refunds');
  await ended(run);
  return run;
}

/** 80 of them, read again. */
async function longReplay(ground: Ground) {
  const [from, to] = [80, 0].map((days) => new Date(Date.now() - days * 86_400_000).toISOString());
  const run = await start(ground, await open(ground), 'refunds', { from, to });
  await ended(run);
  return run;
}
