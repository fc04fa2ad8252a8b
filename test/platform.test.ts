import { describe, expect, test } from 'vitest';
import { kuaishou } from '../sandbox/kuaishou.ts';
import { failureOfRun, openShop, reasonOf, resultOf } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

describe('a platform, end to end', () => {
  test('a first run is full, the next is incremental, and both agree with the source', async () => {
    const shop = await openShop(world, kuaishou, { rows: 1_000 });
    const first = await shop.sync();
    expect(first).toMatchObject({ outcome: 'whole' });
    for (const { stream } of first.streams) await shop.expectSame(stream);
    expect((await shop.copy('order_details')).size).toBe(1_000);
    expect(resultOf(first, 'orders')).toMatchObject({ kind: 'full', written: 1_000, rejected: 0, doubt: null });

    const [order] = shop.source.lists.orders?.ids() ?? [];
    shop.source.lists.orders?.update(order as string, { note: 'paid later' }, Date.now() - 60_000);
    const second = await shop.sync({ streams: ['orders'] });
    expect(resultOf(second, 'orders')).toMatchObject({ kind: 'incremental', doubt: null, written: 1 });
    await shop.expectSame('orders');
    const third = await shop.sync({ streams: ['orders'] });
    expect(resultOf(third, 'orders').written).toBe(0);
  });

  test('one stream without permission does not stop the others', async () => {
    const shop = await openShop(world, kuaishou, {
      rows: 100,
      faults: [{ type: 'refuse', kind: 'permission', api: 'open.seller.order.refund.pcursor.list' }],
    });
    const result = await shop.sync({ streams: ['orders', 'refunds'] });
    expect(result.outcome).toBe('partial');
    expect(reasonOf(result, 'refunds')).toMatchObject({ outcome: 'parked', reason: expect.stringContaining('scope') });
    await shop.expectSame('orders');
  });

  test('when no stream can be read the run fails and says why', async () => {
    const shop = await openShop(world, kuaishou, { rows: 10, faults: [{ type: 'refuse', kind: 'permission' }] });
    const { type, message } = await failureOfRun(shop.sync({ streams: ['orders'] }));
    expect(type).toBe('NothingRead');
    expect(message).toContain('orders: ');
  });

  test.each([
    [
      { connection: 'shop', stream: 'orders' },
      'unknown field "stream" (accepted: connection, streams, mode, deletions)',
    ],
    [{ connection: 'Shop!' }, 'connection: got "Shop!", accepted a name of 1-64 characters a-z, 0-9, - and _'],
    [{ connection: 'shop', mode: 'all' }, 'mode: got "all", accepted ("full" | "incremental")'],
  ])('wrong input %j ends at once', async (input, message) => {
    const shop = await openShop(world, kuaishou, { rows: 0 });
    expect(await failureOfRun(shop.sync(input))).toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining(message),
    });
  });

  test('an unknown connection is offered the way to a platform, not to a directory', async () => {
    const shop = await openShop(world, kuaishou, { rows: 0 });
    expect(await failureOfRun(shop.sync({ connection: 'nobody' }))).toMatchObject({
      type: 'ConnectionUnknown',
      message: expect.stringContaining('npx syncline connect nobody --platform NAME --credential-env VARIABLE'),
    });
  });

  test('an unknown stream is named with those there are', async () => {
    const shop = await openShop(world, kuaishou, { rows: 0 });
    expect(await failureOfRun(shop.sync({ streams: ['invoices'] }))).toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining('kuaishou has no stream "invoices". Streams: '),
    });
  });
});
