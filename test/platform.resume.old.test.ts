import { expect, test } from 'vitest';
import { kuaishou } from '../sandbox/kuaishou.ts';
import { failureOfRun, openShop, resultOf, type Shop } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const streams = ['orders'];
const api = 'open.order.cursor.list';
const hour = 3_600_000;
const day = 24 * hour;
/** Orders of nearly the whole history, three pages in each window of seven days. */
const sandbox = { rows: 1_500, spanMs: 89 * day };
/** How far back Kuaishou is read: 90 days, less an hour for clocks that differ. */
const servedMs = 90 * day - hour;

/** Lets the open pass of a shop stand as one that was cut so much earlier. */
async function age({ name }: Shop, ms: number): Promise<void> {
  const back = [name, `${ms / 1_000} s`];
  await world.pool.query(
    `UPDATE syncline.passes SET started_at = started_at - $2::interval, from_time = from_time - $2::interval, to_time = to_time - $2::interval
     WHERE connection_id = $1 AND ended_at IS NULL`,
    back,
  );
  await world.pool.query(
    `UPDATE syncline.slices s SET from_ms = from_ms - $2, to_ms = to_ms - $2 FROM syncline.passes p
     WHERE p.id = s.pass_id AND p.connection_id = $1 AND p.ended_at IS NULL`,
    [name, ms],
  );
}

const verdictsOf = async ({ name }: Shop) =>
  (await world.pool.query('SELECT kind, verdict FROM syncline.passes WHERE connection_id = $1 ORDER BY id', [name]))
    .rows;

test('a first pass that was left longer than the history waits is gone on with from where the platform still serves it', async () => {
  const shop = await openShop(world, kuaishou, sandbox);
  shop.source.setFaults([{ type: 'refuse', kind: 'permission', api }]);
  expect((await failureOfRun(shop.sync({ streams }))).message).toContain('orders: ');
  shop.source.setFaults([]);
  // The first of its windows of seven days is over, the second one begins too early.
  await age(shop, 8 * day);
  const served = Date.now() - servedMs;
  const result = resultOf(await shop.sync({ streams }), 'orders');
  expect(result).toMatchObject({ outcome: 'whole', kind: 'full', doubt: null, cut: { by: 'platform' } });
  const cutMs = Date.parse(result.cut?.from ?? '');
  expect(cutMs).toBeGreaterThanOrEqual(served);
  expect(cutMs).toBeLessThanOrEqual(Date.now() - servedMs + 1);
  expect(resultOf(await shop.sync({ streams }), 'orders')).toMatchObject({ outcome: 'whole', kind: 'incremental' });
  expect(await verdictsOf(shop)).toEqual([
    { kind: 'full', verdict: 'whole' },
    { kind: 'incremental', verdict: 'whole' },
  ]);
  await shop.expectSame('orders');
});

test('a window that leaves the history while its run waits is read anew from there on', async () => {
  const shop = await openShop(world, kuaishou, sandbox, { parallel: 1 });
  shop.source.setFaults([{ type: 'hang', api, after: 1 }]);
  const run = await shop.start({ streams });
  await until('a second page that hangs', async () => shop.source.requests.byApi[api]?.total === 2);
  // The run holds the end of its pass, as it was: the beginning alone is moved.
  await world.pool.query(
    `UPDATE syncline.slices s SET from_ms = from_ms - $2 FROM syncline.passes p WHERE p.id = s.pass_id AND p.connection_id = $1 AND s.no = 1`,
    [shop.name, 2 * hour],
  );
  const served = Date.now() - servedMs;
  shop.source.setFaults([]);
  await shop.source.restart();
  const result = resultOf(await run.result(), 'orders');
  expect(result).toMatchObject({ outcome: 'whole', kind: 'full', doubt: null, cut: { by: 'platform' } });
  expect(Date.parse(result.cut?.from ?? '')).toBeGreaterThanOrEqual(served);
  await shop.expectSame('orders');
});
