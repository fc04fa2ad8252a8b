import { expect, test } from 'vitest';
import { jushuitan } from '../sandbox/jushuitan.ts';
import type { List } from '../sandbox/platform/list.ts';
import { openShop, resultOf, type Shop } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
/** Three pages; the platform allows five a second and a hundred a minute. */
const rows = 300;
const hourAgo = () => Date.now() - 3_600_000;

async function openOrders() {
  const shop = await openShop(world, jushuitan, { rows });
  return { shop, orders: shop.source.lists.orders as List };
}

const read = async (shop: Shop, mode?: 'full') =>
  resultOf(await shop.sync({ streams: ['orders'], ...(mode && { mode }) }), 'orders');

test('a list by row version is read once, then from where rows changed', async () => {
  const { shop, orders } = await openOrders();
  expect(await read(shop)).toMatchObject({ kind: 'full', outcome: 'whole', written: rows });
  const ids = orders.ids();
  for (const id of ids.slice(0, 5)) orders.update(id, {}, hourAgo());
  orders.remove(ids[10] as string, hourAgo());
  orders.create({}, hourAgo());

  const next = await read(shop);
  expect(next).toMatchObject({ kind: 'incremental', outcome: 'whole', written: 7 });
  expect(next.rows, 'what changed, and a little before it').toBeLessThan(20);
  await shop.expectSame('orders');
  expect((await shop.copy('orders')).has(ids[10] as string), 'a cancelled order is gone').toBe(false);

  const quiet = await read(shop);
  expect(quiet).toMatchObject({ kind: 'incremental', outcome: 'whole', written: 0 });
  expect(quiet.rows, 'of what changed long ago one row tells that the place is still there').toBeLessThan(5);

  const full = await read(shop, 'full');
  expect(full).toMatchObject({ kind: 'full', outcome: 'whole', written: 0 });
  expect(full.rows).toBeGreaterThan(rows);
  expect(await read(shop), 'and on from there').toMatchObject({ kind: 'incremental' });
});

test('a row that shows after others with larger versions is not lost', async () => {
  const { shop, orders } = await openOrders();
  await read(shop);
  const [late, ...others] = orders.ids().slice(0, 6) as [string, ...string[]];
  const commit = orders.hold(late, { note: 'late' });
  for (const id of others) orders.update(id, { note: 'early' });
  expect(await read(shop)).toMatchObject({ kind: 'incremental', written: 5 });
  commit();
  expect(await read(shop)).toMatchObject({ kind: 'incremental', written: 1 });
  await shop.expectSame('orders');
});

test('versions that no longer lead anywhere are told, and the next run reads everything', async () => {
  const { shop, orders } = await openOrders();
  await read(shop);
  // As after a move of the platform to a database that counts anew.
  await world.pool.query(`UPDATE syncline.streams SET version = '900000000' WHERE connection_id = $1`, [shop.name]);
  orders.update(orders.ids()[0] as string, { note: 'moved' }, hourAgo());
  expect(await read(shop)).toMatchObject({
    kind: 'incremental',
    outcome: 'doubtful',
    doubt: 'nothing came from the row version on behind which rows stood: the next run reads everything',
  });
  expect(await read(shop)).toMatchObject({ kind: 'full', outcome: 'whole', written: 1 });
  await shop.expectSame('orders');
});

test('a pass in doubt is read again from where it began', async () => {
  const { shop, orders } = await openOrders();
  await read(shop);
  const [broken, ...sound] = orders.ids().slice(0, 6) as [string, ...string[]];
  orders.update(broken, { o_id: null }, hourAgo());
  for (const id of sound) orders.update(id, { note: 'sound' }, hourAgo());
  expect(await read(shop)).toMatchObject({ kind: 'incremental', outcome: 'doubtful', written: 5 });
  expect(await read(shop), 'nobody mended it').toMatchObject({ kind: 'incremental', outcome: 'doubtful', written: 0 });
  orders.update(broken, { o_id: Number(broken) }, hourAgo());
  expect(await read(shop)).toMatchObject({ kind: 'incremental', outcome: 'whole', written: 1 });
  await shop.expectSame('orders');
});
