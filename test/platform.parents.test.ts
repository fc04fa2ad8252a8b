import { describe, expect, test } from 'vitest';
import { dingtalk } from '../sandbox/dingtalk.ts';
import type { Api, Lists } from '../sandbox/platform/fixture.ts';
import type { Fault, Fixture } from '../sandbox/platform.ts';
import { taobao } from '../sandbox/taobao.ts';
import { wecom } from '../sandbox/wecom.ts';
import { openShop, resultOf, type Shop } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const both = ['departments', 'users'];
const refused = (api: string, kind: 'permission' | 'invalid' = 'permission'): Fault => ({ type: 'refuse', kind, api });

/** The platform, where something happens when an API is called. */
function meanwhile(fixture: Fixture, api: string, happens: (params: Record<string, unknown>, lists: Lists) => void) {
  const { check, ...rest } = fixture.apis[api] as Api;
  const seen: Api['check'] = (params, lists) => {
    happens(params, lists);
    check?.(params, lists);
  };
  return { ...fixture, apis: { ...fixture.apis, [api]: { ...rest, check: seen } } };
}

async function watermarkOf(shop: Shop, stream: string): Promise<Date | null> {
  const { rows } = await world.pool.query(
    'SELECT watermark FROM syncline.streams WHERE connection_id = $1 AND stream = $2',
    [shop.name, stream],
  );
  return rows[0].watermark;
}

/** People of the last department, who stand in another one from the moment on when people are read. */
const moved = (lists: Lists, department: string) => {
  for (const id of lists.people!.ids().slice(80, 95)) lists.people!.update(id, { departments: [department] });
};

describe('who is missing from people that are read department by department', () => {
  test.each<[string, (lists: Lists) => string]>([
    ['moved to a department that was read already', () => '1'],
    [
      'moved to a department that came since the departments were read',
      (lists) => lists.departments!.create({ name: 'New', parent: '1' }).id,
    ],
  ])('stays when they %s; who left is gone', async (_, to) => {
    let armed = false;
    const fixture = meanwhile(wecom, 'user/list', ({ department_id }, lists) => {
      if (!armed || String(department_id) !== '2') return;
      armed = false;
      moved(lists, to(lists));
    });
    const shop = await openShop(world, fixture, { rows: 100 });
    await shop.sync({ streams: both });
    const { people } = shop.source.lists;
    for (const id of people!.ids().slice(30, 33)) people!.remove(id);
    armed = true;
    const result = await shop.sync({ streams: both });
    expect(resultOf(result, 'users')).toMatchObject({ outcome: 'whole', deleted: 3, withheld: 0, unsure: 0, rows: 97 });
    await shop.expectSame('users');
    await shop.expectSame('departments');
  });

  test('stays when the departments could not be read, or were not', async () => {
    const shop = await openShop(world, dingtalk, { rows: 100 });
    await shop.sync();
    const { departments } = shop.source.lists;
    moved(shop.source.lists, departments!.create({ name: 'New', parent: '1' }).id);
    shop.source.setFaults([refused('topapi/v2/department/listsub')]);
    const why =
      'departments, for whose rows it is read, was not read again before it: what belongs to new ones is missing. Read departments and users in one run';
    const doubtful = { outcome: 'doubtful', deleted: 0, withheld: 15, doubt: why };
    expect(resultOf(await shop.sync(), 'users')).toMatchObject(doubtful);
    shop.source.setFaults([]);
    expect(resultOf(await shop.sync({ streams: ['users'] }), 'users')).toMatchObject(doubtful);
    expect(resultOf(await shop.sync(), 'users')).toMatchObject({ outcome: 'whole', deleted: 0 });
    await shop.expectSame('users');
  });

  test('stays when the platform refuses a department', async () => {
    const shop = await openShop(world, wecom, { rows: 100 });
    await shop.sync({ streams: both });
    shop.source.setFaults([{ ...refused('user/list', 'invalid'), after: 3, times: 1 } as Fault]);
    const result = resultOf(await shop.sync({ streams: both }), 'users');
    expect(result).toMatchObject({ outcome: 'doubtful', deleted: 0, withheld: 20, rejected: 1 });
    expect(result.doubt).toMatch(/^departments that the platform refuses \(\w+\) hide what belongs to them$/);
    await shop.expectSame('users');
  });
});

test('a department that moves below one that was read already stays; one that left is gone', async () => {
  const api = 'topapi/v2/department/listsub';
  let armed = false;
  const fixture = meanwhile(dingtalk, api, ({ dept_id }, lists) => {
    const ids = lists.departments!.ids();
    if (!armed || String(dept_id) !== ids[2]) return;
    armed = false;
    lists.departments!.update(ids.at(-1)!, { parent: '1' });
  });
  const shop = await openShop(world, fixture, { rows: 300 });
  await shop.sync({ streams: ['departments'] });
  shop.source.lists.departments!.remove(shop.source.lists.departments!.ids().at(-2)!);
  armed = true;
  const result = resultOf(await shop.sync({ streams: ['departments'] }), 'departments');
  expect(result).toMatchObject({ outcome: 'whole', deleted: 1, unsure: 0 });
  await shop.expectSame('departments');
});

describe('a stream whose parent was never read', () => {
  test.each<[string, Fixture, string, string, string]>([
    ['people of departments', wecom, 'department/list', 'departments', 'users'],
    ['details of trades', taobao, 'taobao.trades.sold.increment.get', 'trades', 'trade_details'],
  ])('is in doubt, and has no watermark: %s', async (_, fixture, api, parent, child) => {
    const shop = await openShop(world, fixture, { rows: 30, faults: [refused(api)] });
    const result = resultOf(await shop.sync({ streams: [parent, child] }), child);
    expect(result).toMatchObject({
      outcome: 'doubtful',
      rows: 0,
      doubt: `${parent}, for whose rows it is read, was never read to its end. Read ${parent} and ${child} in one run`,
    });
    expect(await watermarkOf(shop, child)).toBe(null);
    shop.source.setFaults([]);
    expect(resultOf(await shop.sync({ streams: [parent, child] }), child).outcome).toBe('whole');
    await shop.expectSame(child);
  });
});
