import { afterEach, describe, expect, it } from 'vitest';
import { mix, unmix } from '../sandbox/scim/ids.ts';
import type { ScimSandboxOptions } from '../sandbox/scim.ts';
import { call, failure, list, type Row, start, stopScim } from './harness/scim-calls.ts';

afterEach(stopScim);

describe('data', () => {
  it('is the same for the same seed, and ids lead back to their row', async () => {
    const [a, b, c] = await Promise.all([start({ seed: 3 }), start({ seed: 3 }), start({ seed: 4 })]);
    expect(a.directory.userIds()).toEqual(b.directory.userIds());
    expect(a.directory.userIds()).not.toEqual(c.directory.userIds());
    expect(new Set([...a.directory.userIds(), ...a.directory.groupIds()]).size).toBe(69);
    for (const value of [0, 1, 77, 0x7fffffff, 0xffffffff]) expect(unmix(mix(value))).toBe(value);
    expect(a.directory.findPerson(c.directory.userIds()[0]!)).toBeUndefined();
  });

  it('is a tree of the depth asked for, with different names among siblings and everybody in a group', async () => {
    const sandbox = await start({ users: 2000, groups: 200, maxPageSize: 5000, depth: 4 });
    const { Resources } = await list(sandbox, '/Groups?count=5000');
    type Member = { value: string; type: string; display: string };
    const members = new Map(Resources.map((group) => [group.id, group.members as Member[]]));
    const levels = (id: string): number =>
      1 +
      Math.max(
        0,
        ...members
          .get(id)!
          .filter(({ type }) => type === 'Group')
          .map(({ value }) => levels(value)),
      );
    const children = [...members.values()].map((list) => list.filter(({ type }) => type === 'Group'));
    expect(levels(Resources[0]!.id)).toBe(4);
    expect(children.flat()).toHaveLength(199);
    for (const siblings of children) expect(new Set(siblings.map(({ display }) => display)).size).toBe(siblings.length);
    const people = [...members.values()].flat().filter(({ type }) => type === 'User');
    expect(new Set(people.map(({ value }) => value)).size).toBe(2000);
    expect(people.length / 2000).toBeCloseTo(1.5, 1);
    expect(sandbox.directory.counts()).toEqual({ users: 2000, groups: 200, memberships: people.length });
  });

  it('changes the counts it reports and nothing else', async () => {
    const sandbox = await start({ users: 2000, groups: 30, maxPageSize: 5000, userGroups: true });
    const read = async () => new Map((await list(sandbox, '/Users?count=5000')).Resources.map((row) => [row.id, row]));
    const before = await read();
    const { memberships } = sandbox.directory.counts();
    const done = sandbox.change({ share: 0.1, seed: 2 });
    const after = await read();
    expect(done).toMatchObject({ edited: 100, added: 40, removed: 40, moved: 20 });
    expect([...after.keys()].filter((id) => !before.has(id))).toHaveLength(40);
    expect([...before.keys()].filter((id) => !after.has(id))).toHaveLength(40);
    const differs = (attributes: (row: Row) => unknown) =>
      [...after].filter(
        ([id, row]) =>
          before.has(id) && JSON.stringify(attributes(row)) !== JSON.stringify(attributes(before.get(id)!)),
      );
    expect(differs(({ groups, meta, ...fields }) => fields)).toHaveLength(100);
    expect(differs(({ groups }) => groups)).toHaveLength(20);
    expect(sandbox.directory.counts().memberships).toBe(memberships + done.membershipsAdded - done.membershipsRemoved);
  });

  it('moves lastModified of whom the option names', async () => {
    const bumped = async (membershipBumps: ScimSandboxOptions['membershipBumps']) => {
      const sandbox = await start({ membershipBumps });
      const [user] = sandbox.directory.userIds();
      sandbox.directory.addMember(sandbox.directory.addGroup({ displayName: 'Extra' }), user!);
      return (await list(sandbox, '/Users?filter=meta.lastModified gt "2025-01-01T00:00:00Z"')).totalResults;
    };
    expect([await bumped('group'), await bumped('none'), await bumped('user'), await bumped('both')]).toEqual([
      0, 0, 1, 1,
    ]);
  });
});

