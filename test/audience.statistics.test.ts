import { expect, it } from 'vitest';
import { countPeople, findPeople, type People, samplePeople } from '../db/audience/people.ts';
import { countRefusable, countZones } from '../db/audience/preview.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, launch, people, userOf } from './harness/audience.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());

/** By nested loops each of the statements below takes minutes. */
const crowd = 30_000;

it('an audience that landed behind the statistics is counted, shown and frozen as fast as any other', async () => {
  await world.pool.query(
    `ALTER TABLE audience.users SET (autovacuum_enabled = off); ALTER TABLE audience.orders SET (autovacuum_enabled = off);
     ALTER TABLE audience.unsubscribes SET (autovacuum_enabled = off)`,
  );
  const land = async (count: number, from: number) => {
    const connection = await people(world, { count, from });
    await world.pool.query(
      `INSERT INTO audience.orders (connection_id, id, user_id, ordered_at, data, generation, synced_at)
       SELECT connection_id, 'o' || id, id, now(), '{}', 0, now() FROM audience.users WHERE connection_id = $1`,
      [connection],
    );
    await world.pool.query(
      `INSERT INTO audience.unsubscribes (connection_id, kind, value)
       SELECT connection_id, CASE WHEN n % 2 = 0 THEN 'user' ELSE 'address' END, CASE WHEN n % 2 = 0 THEN id ELSE data->>'mail' END
       FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM audience.users WHERE connection_id = $1) u WHERE n % 5 = 0`,
      [connection],
    );
    return connection;
  };
  for (let i = 0; i < 10; i++) await land(20, i * 20);
  await world.pool.query('ANALYZE audience.users, audience.orders, audience.unsubscribes');
  const first = 1_000_000;
  const connection = await land(crowd, first);

  const exclude = Array.from({ length: 10 }, (_, i) => userOf(first + i));
  const whole: People = {
    connection,
    orders: { days: 1, moreThan: 2, timeZone: 'Etc/UTC' },
    exclude,
    cap: { messages: 1, days: 7 },
    addressColumn: 'mail',
    addressPattern: '.',
    fold: true,
    channel: 'smtp',
  };
  const skipped = { unsubscribed: crowd / 5, excluded: 8 };
  expect(await countPeople(world.pool, whole)).toEqual({
    recipients: crowd * 0.8 - 8,
    records: expect.any(Number),
    skipped,
  });
  expect(await samplePeople(world.pool, whole, 2)).toMatchObject([
    { user: userOf(first + 10) },
    { user: userOf(first + 11) },
  ]);
  expect((await findPeople(world.pool, whole, exclude)).size).toBe(10);
  expect(
    await countRefusable(world.pool, whole, { x: { column: 'full_name' } }, { channelId: 'c', template: 't' }),
  ).toEqual({ noGrant: crowd * 0.8 - 8, missing: {} });
  expect(await countZones(world.pool, whole, 'tz')).toEqual([{ zone: null, people: crowd * 0.8 - 8 }]);

  const hook = await world.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: receiver.secret }),
    options: { requestsPerSecond: 50, address: 'email' },
  });
  const { orders, cap } = whole;
  const name = await define(world, { connection, orders, exclude }, hook, { cap });
  const run = await launch(world, name);
  await until('the first message', async () => receiver.received.size > 0);
  await run.cancel();
  await expect(run.result()).rejects.toThrow();
  const { rows } = await world.pool.query('SELECT frozen FROM audience.campaigns WHERE id = $1', [name]);
  expect(rows[0].frozen).toMatchObject({ recipients: crowd * 0.8 - 8, skipped });
});
