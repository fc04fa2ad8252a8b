import { expect, test } from 'vitest';
import { kuaishou } from '../sandbox/kuaishou.ts';
import { youzan } from '../sandbox/youzan.ts';
import { openShop, resultOf, type Shop } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const lately = () => Date.now() - 90_000;
const quick = { rows: 2_000, limits: 'none' } as const;

async function readOf({ name }: Shop): Promise<number> {
  const { rows } = await world.pool.query(
    `SELECT coalesce(sum(s.rows), 0)::int AS n FROM syncline.slices s JOIN syncline.passes p ON p.id = s.pass_id
     WHERE p.connection_id = $1 AND p.ended_at IS NULL`,
    [name],
  );
  return rows[0].n;
}

/** Sets of ids that are still held. */
async function setsLeft(): Promise<number> {
  const { rows } = await world.pool.query('SELECT count(*)::int AS n FROM syncline_pass.seen');
  const own = await world.pool.query(`SELECT count(*)::int AS n FROM pg_tables WHERE tablename ~ '^p[0-9]+$'`);
  return rows[0].n + own.rows[0].n;
}

test('changes of several pages, in a list whose rows may move anywhere, are proven by one reading', async () => {
  const shop = await openShop(world, youzan, quick);
  const streams = ['trades'];
  await shop.sync({ streams });
  const { trades } = shop.source.lists;
  for (const id of trades?.ids().slice(0, 1_500) ?? []) trades?.update(id, {}, lately());
  const before = shop.source.requests.total;
  const result = resultOf(await shop.sync({ streams }), 'trades');
  expect(result).toMatchObject({ outcome: 'whole', kind: 'incremental', written: 1_500, doubt: null });
  // 15 pages, a few that the overlap adds, one look at the total a window, and a token.
  expect(shop.source.requests.total - before).toBeLessThanOrEqual(24);
  await shop.expectSame('trades');
  expect(await setsLeft()).toBe(0);
});

test('so are changes whose reading was broken off and gone on with', async () => {
  const shop = await openShop(world, youzan, quick);
  const streams = ['trades'];
  await shop.sync({ streams });
  const { trades } = shop.source.lists;
  for (const id of trades?.ids().slice(0, 1_500) ?? []) trades?.update(id, {}, lately());
  shop.source.setFaults([{ type: 'slow', ms: 150 }]);
  const run = await shop.start({ streams });
  await until('pages that are committed', async () => (await readOf(shop)) >= 200);
  await run.terminate();
  shop.source.setFaults([]);
  const read = await readOf(shop);
  const result = resultOf(await shop.sync({ streams }), 'trades');
  expect(result).toMatchObject({ outcome: 'whole', kind: 'incremental', written: 1_500, doubt: null });
  expect(read).toBeLessThan(1_500);
  expect(result.rows, 'no page was read twice but those in hand').toBeLessThanOrEqual(1_500 + 500);
  await shop.expectSame('trades');
  expect(await setsLeft()).toBe(0);
});

test('a list that is read again by hand is proven like any other', async () => {
  const shop = await openShop(world, kuaishou, { rows: 4_000, limits: 'none' });
  await shop.sync({ streams: ['comments'] });
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const range = { from: day(Date.now() - 86_400_000), to: day(Date.now()) };
  expect(await shop.replay({ stream: 'comments', ...range })).toMatchObject({
    outcome: 'whole',
    kind: 'replay',
    written: 0,
    doubt: null,
  });
  expect(await setsLeft()).toBe(0);
});
