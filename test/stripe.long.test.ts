import type { WorkflowHandle } from '@temporalio/client';
import { expect, it } from 'vitest';
import { historyJson } from './harness/scan.ts';
import { everyKind, expectSame, openStripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

/** Events from which the server suggests another execution. */
const suggestedAt = 60;
/** Events of four lanes under way when it does. */
const slack = 40;

const world = await openWorld({ shortHistories: suggestedAt });
/** A server with histories as long as usual. */
const usual = await openWorld();

/** How many events each execution of a run has, the first one first. */
async function lengthsOf(workflowId: string, runId: string): Promise<number[]> {
  const { events } = historyJson(await world.client.workflow.getHandle(workflowId, runId).fetchHistory());
  const next = events.at(-1)?.workflowExecutionContinuedAsNewEventAttributes as
    | { newExecutionRunId: string }
    | undefined;
  return [events.length, ...(next ? await lengthsOf(workflowId, next.newExecutionRunId) : [])];
}

async function leave(run: WorkflowHandle): Promise<void> {
  await run.cancel();
  await run.result().catch(() => undefined);
}

it('goes on in another execution when its history is long, and loses nothing', async () => {
  const account = await openStripeAccount(
    world,
    { counts: { customers: 150, balance_transactions: 20 } },
    { relistHours: 0.001 },
  );
  const stop = account.source.churn(30, ['customers']);
  const run = await account.start();
  const first = (await run.describe()).runId;
  const runs = new Set([first]);
  await until('a third execution', async () => {
    runs.add((await world.client.workflow.getHandle(run.workflowId).describe()).runId);
    return runs.size >= 3;
  });
  stop();
  await account.untilSettled();
  await expectSame(account);
  const handle = world.client.workflow.getHandle(run.workflowId);
  const progress = await account.progress(handle);
  expect(progress.types.map(({ type }) => type)).toEqual(['balance_transactions', 'customers']);
  expect(progress.feed.events, 'counted over all executions').toBeGreaterThan(0);
  await leave(handle);
});

it('a backfill that the source holds up goes on in other executions, and reads nothing twice', async () => {
  const options = { parallel: 1 };
  const twin = await openStripeAccount(usual, {}, options);
  const quiet = await twin.copy();
  const account = await openStripeAccount(world, {}, options);
  // Each wait is a second of the server's timer and about a dozen events.
  const refused = { type: 'status', status: 429, path: '/v1/customers', times: 1 } as const;
  account.source.setFaults(Array.from({ length: 12 }, (_, i) => ({ ...refused, after: i === 0 ? 1 : 0 })));
  const run = await account.start({ follow: false });
  const result = await run.result();

  const lengths = await lengthsOf(run.workflowId, run.firstExecutionRunId);
  expect(lengths.length, 'executions').toBeGreaterThan(2);
  for (const length of lengths) expect(length, 'events of an execution').toBeLessThan(suggestedAt + slack);
  await expectSame(account);
  expect(result.types).toEqual(quiet.types);
  const lists = ({ source }: typeof account) =>
    Object.entries(source.requests.byEndpoint).filter(([endpoint]) => !endpoint.endsWith('/events'));
  expect(Object.fromEntries(lists(account))).toEqual(Object.fromEntries(lists(twin)));
  const { rows } = await world.pool.query('SELECT run_id FROM syncline.claims WHERE connection_id = $1', [
    account.name,
  ]);
  expect(rows, 'one claim over all executions').toEqual([{ run_id: run.firstExecutionRunId }]);
});

it('what is parked before it follows is tried again by other executions, until it is well', async () => {
  const account = await openStripeAccount(world, {
    counts: { ...everyKind, customers: 150 },
    faults: [{ type: 'html', path: '/v1/events', after: 1 }],
  });
  const run = await account.start();
  const latest = world.client.workflow.getHandle(run.workflowId);
  const runs = new Set<string>();
  await until('a fourth execution', async () => {
    runs.add((await latest.describe()).runId);
    const progress = await account.progress(latest).catch(() => null);
    if (progress?.state === 'parked') await latest.executeUpdate('resume').catch(() => undefined);
    return runs.size >= 4;
  });
  account.source.setFaults([]);
  await until('the run to follow', async () => {
    const progress = await account.progress(latest);
    if (progress.state === 'parked') await latest.executeUpdate('resume');
    return progress.phase === 'follow';
  });
  await leave(latest);
  const lengths = await lengthsOf(run.workflowId, run.firstExecutionRunId);
  for (const length of lengths) expect(length, 'events of an execution').toBeLessThan(suggestedAt + slack);
  await expectSame(account);
});

it('updates alone make a history long: a pause holds its execution, and the next one follows', async () => {
  const account = await openStripeAccount(world, { counts: { customers: 150 } });
  const run = await account.start();
  await account.untilLive(run);
  await run.executeUpdate('pause');
  for (let i = 0; i < 20; i++) await run.executeUpdate('pause');
  const id = account.source.create('customers');
  expect((await run.describe()).runId).toBe(run.firstExecutionRunId);
  expect(await account.progress(run)).toMatchObject({ state: 'paused' });
  const latest = world.client.workflow.getHandle(run.workflowId);
  await latest.executeUpdate('resume');
  await until('another execution', async () => (await latest.describe()).runId !== run.firstExecutionRunId);
  await account.untilLive(latest);
  await until('the change', async () => (await account.rows('customers')).has(id));
  await leave(latest);
});
