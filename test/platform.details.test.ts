import { afterAll, describe, expect, test } from 'vitest';
import { addConnectors, connectors } from '../connectors/index.ts';
import { kuaishou as connector } from '../connectors/kuaishou.ts';
import type { Connector, Stream } from '../connectors/shape.ts';
import { kuaishou as sandbox } from '../sandbox/kuaishou.ts';
import type { Fixture } from '../sandbox/platform.ts';
import { openShop, resultOf, type Shop } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const detail = 'open.order.detail';
const { orders, refunds, order_details: details } = connector.streams as Record<string, Stream>;
const unlimited = ({ limits: _, ...stream }: Stream): Stream => stream;

/** The shop without limits, so that thousands of single calls take seconds; one stream more reads the orders of refunds. */
const quick: Connector = {
  ...connector,
  platform: 'quickshop',
  limits: {},
  unconfirmed: [],
  streams: {
    orders: unlimited(orders as Stream),
    order_details: unlimited(details as Stream),
    refunds: unlimited(refunds as Stream),
    refunded_orders: {
      ...unlimited(details as Stream),
      over: { kind: 'each', stream: 'refunds', path: 'oid', param: 'oid', batch: 1, when: 'changed' },
    },
  },
};
addConnectors({ quickshop: quick }, 'test/platform.details.test.ts');
afterAll(() => void delete connectors.quickshop);

/** The sandbox of that shop, noting the order number of every call for one. */
function noting(asked: string[]): Fixture {
  const api = sandbox.apis[detail] as Fixture['apis'][string];
  const free = Object.fromEntries(Object.entries(sandbox.apis).map(([name, { limits: _, ...one }]) => [name, one]));
  const check = ({ oid }: Record<string, unknown>) => void asked.push(String(oid));
  return { ...sandbox, platform: 'quickshop', limits: {}, apis: { ...free, [detail]: { ...api, limits: {}, check } } };
}

async function open(rows: number, options: Record<string, unknown> = {}): Promise<{ shop: Shop; asked: string[] }> {
  const asked: string[] = [];
  return { shop: await openShop(world, noting(asked), { rows }, options), asked };
}

/** Older than every lag. */
const lately = () => Date.now() - 60_000;
const both = ['orders', 'order_details'];
const written = async (shop: Shop, stream = 'order_details') =>
  resultOf(await shop.sync({ streams: [stream] }), stream).written;

