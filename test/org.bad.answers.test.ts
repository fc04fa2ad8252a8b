import { describe, expect, it } from 'vitest';
import type { Fault } from '../sandbox/scim.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { expectNoStage, livingIds, rejectsOf, snapshot } from './harness/ours.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const size = { users: 60, groups: 6 };
const small = { pageSize: 20 };

interface Spoiled {
  what: string;
  fault: Fault;
  /** Behind the step's name and the address. */
  message: RegExp;
  type?: string;
}

const spoiled: Spoiled[] = [
  {
    what: 'truncated JSON',
    fault: { type: 'truncatedJson', path: '/Users' },
    message: /answered 200 with truncated or broken JSON \(application\/scim\+json, \d+ bytes\) instead of JSON/,
  },
  {
    what: 'a login page instead of JSON',
    fault: { type: 'html', path: '/Users' },
    message: /answered 200 with HTML \(text\/html, \d+ bytes\) instead of JSON: a login page, a proxy or a cut answer$/,
  },
  {
    what: 'a body `{}`, as a deactivated connection gives it',
    fault: { type: 'emptyObject', path: '/Users' },
    message: /answered 200 without Resources \(totalResults absent\): no list, or no permission to see its rows$/,
  },
  {
    what: 'JSON that is no object',
    fault: { type: 'status', status: 200, body: '[]', path: '/Users' },
    message: /answered 200 with JSON that is no object$/,
  },
  {
    what: 'success and no rows for lack of permission',
    fault: { type: 'noPermission', path: '/Users' },
    message: /names 60 users and shows none: the credential has no permission to see them$/,
  },
  {
    what: 'a page that repeats',
    fault: { type: 'repeatPage', path: '/Users' },
    message: /repeats a page after 20 of 60 users: the server ignores startIndex. Try the option paging: "cursor"$/,
  },
  {
    what: 'a refused request',
    fault: { type: 'status', status: 400, scimType: 'tooMany', path: '/Users' },
    message: /answered 400 \(tooMany\)$/,
  },
  {
    what: 'no such list',
    fault: { type: 'status', status: 404, path: '/Users' },
    message: /does not exist \(404\): is the base address the SCIM service root\?$/,
  },
  {
    what: 'an empty list after a full one',
    fault: { type: 'emptyList', path: '/Users' },
    type: 'EmptyAnswer',
    message: /The source answered with no users where we hold 60: nothing was changed. Check the credential's rights/,
  },
  {
    what: 'no groups after some',
    fault: { type: 'emptyList', path: '/Groups' },
    type: 'EmptyAnswer',
    message: /The source answered with no groups where we hold 6: nothing was changed/,
  },
];

describe.concurrent('an answer that is no list ends the run, and nothing of ours changes', () => {
  it.each(spoiled)('$what', async ({ fault, message, type = 'BadAnswer' }) => {
    const { name, source } = await world.scim(size, small);
    await world.run(name);
    const before = await snapshot(world.pool, name);
    // Not a change that could be lost behind the fault.
    source.directory.editUser(source.directory.userIds()[0]!, { title: 'Changed meanwhile' });
    source.setFaults([fault]);
    const failure = await world.fail(name);
    expect(failure.type).toBe(type);
    expect(failure.message).toMatch(message);
    expect(failure.message).toMatch(fault.path === '/Groups' ? /^stageGroups: / : /^stageUsers: /);
    if (type === 'BadAnswer') expect(failure.message).toContain(`${source.url}${fault.path}`);
    expect(failure.message, 'a token in a failure').not.toContain(source.token);
    expect(await snapshot(world.pool, name)).toEqual(before);
    expect(await rejectsOf(world.pool, name)).toEqual([]);
    await expectNoStage(world.pool, name);
    source.setFaults([]);
    expect((await world.run(name)).users).toMatchObject({ edited: 1, deleted: 0 });
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('an empty directory is accepted where we hold nothing', async () => {
    const { name } = await world.scim({ users: 0, groups: 0 });
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { staged: 0 }, groups: { staged: 0 } });
    expect(await livingIds(world.pool, name, 'users')).toEqual([]);
  });
});

describe.concurrent('trouble that passes is not seen in the result', () => {
  const passing: [string, Fault][] = [
    ['one cut connection', { type: 'cutConnection', path: '/Users', afterRequests: 1, times: 1 }],
    ['one truncated page', { type: 'truncatedJson', path: '/Users', afterRequests: 1, times: 1 }],
    ['one login page', { type: 'html', path: '/Groups', times: 1 }],
    ['one `{}`', { type: 'emptyObject', path: '/Users', afterRequests: 2, times: 1 }],
    ['one page that repeats', { type: 'repeatPage', path: '/Users', afterRequests: 1, times: 1 }],
    ['a page without rows in the middle', { type: 'noPermission', path: '/Users', afterRequests: 1, times: 1 }],
  ];
  it.each(passing)('%s', async (_, fault) => {
    const { name, source } = await world.scim(size, small);
    await world.run(name);
    const gone = source.directory.userIds()[0]!;
    source.directory.removeUser(gone);
    source.setFaults([fault]);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { added: 0, deleted: 1 } });
    await expectSameAsSource(world.pool, name, source.directory);
  });
});

describe.concurrent('a total that falls while it is read', () => {
  it('is read a second time, which agrees with itself: only who is gone is deleted', async () => {
    const { name, source } = await world.scim(size, small);
    await world.run(name);
    source.setFaults([{ type: 'shrinkWhileReading', afterPage: 1, first: 3 }]);
    expect((await world.run(name)).users).toMatchObject({ deleted: 3, withheld: 0 });
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('in both passes: nobody is deleted, and the run says why', async () => {
    const { name, source } = await world.scim(size, small);
    await world.run(name);
    const before = await livingIds(world.pool, name, 'users');
    source.setFaults([{ type: 'shrinkWhileReading', afterPage: 1, first: 3, times: 2 }]);
    const result = await world.run(name);
    expect(result.users!.deleted).toBe(0);
    expect(result.users!.withheld).toBeGreaterThanOrEqual(6);
    expect(result.notes.join('\n')).toMatch(
      /\d+ users are missing at the source and stay: the total fell from 57 to 54 while it was read, so rows may have moved/,
    );
    expect(await livingIds(world.pool, name, 'users')).toEqual(before);
    source.setFaults([]);
    expect((await world.run(name)).users).toMatchObject({ deleted: 6 });
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('of groups in both passes: no group is deleted, and the tree stays as it was', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 40, depth: 4 }, small);
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const leaves = source.directory.groupIds().slice(-2);
    // The first page shrinks by two leaves put there, so two living groups slip from the second page to the first.
    source.setFaults([
      { type: 'between', path: '/Groups', page: 1, times: 1, run: (d) => void d.removeGroup(d.groupIds()[19]!) },
      {
        type: 'between',
        path: '/Groups',
        page: 1,
        times: 1,
        afterRequests: 3,
        run: (d) => void d.removeGroup(d.groupIds()[18]!),
      },
    ]);
    const result = await world.run(name);
    expect(result.groups).toMatchObject({ deleted: 0 });
    expect(result.notes.join('\n')).toMatch(/groups are missing at the source and stay: the total fell from/);
    const after = await snapshot(world.pool, name);
    expect(after.groups!.length).toBe(before.groups!.length);
    expect(leaves.every((id) => after.groups!.some((row) => row.includes(id)))).toBe(true);
    source.setFaults([]);
    await world.run(name);
    await expectSameAsSource(world.pool, name, source.directory);
  });
});
