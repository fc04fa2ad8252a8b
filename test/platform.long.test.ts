import { Worker } from '@temporalio/worker';
import { expect, inject, test } from 'vitest';
import { kuaishou } from '../sandbox/kuaishou.ts';
import { replayWindow, streamSync } from '../workflows/index.ts';
import { streamSyncId } from '../workflows/platform.ts';
import type { StreamProgress } from '../workflows/platform.view.ts';
import { openShop, resultOf, type Shop } from './harness/platforms.ts';
import { historyJson } from './harness/scan.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

/** Events from which the server suggests another execution. */
const suggestedAt = 60;
/** Events of slices under way when it does. */
const slack = 40;

const world = await openWorld({ shortHistories: suggestedAt });
/** A server with histories as long as usual. */
const usual = await openWorld();
/** 90 windows of a day; 400 refunds in the last 30 of them. */
const sandbox = { rows: 2_000, latencyMs: 5 };
const options = { parallel: 2 };
const streams = ['refunds'];

/** The events of every execution of a run, the first one first. */
async function executionsOf(workflowId: string, runId?: string): Promise<Record<string, unknown>[][]> {
  const { events } = historyJson(await world.client.workflow.getHandle(workflowId, runId).fetchHistory());
  const next = events.at(-1)?.workflowExecutionContinuedAsNewEventAttributes as
    | { newExecutionRunId: string }
    | undefined;
  return [events, ...(next ? await executionsOf(workflowId, next.newExecutionRunId) : [])];
}

test('a stream goes on in another execution, again and again, and ends as one that never had to', async () => {
  const twin = await openShop(usual, kuaishou, sandbox, options);
  const quiet = resultOf(await twin.sync({ streams }), 'refunds');
  const shop = await openShop(world, kuaishou, sandbox, options);
  const run = await shop.start({ streams });
  const id = streamSyncId(run.workflowId, 'refunds');
  const child = world.client.workflow.getHandle(id);
  const first = await until('the stream', async () => child.describe().catch(() => undefined));
  const seen = await watch(shop, id);
  const result = resultOf(await run.result(), 'refunds');

  // Where history begins is a length of time before each run.
  const { durationMs: _took, cut: _cut, ...counts } = result;
  const { durationMs: _quietly, cut: _cutToo, ...expected } = quiet;
  expect(counts).toEqual(expected);
  expect(result.durationMs, 'from the beginning of the first').toBeGreaterThan(quiet.durationMs / 2);
  expect(shop.source.requests.total).toBe(twin.source.requests.total);
  expect(shop.source.requests.repeated, 'no page was read twice').toBe(0);
  await shop.expectSame('refunds');

  const chain = await executionsOf(id, first.runId);
  expect(chain.length, 'executions').toBeGreaterThan(3);
  for (const events of chain) expect(events.length, 'events of an execution').toBeLessThan(suggestedAt + slack);
  const { rows } = await world.pool.query('SELECT run_id FROM syncline.claims WHERE connection_id = $1', [shop.name]);
  expect(rows).toEqual([{ run_id: first.runId }]);
  expect(await replayed(chain), 'replay of every execution').toEqual([]);

  expect(new Set(seen.map(({ runId }) => runId)).size, 'executions that were looked at').toBeGreaterThan(1);
  for (const key of ['rows', 'written', 'requests', 'covered'] as const) {
    const told = seen.map(({ progress }) => progress[key]);
    expect(told, `${key} never fall`).toEqual([...told].sort((a, b) => a - b));
    expect(told.at(-1), `${key} at the end`).toBeLessThanOrEqual(key === 'covered' ? 1 : result[key]);
  }
  const notes = seen.flatMap(({ progress }) => progress.notes);
  expect(notes.filter((note) => !note.startsWith('older rows are left out: read since '))).toEqual([]);
});

/** Asks a stream for its progress until it ends. */
async function watch({ name }: Shop, id: string): Promise<{ runId: string; progress: StreamProgress }[]> {
  const seen: { runId: string; progress: StreamProgress }[] = [];
  await until(`the end of ${name}`, async () => {
    const handle = world.client.workflow.getHandle(id);
    const { runId, status } = await handle.describe();
    const progress = await handle.query<StreamProgress>('progress');
    if (progress.kind !== null) seen.push({ runId, progress });
    return status.name === 'COMPLETED';
  });
  return seen;
}

