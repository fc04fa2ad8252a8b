import { describe, expect, it } from 'vitest';
import type { Directory, Fault } from '../sandbox/scim.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { livingIds, snapshot } from './harness/ours.ts';
import { recordOf } from './harness/spoil.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

describe.concurrent('totals prove nothing', () => {
  it('50 said, 500 there: all are read', async () => {
    const { name, source } = await world.scim({ users: 500, groups: 10 });
    source.setFaults([{ type: 'totalLies', total: 50, path: '/Users' }]);
    expect((await world.run(name)).users).toMatchObject({ staged: 500, added: 500 });
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('500 said, 300 there: nobody is deleted, and the run says why', async () => {
    const { name, source } = await world.scim({ users: 300, groups: 10 });
    await world.run(name);
    source.directory.removeUser(source.directory.userIds()[0]!);
    source.setFaults([{ type: 'totalLies', total: 500, path: '/Users' }]);
    const result = await world.run(name);
    expect(result.users).toMatchObject({ deleted: 0, withheld: 1 });
    expect(result.notes).toContain('1 users are missing at the source and stay: 299 of 500 rows came');
    expect(await livingIds(world.pool, name, 'users')).toHaveLength(300);
    source.setFaults([{ type: 'totalAbsent' }]);
    expect((await world.run(name)).users).toMatchObject({ deleted: 1, withheld: 0 });
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('3 rows deleted before page 2 shift the pages: 297 of 297 come, and the 3 living ones among the missing stay', async () => {
    const { name, source } = await world.scim({ users: 300, groups: 10 });
    await world.run(name);
    source.setFaults([
      { type: 'shrinkWhileReading', afterPage: 1, first: 3 },
      { type: 'totalAbsent', path: '/Users' },
    ]);
    const result = await world.run(name);
    expect(result.users).toMatchObject({ staged: 300, deleted: 0 });
    expect(result.notes).toContain('3 missing users were asked for one by one; 3 of them live');
    source.setFaults([]);
    expect((await world.run(name)).users).toMatchObject({ deleted: 3, added: 0 });
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('3 deleted and 3 created meanwhile: the total never moves, and the living ones stay all the same', async () => {
    const { name, source } = await world.scim({ users: 300, groups: 10 });
    await world.run(name);
    source.setFaults([{ type: 'between', path: '/Users', page: 1, run: replaceThree }]);
    const result = await world.run(name);
    expect(result.users).toMatchObject({ staged: 303, deleted: 0 });
    expect(result.notes).toContain('3 missing users were asked for one by one; 3 of them live');
    source.setFaults([]);
    expect((await world.run(name)).users).toMatchObject({ added: 3, deleted: 3 });
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('the direct reads wait as the source asks, and end when several are really gone', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 4 });
    await world.run(name);
    source.directory.removeUsers(source.directory.userIds().slice(0, 8));
    source.setFaults([{ type: 'rateLimit', perSecond: 3, path: '/Users', only: 'one' }]);
    const result = await world.run(name);
    expect(result.users).toMatchObject({ deleted: 8 });
    const { byPath, limited } = source.requests;
    const asked = byPath['/Users/:id']! - limited;
    expect(asked, 'each once, and one who lives before and behind them').toBeGreaterThanOrEqual(8 + 2);
    expect(asked, 'and that one again after each wait').toBeLessThanOrEqual(8 + 2 + limited);
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('behind a filter, where a direct read also finds who is outside, one is asked for together with the filter', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 4 }, { userFilter: 'active eq true' });
    const d = source.directory;
    await world.run(name);
    const skipped = d.userIds()[0]!;
    const Resources = [JSON.parse(recordOf(d, skipped, {}))];
    d.editUser(skipped, { active: false });
    // The page and the empty one behind it are true; with filter and id the third asks for one that was shown, the
    // fourth for the one that was not.
    source.setFaults([
      { type: 'status', status: 200, body: { totalResults: 1, Resources }, path: '/Users', afterRequests: 3, times: 1 },
    ]);
    const result = await world.run(name);
    expect(result).toMatchObject({ applied: {}, users: { staged: 60, deleted: 0 }, memberships: { removed: 0 } });
    expect(result.notes).toContain('1 missing users were asked for one by one; 1 of them live');
    expect(source.requests.byPath['/Users/:id'] ?? 0).toBe(0);
  });

  it('where more are missing than are asked for one by one, the guard decides', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 4 }, { confirmMissing: 5 });
    await world.run(name);
    source.directory.removeUsers(source.directory.userIds().slice(0, 6));
    expect((await world.run(name)).users).toMatchObject({ deleted: 6 });
    expect(source.requests.byPath['/Users/:id'], 'a few, none of which is there').toBe(5);
  });
});

describe.concurrent('the step is the rows that came', () => {
  const paged: [string, Fault[], Record<string, unknown>][] = [
    ['asked 200, got 50', [{ type: 'pageCap', rows: 50 }], {}],
    [
      'asked 200, got 20, and itemsPerPage says 200',
      [{ type: 'pageCap', rows: 20 }, { type: 'itemsPerPageEchoesCount' }],
      {},
    ],
    ['asked 10,000, got 200', [], { pageSize: 10_000 }],
    ['beyond the end 200 with no rows', [], { pageSize: 60 }],
    ['beyond the end the first page again', [{ type: 'wrapAround' }], {}],
    ['beyond the end the first page again, the only one', [{ type: 'wrapAround' }], { pageSize: 10_000 }],
    ['no totals', [{ type: 'totalAbsent' }], {}],
    ['active as "True"', [{ type: 'activeAsString' }], {}],
  ];
  it.each(paged)('%s', async (_, faults, options) => {
    const { name, source } = await world.scim({ users: 180, groups: 30, inactiveShare: 0.1 }, options);
    source.setFaults(faults);
    expect(await world.run(name)).toMatchObject({ users: { staged: 180, added: 180 }, groups: { added: 30 } });
    await expectSameAsSource(world.pool, name, source.directory);
    expect(await world.run(name)).toMatchObject({ applied: {}, users: { withheld: 0 }, groups: { withheld: 0 } });
  });

  it('newest first, and somebody created between two pages pushes another onto both: he counts once', async () => {
    const { name, source } = await world.scim({ users: 100, groups: 5 }, { pageSize: 40 });
    await world.run(name);
    source.setFaults([
      { type: 'newestFirst', path: '/Users' },
      { type: 'between', path: '/Users', page: 1, run: (d) => void d.addUser() },
    ]);
    expect((await world.run(name)).users).toMatchObject({ staged: 100, deleted: 0, rejected: 0 });
    source.setFaults([]);
    expect((await world.run(name)).users).toMatchObject({ added: 1 });
    await expectSameAsSource(world.pool, name, source.directory);
  });
});

describe.concurrent('groups that do not tell everything', () => {
  it('capped at 50 without paging: the others are asked for one by one, and stay', async () => {
    const { name, source } = await world.scim({ users: 150, groups: 90 });
    await world.run(name);
    source.setFaults([{ type: 'groupsCapped', groups: 50 }]);
    const result = await world.run(name);
    expect(result).toMatchObject({ groups: { deleted: 0, changed: 0 }, users: { moved: 0, deleted: 0, rejected: 0 } });
    expect(result.notes).toContain('40 missing groups were asked for one by one; 40 of them live');
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('capped, and more than are asked for one by one: those who are asked for live, and all stay', async () => {
    const { name, source } = await world.scim({ users: 150, groups: 90 }, { confirmMissing: 10 });
    await world.run(name);
    const before = await snapshot(world.pool, name);
    source.setFaults([{ type: 'groupsCapped', groups: 50 }]);
    expect(await world.run(name)).toMatchObject({ breaches: [], applied: {}, groups: { deleted: 0, withheld: 40 } });
    expect(await snapshot(world.pool, name)).toEqual(before);
  });

  it.each([
    ['always empty', 'membersEmpty'],
    ['left out', 'membersMissing'],
  ] as const)('members %s: memberships and tree stay, and so does everybody', async (_, type) => {
    const { name, source } = await world.scim({ users: 120, groups: 30, depth: 4 });
    const d = source.directory;
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const edited = d.userIds()[0]!;
    d.editUser(edited, { title: 'Still updated' });
    source.setFaults([{ type }]);
    const result = await world.run(name);
    expect(result).toMatchObject({
      users: { edited: 1, deleted: 0, rejected: 0 },
      groups: { deleted: 0, rejected: 0 },
    });
    const after = await snapshot(world.pool, name);
    expect(after.memberships).toEqual(before.memberships);
    expect(after.groups, 'parents that were not read').toEqual(before.groups);
    source.setFaults([]);
    await world.run(name);
    await expectSameAsSource(world.pool, name, d);
  });

  it('a group that comes without its id stays, and so does what hangs below it', async () => {
    const { name, source } = await world.scim({ users: 40, groups: 30, depth: 4 });
    const d = source.directory;
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const nameless = d.groupIds()[1]!;
    expect(d.findGroup(nameless)!.children.length).toBeGreaterThan(0);
    source.setFaults([{ type: 'raw', id: nameless, only: 'list', json: '{"displayName":"Nameless"}' }]);
    expect((await world.run(name)).groups).toMatchObject({ deleted: 0, withheld: 1 });
    expect((await snapshot(world.pool, name)).groups).toEqual(before.groups);
  });
});

/** Three people of the first page go and three others come, so that the total stays what it was. */
function replaceThree(d: Directory): void {
  d.removeUsers(d.userIds().slice(0, 3));
  for (let i = 0; i < 3; i++) d.addUser();
}