describe('rows that are read for each row of another stream', () => {
  test('are asked for when their parent is another one, whatever the clocks of the workers say', async () => {
    const { shop, asked } = await open(300);
    await shop.sync({ streams: both });
    expect(asked.length).toBe(300);
    // The worker that asked was an hour ahead of the one that reads the next change.
    await world.pool.query(
      `UPDATE syncline.visits SET visited_at = visited_at + interval '1 hour' WHERE connection_id = $1`,
      [shop.name],
    );
    const { orders: list } = shop.source.lists;
    const changed = list?.ids().slice(40, 47) ?? [];
    for (const id of changed) list?.update(id, { status: 50 }, lately());
    await shop.sync({ streams: ['orders'] });
    asked.length = 0;
    expect(await written(shop)).toBe(7);
    expect(asked.sort()).toEqual(changed);
    await shop.expectSame('order_details');
    // And one that was behind asks for nothing twice.
    await world.pool.query(
      `UPDATE syncline.visits SET visited_at = visited_at - interval '1 day' WHERE connection_id = $1`,
      [shop.name],
    );
    asked.length = 0;
    await shop.sync({ streams: both });
    expect(asked).toEqual([]);
  });

  test('are read in batches of 1,000 by time and id: ties at an edge lose nothing', async () => {
    const { shop, asked } = await open(2_500, { parallel: 1 });
    const { orders: list } = shop.source.lists;
    const at = lately();
    // Over both edges all have one time; the last ones are older than all others.
    const ids = list?.ids() ?? [];
    for (const id of ids.slice(0, 2_300)) list?.update(id, {}, at);
    for (const id of ids.slice(2_300)) list?.update(id, {}, at - 86_400_000);
    const result = resultOf(await shop.sync({ streams: both }), 'order_details');
    expect(result).toMatchObject({ outcome: 'whole', written: 2_500, slices: 3 });
    expect(asked).toEqual([...ids.slice(2_300).sort(), ...ids.slice(0, 2_300).sort()]);
    await shop.expectSame('order_details');
  });

  test('go on behind the last one that was committed when their run was ended', async () => {
    const { shop, asked } = await open(2_500, { parallel: 2 });
    await shop.sync({ streams: ['orders'] });
    const run = await shop.start({ streams: ['order_details'] });
    await until('details that are committed', async () => (await shop.copy('order_details').catch(none)).size >= 400);
    await run.terminate();
    const before = asked.length;
    expect(before).toBeLessThan(2_500);
    const result = resultOf(await shop.sync({ streams: ['order_details'] }), 'order_details');
    expect(result).toMatchObject({ outcome: 'whole', written: 2_500 });
    const again = asked.length - new Set(asked).size;
    expect(new Set(asked).size).toBe(2_500);
    expect(again, 'half a second of each lane was not committed').toBeLessThan(before);
    await shop.expectSame('order_details');
  });

  test('a parent that changes while its batch waits is asked for again by the next pass', async () => {
    const { shop, asked } = await open(1_500, { parallel: 1 });
    await shop.sync({ streams: ['orders'] });
    const { orders: list } = shop.source.lists;
    const [first] = list?.ids() ?? [];
    const run = await shop.start({ streams: ['order_details'] });
    await until('the pass at work', async () => asked.length > 100);
    list?.update(first as string, { status: 70 }, lately());
    await shop.sync({ streams: ['orders'] });
    await run.result();
    asked.length = 0;
    await shop.sync({ streams: ['order_details'] });
    expect(asked).toEqual([first]);
    await shop.expectSame('order_details');
  });

  test('foreign ids are collected from all rows that name them, each asked for once', async () => {
    const { shop, asked } = await open(1_000);
    const named = () =>
      new Set([...shop.source.truth('refunds').values()].map(({ data }) => String((data as { oid: number }).oid)));
    const first = resultOf(await shop.sync({ streams: ['refunds', 'refunded_orders'] }), 'refunded_orders');
    expect(named().size, 'several refunds name one order').toBeLessThan(shop.source.truth('refunds').size);
    expect(asked.sort()).toEqual([...named()].sort());
    expect(first).toMatchObject({ outcome: 'whole', written: named().size });

    // One of several rows that name an order changes, whichever it is.
    const byOrder = new Map<string, string[]>();
    for (const [id, { data }] of shop.source.truth('refunds')) {
      const oid = String((data as { oid: number }).oid);
      byOrder.set(oid, [...(byOrder.get(oid) ?? []), id]);
    }
    const [oid, rows] = [...byOrder].find(([, some]) => some.length > 1) as [string, string[]];
    for (const id of rows) {
      shop.source.lists.refunds?.update(id, { status: 60 }, lately());
      asked.length = 0;
      await shop.sync({ streams: ['refunds', 'refunded_orders'] });
      expect(asked).toEqual([oid]);
    }
    asked.length = 0;
    await shop.sync({ streams: ['refunds', 'refunded_orders'] });
    expect(asked).toEqual([]);
  });

  test('a table that was made before rows had versions gets them, and what they name is read once more', async () => {
    const { shop, asked } = await open(50);
    await shop.sync({ streams: both });
    await world.pool.query('ALTER TABLE quickshop.orders DROP COLUMN row_version');
    await world.pool.query('UPDATE syncline.visits SET version = NULL WHERE connection_id = $1', [shop.name]);
    for (const expected of [50, 0]) {
      asked.length = 0;
      expect((await shop.sync({ streams: both })).outcome).toBe('whole');
      expect(asked.length).toBe(expected);
    }
  });
});

const none = () => new Map<string, unknown>();