test('a replay of a long range goes on in other executions, and reads each window of it once', async () => {
  const shop = await openShop(world, kuaishou, sandbox, options);
  await shop.sync({ streams });
  const asked = shop.source.requests.total;
  const day = 86_400_000;
  const to = Math.floor(Date.now() / day) * day;
  const [from, until] = [new Date(to - 80 * day).toISOString(), new Date(to).toISOString()];
  const run = await world.client.workflow.start(replayWindow, {
    args: [{ connection: shop.name, stream: 'refunds', from, to: until }],
    taskQueue: world.config.taskQueue,
    workflowId: `replayed-${world.config.taskQueue}`,
  });
  const result = await run.result();
  expect(result).toMatchObject({ outcome: 'whole', kind: 'replay', slices: 80, written: 0, doubt: null });
  const chain = await executionsOf(run.workflowId, run.firstExecutionRunId);
  expect(chain.length, 'executions').toBeGreaterThan(3);
  for (const events of chain) expect(events.length, 'events of an execution').toBeLessThan(suggestedAt + slack);
  expect(shop.source.requests.total - asked, 'each execution reads on').toBe('requests' in result && result.requests);
  expect(await replayed(chain), 'replay of every execution').toEqual([]);
});

test('a slice that waits is counted once over executions', async () => {
  const shop = await openShop(world, kuaishou, { rows: 10_000, latencyMs: 5 });
  const api = 'open.comment.list.get';
  // Refused every fifth time: each wait is a second of the server's timer and about eleven events.
  shop.source.setFaults(
    Array.from({ length: 9 }, (_, i) => ({ type: 'refuse', kind: 'rate', api, after: 5 + i * 5, times: 1 }) as const),
  );
  const run = await shop.start({ streams: ['comments'] });
  const id = streamSyncId(run.workflowId, 'comments');
  const first = await until('the stream', async () =>
    world.client.workflow
      .getHandle(id)
      .describe()
      .catch(() => null),
  );
  const seen = await watch(shop, id);
  const result = resultOf(await run.result(), 'comments');
  expect((await executionsOf(id, first.runId)).length, 'executions').toBeGreaterThan(1);
  expect(result).toMatchObject({ written: 1_000, doubt: null });
  for (const { progress } of seen) expect(progress.written).toBeLessThanOrEqual(1_000);
  expect(seen.at(-1)?.progress.rows).toBe(result.rows);
  await shop.expectSame('comments');
});

test('a full pass that a plain run goes on with stays its own over executions, however old it gets', async () => {
  const shop = await openShop(world, kuaishou, { rows: 2_000, latencyMs: 30 }, { parallel: 1 });
  await shop.sync({ streams });
  const asked = shop.source.requests.total;
  const full = await shop.start({ streams, mode: 'full' });
  await until('windows of the full pass', async () => shop.source.requests.total > asked + 3);
  await full.terminate('somebody lost patience');
  const { run } = await startContinued(shop);
  await world.pool.query(
    `UPDATE syncline.passes SET started_at = started_at - interval '2 days' WHERE connection_id = $1 AND ended_at IS NULL`,
    [shop.name],
  );
  expect(resultOf(await run.result(), 'refunds')).toMatchObject({ outcome: 'whole', kind: 'full', doubt: null });
  const { rows } = await world.pool.query(
    'SELECT kind, verdict FROM syncline.passes WHERE connection_id = $1 ORDER BY id',
    [shop.name],
  );
  expect(rows).toEqual([
    { kind: 'full', verdict: 'whole' },
    { kind: 'full', verdict: 'whole' },
  ]);
  await shop.expectSame('refunds');
});

