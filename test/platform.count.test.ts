import { describe, expect, test } from 'vitest';
import { kuaishou } from '../sandbox/kuaishou.ts';
import type { Fixture } from '../sandbox/platform.ts';
import { taobao } from '../sandbox/taobao.ts';
import { failureOfRun, openShop, resultOf } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const refunds = 'open.seller.order.refund.pcursor.list';
const day = 86_400_000;
/** Rows above which a window is split where its connector names no other number. */
const dense = 10_000;

interface Asked {
  from: number;
  to: number;
  size: number;
}

/** The shop, noting every call for refunds. */
function noting(asked: Asked[], answer?: Fixture['apis'][string]['answer']): Fixture {
  const api = kuaishou.apis[refunds] as Fixture['apis'][string];
  const { check } = api;
  return {
    ...kuaishou,
    apis: {
      ...kuaishou.apis,
      [refunds]: {
        ...api,
        ...(answer && { answer }),
        check(params, lists) {
          check?.(params, lists);
          asked.push({ from: Number(params.beginTime), to: Number(params.endTime), size: Number(params.pageSize) });
        },
      },
    },
  };
}

describe('a window that is counted before it is read', () => {
  test('is cut before a page of it is paid for, and an empty one costs the count alone', async () => {
    const asked: Asked[] = [];
    const sandbox = { rows: 150_000, spread: 'clustered', spanMs: 80 * day } as const;
    const shop = await openShop(world, noting(asked), sandbox);
    const result = resultOf(await shop.sync({ streams: ['refunds'] }), 'refunds');
    expect(result).toMatchObject({ outcome: 'whole', written: 30_000, rows: 30_000, doubt: null });
    await shop.expectSame('refunds');

    const rows = [...shop.source.truth('refunds').values()].map(({ updated }) => updated);
    const held = ({ from, to }: Asked) => rows.filter((at) => at >= from && at < to).length;
    const counts = asked.filter(({ size }) => size === 1);
    const read = new Map(asked.filter(({ size }) => size === 100).map((one) => [`${one.from} ${one.to}`, one]));
    expect(counts.filter((one) => held(one) > dense).length, 'windows that were too dense').toBeGreaterThan(0);
    for (const one of read.values()) expect(held(one), `${one.from} to ${one.to}`).toBeLessThanOrEqual(dense);
    for (const one of read.values()) expect(held(one), 'no page for an empty window').toBeGreaterThan(0);
    expect(counts.length, 'each window is counted once').toBe(
      new Set(counts.map((one) => `${one.from} ${one.to}`)).size,
    );
    const pages = [...read.values()].reduce((sum, one) => sum + Math.ceil(held(one) / 100), 0);
    expect(asked.length, 'no page came twice').toBe(counts.length + pages);
    expect(result.requests).toBe(asked.length);
  });

  test('is read page by page where the answer shows more rows than it counts', async () => {
    const { answer } = kuaishou.apis[refunds] as Fixture['apis'][string];
    const lying = noting([], (page, params, lists) => ({
      ...(answer(page, params, lists) as object),
      totalSize: 0,
    }));
    const shop = await openShop(world, lying, { rows: 300 });
    expect(resultOf(await shop.sync({ streams: ['refunds'] }), 'refunds')).toMatchObject({
      outcome: 'whole',
      written: 60,
    });
    await shop.expectSame('refunds');
  });

  test('whose count is none ends with what was expected where', async () => {
    const { answer } = kuaishou.apis[refunds] as Fixture['apis'][string];
    const broken = noting([], (page, params, lists) => ({
      ...(answer(page, params, lists) as object),
      totalSize: 'many',
    }));
    const shop = await openShop(world, broken, { rows: 10 });
    expect((await failureOfRun(shop.sync({ streams: ['refunds'] }))).message).toContain(
      'refunds: the call that counts a window tells no number at "totalSize", accepted a whole number (BadAnswer)',
    );
  });

  test('is counted by the database where it is a table, and read by several lanes', async () => {
    const { databaseUrl } = world.servers;
    const shop = await openShop(world, taobao, { rows: 0 }, {}, databaseUrl);
    for (const { text, values } of taobao.tables?.(shop.source.account('main')) ?? [])
      await world.pool.query(text, values);
    // All of them within one hour of one window of seven days.
    await world.pool.query(
      `INSERT INTO sys_info.jdp_tb_trade (tid, seller_nick, status, type, created, modified, jdp_hashcode, jdp_response, jdp_created, jdp_modified)
       SELECT n, $1, 'TRADE_FINISHED', 'fixed', at, at, '1', '{}', at, at
       FROM generate_series(1, 60000) n, LATERAL (SELECT now() - interval '1 day' + n * interval '60 ms' AS at) t`,
      [shop.source.connection().options.sellerNick],
    );
    const since = new Date(Date.now() - 5 * day).toISOString().slice(0, 10);
    const other = await openShop(world, taobao, { rows: 0 }, { since }, databaseUrl);
    const result = resultOf(await other.sync({ streams: ['push_trades'] }), 'push_trades');
    expect(result).toMatchObject({ outcome: 'whole', written: 60_000, rows: 60_000 });
    expect(result.slices).toBeGreaterThan(2);
    expect((await other.copy('push_trades')).size).toBe(60_000);
  });
});
