import { expect, it } from 'vitest';
import { peopleSql, Statement } from '../db/audience/people.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, deliveries, launch, people, userOf } from './harness/audience.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());
const hook = await world.connect({
  platform: 'webhook',
  baseUrl: receiver.url,
  credential: JSON.stringify({ signSecret: receiver.secret }),
});

const stored = async (name: string): Promise<{ no: number; ended: boolean }> =>
  (await world.pool.query('SELECT no, ended_at IS NOT NULL AS ended FROM audience.campaigns WHERE id = $1', [name]))
    .rows[0];

interface Node {
  'Relation Name'?: string;
  'Actual Loops': number;
  Plans?: Node[];
}

/** Partitions of deliveries that a count with this cap reads. */
async function partitionsRead(connection: string, days: number): Promise<string[]> {
  const statement = new Statement();
  const sql = peopleSql(
    {
      connection,
      addressColumn: null,
      addressPattern: '.',
      fold: false,
      channel: 'webhook',
      cap: { messages: 1, days },
    },
    statement,
  );
  const { rows } = await world.pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, statement.values);
  const nodes = function* (node: Node): Generator<Node> {
    yield node;
    for (const one of node.Plans ?? []) yield* nodes(one);
  };
  return [...nodes(rows[0]['QUERY PLAN'][0].Plan)]
    .filter((node) => node['Relation Name']?.startsWith('deliveries_') && node['Actual Loops'] > 0)
    .map((node) => node['Relation Name'] as string);
}

it('a cap reads no campaign that ended before its days', async () => {
  const connection = await people(world, { count: 5 });
  const names = [];
  for (const exclude of [[], [userOf(0)]]) {
    const name = await define(world, { connection, exclude }, hook);
    await (await launch(world, name)).result();
    names.push(name);
  }
  const [old, late] = [await stored(names[0] as string), await stored(names[1] as string)];
  expect([old.ended, late.ended]).toEqual([true, true]);
  const both = [`deliveries_${old.no}`, `deliveries_${late.no}`];
  expect((await partitionsRead(connection, 7)).sort()).toEqual(both.sort());

  await world.pool.query(`UPDATE audience.campaigns SET ended_at = now() - interval '8 days' WHERE no = $1`, [old.no]);
  await world.pool.query(`UPDATE audience.deliveries SET at = now() - interval '8 days' WHERE campaign_no = $1`, [
    old.no,
  ]);
  expect(await partitionsRead(connection, 7)).toEqual([`deliveries_${late.no}`]);
  expect((await partitionsRead(connection, 9)).sort()).toEqual(both.sort());
  const capped = await define(world, { connection }, hook, { cap: { messages: 1, days: 7 } });
  expect((await (await launch(world, capped)).result()).audience).toMatchObject({
    recipients: 1,
    skipped: { frequency_cap: 4 },
  });
});

it('a campaign that is at work again has no end', async () => {
  const connection = await people(world, { count: 6, from: 100 });
  const name = await define(world, { connection }, hook, { throttle: 1 });
  const first = await launch(world, name);
  await until('the first message', async () =>
    (await deliveries(world.pool, name)).some((one) => one.state === 'sent'),
  );
  expect(await stored(name)).toMatchObject({ ended: false });
  await first.cancel();
  await first.result().catch(() => undefined);
  expect(await stored(name)).toMatchObject({ ended: true });
  const again = await launch(world, name);
  await until('its begin', async () => !(await stored(name)).ended);
  await again.result();
  expect(await stored(name)).toMatchObject({ ended: true });
});
