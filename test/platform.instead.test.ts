import { describe, expect, test } from 'vitest';
import { show } from '../sandbox/company.ts';
import { feishu } from '../sandbox/feishu.ts';
import { openShop, resultOf } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

describe('departments that are too many to be listed at once', () => {
  test('are read level by level, with all their people', async () => {
    const shop = await openShop(world, feishu, { rows: 200 });
    show(shop.source.lists, { tooBig: true });
    const result = await shop.sync();
    expect(result.outcome).toBe('whole');
    expect(resultOf(result, 'departments')).toMatchObject({ kind: 'full', written: 9 });
    await shop.expectSame('departments');
    await shop.expectSame('users');
    shop.source.lists.departments!.remove(shop.source.lists.departments!.ids().at(-1)!);
    expect(resultOf(await shop.sync({ streams: ['departments'] }), 'departments')).toMatchObject({ deleted: 1 });
    await shop.expectSame('departments');
  });

  test('go on level by level behind a call that failed', async () => {
    const shop = await openShop(world, feishu, { rows: 200 });
    show(shop.source.lists, { tooBig: true });
    shop.source.setFaults([
      { type: 'status', status: 502, api: 'contact/v3/departments/children', after: 3, times: 1 },
    ]);
    expect(resultOf(await shop.sync({ streams: ['departments'] }), 'departments')).toMatchObject({
      outcome: 'whole',
      rows: 9,
    });
    expect(shop.source.requests.byApi['contact/v3/departments/children']?.total).toBeLessThan(20);
    await shop.expectSame('departments');
  });
});
