import { expect, it } from 'vitest';
import { expectSame, openStripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

it('loses no change that happens while it copies, replays and follows a feed that lags, ties and skews', async () => {
  const account = await openStripeAccount(world, { lagMs: 3_000, lateShare: 0.5, thinShare: 0.1, latencyMs: 20 });
  const stop = account.source.churn(120);
  const run = await account.start();
  await account.untilLive(run);
  const before = account.source.feed.visible(Date.now()).length;
  await until('changes while it follows', async () => account.source.feed.visible(Date.now()).length > before + 200);
  stop();
  await account.untilSettled();
  await expectSame(account);
  await run.cancel();
  await expect(run.result()).rejects.toThrow('cancelled');
  const { feed } = await account.progress(run);
  expect(feed.deletes).toBeGreaterThan(0);
  expect(account.source.requests.wrong).toBe(0);
});