test('a parent with open children stays one execution', async () => {
  const shop = await openShop(world, kuaishou, { rows: 200 });
  shop.source.setFaults([{ type: 'hang', api: 'open.comment.list.get', times: 1 }]);
  const run = await shop.start({ streams: ['comments'] });
  await until('a request that hangs', async () => shop.source.requests.byApi['open.comment.list.get']);
  for (let i = 0; i < 12; i++) for (const update of ['pause', 'resume']) await run.executeUpdate(update);
  const { historyLength, runId } = await run.describe();
  expect(historyLength).toBeGreaterThan(suggestedAt);
  shop.source.setFaults([]);
  await shop.source.restart();
  expect((await run.result()).outcome).toBe('whole');
  expect((await run.describe()).runId, 'the same execution').toBe(runId);
  await shop.expectSame('comments');
});

/** A run whose stream went on in another execution than the one it was started in. */
async function startContinued(shop: Shop) {
  const run = await shop.start({ streams });
  const stream = world.client.workflow.getHandle(streamSyncId(run.workflowId, 'refunds'));
  const runId = () =>
    stream.describe().then(
      ({ runId }) => runId,
      () => undefined,
    );
  const first = await until('the stream', runId);
  await until('another execution', async () => (await runId()) !== first);
  return { run, stream };
}

test('a cancellation meets the execution at work, and no window is read behind it', async () => {
  const shop = await openShop(world, kuaishou, { rows: 2_000, latencyMs: 100 }, { parallel: 1 });
  const { run, stream } = await startContinued(shop);
  await run.cancel();
  await expect(run.result()).rejects.toThrow('cancelled');
  expect((await stream.describe()).status.name).toBe('CANCELLED');
  expect((await shop.copy('refunds')).size, 'refunds of windows that were read').toBeLessThan(400);
  const { events } = historyJson(await run.fetchHistory());
  expect(await replayed([events], run.workflowId)).toEqual([]);
  await shop.sync({ streams });
  await shop.expectSame('refunds');
});

test('a pause of the run meets the execution at work, and so does its end', async () => {
  const shop = await openShop(world, kuaishou, { rows: 2_000, latencyMs: 30 }, { parallel: 1 });
  const { run, stream } = await startContinued(shop);
  await run.executeUpdate('pause');
  await until('a stream that stands', async () => (await stream.describe()).raw.pendingActivities?.length === 0);
  expect(await stream.query<StreamProgress>('progress')).toMatchObject({ state: 'paused' });
  await run.executeUpdate('resume');
  expect((await run.result()).outcome).toBe('whole');
  await shop.expectSame('refunds');
});

test('a pause holds over executions', async () => {
  const shop = await openShop(world, kuaishou, { rows: 2_000, latencyMs: 30 }, { parallel: 1 });
  const workflowId = `paused-${world.config.taskQueue}`;
  const run = await world.client.workflow.start(streamSync, {
    args: [{ connection: shop.name, stream: 'refunds' }],
    taskQueue: world.config.taskQueue,
    workflowId,
  });
  await until('a window', async () => shop.source.requests.total > 2);
  await run.executeUpdate('pause');
  await until('a stream that stands', async () => (await run.describe()).raw.pendingActivities?.length === 0);
  const before = shop.source.requests.total;
  // Updates alone make the history long.
  for (let i = 0; i < 25; i++) await run.executeUpdate('pause');
  const latest = world.client.workflow.getHandle<typeof streamSync>(workflowId);
  expect(await latest.query<StreamProgress>('progress')).toMatchObject({ state: 'paused' });
  expect(shop.source.requests.total).toBe(before);
  await latest.executeUpdate('resume');
  expect(await latest.result()).toMatchObject({ outcome: 'whole', written: 400 });
  await shop.expectSame('refunds');
});

/** `workflowId`: that of a run which names its children after itself. */
async function replayed(chain: Record<string, unknown>[][], workflowId?: string): Promise<string[]> {
  const results = Worker.runReplayHistories(
    { workflowBundle: { codePath: inject('shared').bundle } },
    chain.map((events, i) => ({ workflowId: workflowId ?? `execution-${i}`, history: { events } })),
  );
  const broken: string[] = [];
  for await (const { workflowId, error } of results) if (error) broken.push(`${workflowId}: ${error.message}`);
  return broken;
}