describe('writes', () => {
  it('creates, patches as real clients write it, replaces and deletes', async () => {
    const sandbox = await start();
    const created = await call(sandbox, '/Users', {
      method: 'POST',
      body: { userName: 'Nova@example.org', title: 'Cook' },
    });
    const { id } = JSON.parse(created.text);
    expect([created.status, created.headers.location]).toEqual([201, `${sandbox.url}/Users/${id}`]);
    expect(await failure(sandbox, '/Users', { method: 'POST', body: { userName: 'nova@EXAMPLE.org' } })).toMatchObject({
      status: 409,
      scimType: 'uniqueness',
    });
    const off = {
      Operations: [
        { op: 'Replace', path: 'active', value: 'False' },
        { op: 'remove', path: 'title' },
      ],
    };
    const patched = JSON.parse((await call(sandbox, `/Users/${id}`, { method: 'PATCH', body: off })).text);
    expect([patched.active, patched.title]).toEqual([false, undefined]);

    const group = sandbox.directory.addGroup({ displayName: 'Crew' });
    const join = { Operations: [{ op: 'Add', path: 'members', value: [{ value: id }] }] };
    expect(
      JSON.parse((await call(sandbox, `/Groups/${group}`, { method: 'PATCH', body: join })).text).members,
    ).toHaveLength(1);
    const leave = { Operations: [{ op: 'remove', path: `members[value eq "${id}"]` }] };
    expect(
      JSON.parse((await call(sandbox, `/Groups/${group}`, { method: 'PATCH', body: leave })).text).members,
    ).toEqual([]);
    const named = { displayName: 'Ship', members: [{ value: id }] };
    expect(JSON.parse((await call(sandbox, `/Groups/${group}`, { method: 'PUT', body: named })).text)).toMatchObject(
      named,
    );
    expect((await call(sandbox, `/Users/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await call(sandbox, `/Users/${id}`)).status).toBe(404);
    expect(JSON.parse((await call(sandbox, `/Groups/${group}`)).text).members).toEqual([]);
  });

  it('gives a user name again when its owner has gone or has another one', async () => {
    const { directory } = await start();
    const first = directory.addUser({ userName: 'twin@example.org' });
    expect(() => directory.addUser({ userName: 'Twin@example.org' })).toThrow('userName is taken by another user');
    directory.renameUser(first, 'single@example.org');
    const second = directory.addUser({ userName: 'twin@example.org' });
    expect(directory.findByUserName('TWIN@example.org')).toBe(directory.findPerson(second));
    directory.removeUsers([first, second]);
    expect(directory.findByUserName('twin@example.org')).toBeUndefined();
    directory.addUser({ userName: 'single@example.org' });
  });

  it('moves, unties and removes groups', async () => {
    const { directory, ...sandbox } = await start();
    const [root, first, second] = directory.groupIds() as [string, string, string];
    const childrenOf = async (id: string) => {
      const { members } = JSON.parse((await call(sandbox, `/Groups/${id}`)).text);
      return members
        .filter(({ type }: { type: string }) => type === 'Group')
        .map(({ value }: { value: string }) => value);
    };
    directory.moveGroup(second, first);
    expect(await childrenOf(first)).toContain(second);
    expect(await childrenOf(root)).not.toContain(second);
    const { memberships } = directory.counts();
    const lost = directory.findGroup(first)!.people.length;
    directory.removeGroup(first);
    expect(directory.findGroup(second)!.parents).toEqual([]);
    expect(directory.counts()).toMatchObject({ groups: 11, memberships: memberships - lost });
  });
});
