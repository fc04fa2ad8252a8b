import { expect, it } from 'vitest';
import { takeClaim } from '../db/claims.ts';
import { kuaishou } from '../sandbox/kuaishou.ts';
import { openShop } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

it('a stream that is read for ever keeps the passes of a month', async () => {
  const shop = await openShop(world, kuaishou, { rows: 10 });
  const orders = { streams: ['orders'] };
  await shop.sync(orders);
  await world.pool.query(
    `INSERT INTO syncline.passes (connection_id, stream, kind, scope, ended_at, verdict)
     SELECT 'elsewhere', 'orders', 'full', '', now() - interval '40 days', 'whole' FROM generate_series(1, 3)`,
  );
  const kept = async (connection: string) =>
    (
      await world.pool.query(
        `SELECT count(*)::int AS n FROM syncline.passes WHERE connection_id = $1 AND stream = 'orders'`,
        [connection],
      )
    ).rows[0].n;
  for (let run = 2; run <= 5; run++) {
    await shop.sync(orders);
    expect(await kept(shop.name)).toBe(run);
  }
  await world.pool.query(
    `UPDATE syncline.passes SET ended_at = ended_at - interval '31 days' WHERE connection_id = $1 AND id < (
       SELECT max(id) FROM syncline.passes WHERE connection_id = $1)`,
    [shop.name],
  );
  await shop.sync(orders);
  expect(await kept(shop.name)).toBe(2);
  expect(await kept('elsewhere')).toBe(3);
  await shop.expectSame('orders');
});

it('a settled reject is kept for a month, an open or an accepted one for ever', async () => {
  const connection = await world.connect({ platform: 'scim', baseUrl: 'http://127.0.0.1:1', credential: null });
  const put = (id: string, pipeline: string, resolved: string | null, accepted: string | null) =>
    world.pool.query(
      `INSERT INTO syncline.rejects (connection_id, pipeline, stream, source_id, reason, record, epoch, resolved_at, accepted_at)
       VALUES ($1, $2, 'orders', $3, 'too_long', '{}', 1, now() - $4::interval, now() - $5::interval)`,
      [connection, pipeline, id, resolved, accepted],
    );
  await put('open', 'platform', null, null);
  await put('young', 'platform', '29 days', null);
  await put('old', 'platform', '31 days', null);
  await put('accepted', 'platform', '31 days', '31 days');
  await put('of another pipeline', 'stripe', '31 days', null);
  const run = { connection, pipeline: 'platform/orders', workflowId: 'w', runId: 'r', isOpen: async () => false };
  expect(await takeClaim(world.pool, run)).toMatchObject({ epoch: expect.any(Number) });
  const { rows } = await world.pool.query(
    'SELECT source_id AS id FROM syncline.rejects WHERE connection_id = $1 ORDER BY id',
    [connection],
  );
  expect(rows.map(({ id }) => id)).toEqual(['accepted', 'of another pipeline', 'open', 'young']);
});
