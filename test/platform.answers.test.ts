import { expect, test } from 'vitest';
import { taobao } from '../sandbox/taobao.ts';
import { wecom } from '../sandbox/wecom.ts';
import { failureOfRun, openShop } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

test('Taobao: the used-up count of one API holds that API alone back, as long as the words of the answer say', async () => {
  const shop = await openShop(world, taobao, { rows: 200 });
  const api = 'taobao.items.onsale.get';
  shop.source.setFaults([{ type: 'refuse', kind: 'quota', api, waitMs: 3_600_000 }]);
  const run = await shop.start({ streams: ['items_onsale', 'items_inventory'] });
  const blocked = await until('a level that is blocked', async () => {
    const { rows } = await world.pool.query(
      `SELECT scope, ceil(extract(epoch FROM blocked_until - now()) / 60)::int AS minutes FROM syncline.budgets
       WHERE platform LIKE 'taobao %' AND blocked_until > now()`,
    );
    return rows.length > 0 && rows;
  });
  expect(blocked).toEqual([{ scope: `/${api}`, minutes: 60 }]);
  await until(
    'the other API, read to its end',
    async () => (await shop.difference('items_inventory')).missing.length === 0,
  );
  expect(shop.source.requests.byApi[api]?.total, 'asked once').toBe(1);
  await run.cancel();
  await run.result().catch(() => undefined);
});

test('WeCom: an address that is not let in is told as what it is, and asks nobody for consent', async () => {
  const shop = await openShop(world, wecom, { rows: 20 });
  const body = JSON.stringify({ errcode: 60020, errmsg: 'not allow to access from your ip' });
  shop.source.setFaults([{ type: 'status', status: 200, body, contentType: 'application/json' }]);
  const { message } = await failureOfRun(shop.sync({ streams: ['departments'] }));
  expect(message).toContain('/cgi-bin/department/list refuses every call of this app (60020).');
  expect(message).toContain("not among the app's trusted IPs: add it in the admin console.");
  expect(message).not.toContain('consent');
});
