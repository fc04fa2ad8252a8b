import { expect, it } from 'vitest';
import { expectSame, openStripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

it('loses no change that happens while it copies, replays and follows a feed that lags, ties and skews', async () => {
  const account = await openStripeAccount(world, { lagMs: 2_000, lateShare: 0.5, thinShare: 0.1, latencyMs: 20 });
  const stop = account.source.churn(120);
  const markMs = Math.ceil(Date.now() / 1_000) * 1_000;
  const run = await account.start();
  await account.untilLive(run);
  const before = account.source.feed.visible(Date.now()).length;
  await until('changes while it follows', async () => account.source.feed.visible(Date.now()).length > before + 200);
  stop();
  await account.untilSettled();
  await expectSame(account);
  const { rows } = await world.pool.query(
    `SELECT e.id FROM syncline.stripe_events e JOIN syncline.stripe_feeds f USING (connection_id)
     WHERE e.connection_id = $1 AND e.created >= f.mark_at`,
    [account.name],
  );
  const applied = new Set(rows.map(({ id }) => id));
  const told = account.source.feed.visible(Date.now()).filter(({ second }) => second * 1_000 >= markMs);
  expect(told.length).toBeGreaterThan(300);
  expect(told.filter(({ id }) => !applied.has(id)).map(({ type }) => type)).toEqual([]);
  await run.cancel();
  await expect(run.result()).rejects.toThrow('cancelled');
  const { feed } = await account.progress(run);
  expect(feed.deletes).toBeGreaterThan(0);
  expect(account.source.requests.wrong).toBe(0);
});

it('loses nothing of a feed that lags a minute, with the settling of a connection that sets none', async () => {
  const account = await openStripeAccount(
    world,
    { counts: { customers: 150, coupons: 10 }, lagMs: 60_000, speed: 24 },
    { settleSeconds: undefined },
  );
  const stop = account.source.churn(40);
  const run = await account.start();
  await account.untilLive(run);
  const { feed, nowMs } = account.source;
  const late = () =>
    feed.visible(nowMs()).filter(({ visibleMs, second }) => visibleMs > second * 1_000 + 40_000).length;
  await until('events that appear after 40 s and more', async () => late() > 20);
  stop();
  await account.untilSettled();
  await expectSame(account);
  await run.cancel();
  await run.result().catch(() => undefined);
});
