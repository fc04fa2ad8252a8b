import { expect, it } from 'vitest';
import { expectSame, openStripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ shortHistories: 60 });

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
  await handle.cancel();
  await handle.result().catch(() => undefined);
});
