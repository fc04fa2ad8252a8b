import { describe, expect, test } from 'vitest';
import { taobao } from '../sandbox/taobao.ts';
import { openShop, reasonOf, resultOf } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const detail = 'taobao.trade.fullinfo.get';

describe('an id that is refused', () => {
  test('stands aside by itself, and its request counts', async () => {
    const shop = await openShop(world, taobao, { rows: 30 });
    shop.source.setFaults([{ type: 'refuse', kind: 'invalid', api: detail, after: 10, times: 1 }]);
    const result = await shop.sync({ streams: ['trades', 'trade_details'] });
    const asked = shop.source.requests.byApi[detail]?.total;
    expect(resultOf(result, 'trade_details')).toMatchObject({ rejected: 1, written: asked! - 1, requests: asked });
  });

  test('is none of a signature that is refused: the stream says so, and the next run asks for every id', async () => {
    const shop = await openShop(world, taobao, { rows: 90 });
    shop.source.setFaults([{ type: 'refuse', kind: 'signature', api: detail, after: 20 }]);
    const result = await shop.sync({ streams: ['trades', 'trade_details'] });
    expect(result.outcome).toBe('partial');
    expect(reasonOf(result, 'trade_details')).toMatchObject({
      outcome: 'parked',
      reason: expect.stringContaining('check appSecret and signMethod'),
    });
    const { rows } = await world.pool.query('SELECT 1 FROM syncline.rejects WHERE connection_id = $1', [shop.name]);
    expect(rows).toEqual([]);
    shop.source.setFaults([]);
    await shop.sync({ streams: ['trades', 'trade_details'] });
    await shop.expectSame('trade_details');
  });
});
