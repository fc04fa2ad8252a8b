import { describe, expect, it } from 'vitest';
import { readStanding } from '../db/org/report.ts';
import type { Directory } from '../sandbox/scim.ts';
import { decline, progress } from '../workflows/org.gate.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { rejectLines, snapshot } from './harness/ours.ts';
import { until } from './harness/until.ts';
import { type Handle, openWorld } from './harness/world.ts';

const world = await openWorld();
const absent = { type: 'attributeAbsent', attribute: 'externalId', path: '/Groups' } as const;

describe.concurrent('parents that groups name by an attribute', () => {
  it('absent everywhere were not read: the tree stays in both modes, and the run says so', async () => {
    const { name, source } = await tree();
    const d = source.directory;
    const before = await snapshot(world.pool, name);
    const held = before.groups!.filter((row) => !row.includes('"parent_id": null')).length;
    expect(held).toBeGreaterThan(100);
    source.setFaults([absent]);
    const note = `no group named its parent: ${held} groups stay where they hang`;
    for (const mode of ['incremental', 'full']) {
      const result = await world.run(name, { mode });
      expect(result).toMatchObject({ outcome: 'applied', groups: { changed: 0, rejected: 0 }, applied: {} });
      expect(result.notes).toContain(note);
    }
    expect(await snapshot(world.pool, name)).toEqual(before);

    const renamed = d.groupIds()[5]!;
    d.renameGroup(renamed, 'Renamed meanwhile');
    const fresh = d.addGroup({ displayName: 'Fresh' });
    expect((await world.run(name)).groups).toMatchObject({ added: 1, changed: 1 });
    expect(await parentOf(name, renamed)).toBe(parentsIn(d).get(renamed));
    expect(await parentOf(name, fresh), 'a group we never held').toBeNull();
    expect(await rejectLines(world.pool, name)).toEqual([]);

    source.setFaults([]);
    expect((await world.run(name)).notes).toEqual([]);
    await expectSameAsSource(world.pool, name, d);
  });

  it('absent of one group means that it has none; members of groups never count beside the attribute', async () => {
    const { name, source } = await tree({ users: 20, groups: 12 });
    const moved = source.directory.groupIds().find((id) => parentsIn(source.directory).has(id))!;
    source.setFaults([{ ...absent, ids: [moved] }]);
    const result = await world.run(name);
    expect(result).toMatchObject({ groups: { changed: 1 }, notes: [] });
    expect(await parentOf(name, moved)).toBeNull();
  });

  it('empty for the roots means that they have none, as null does', async () => {
    const { name, source } = await tree();
    const d = source.directory;
    const before = await snapshot(world.pool, name);
    const parents = parentsIn(d);
    const roots = d.groupIds().filter((id) => !parents.has(id));
    expect(roots.length).toBeGreaterThan(0);
    for (const id of roots) d.editGroup(id, { externalId: '' });
    const moved = d.groupIds().find((id) => parents.has(id))!;
    d.editGroup(moved, { externalId: '' });
    expect(await world.run(name)).toMatchObject({ groups: { changed: 1, rejected: 0 }, notes: [] });
    expect(await parentOf(name, moved)).toBeNull();
    d.editGroup(moved, { externalId: parents.get(moved)! });
    await world.run(name);
    expect((await snapshot(world.pool, name)).memberships).toEqual(before.memberships);
    expect(await rejectLines(world.pool, name)).toEqual([]);
  });

  it('null everywhere is an answer: more than half of the groups change, so the run asks', async () => {
    const { name, source } = await tree();
    const before = await snapshot(world.pool, name);
    const held = parentsIn(source.directory).size;
    source.setFaults([{ type: 'attributeNull', attribute: 'externalId', path: '/Groups' }]);
    const handle = await world.start(name);
    const digest = await parked(handle, [{ guard: 'group changes', planned: held, of: 120, allowed: 60 }]);
    await handle.executeUpdate(decline, { args: [{ digest }] });
    expect(await handle.result()).toMatchObject({ outcome: 'declined', applied: {} });
    expect(await snapshot(world.pool, name)).toEqual(before);
  });
});

describe.concurrent('parents that tell groups as their members', () => {
  it('where none does any more, the tree stays and the run says so; the option allowEmpty makes it flat', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 30, depth: 4 });
    const d = source.directory;
    for (const id of d.groupIds()) d.renameGroup(id, id);
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const nested = [...parentsIn(d).keys()];
    for (const id of nested) d.moveGroup(id, null);
    const note = `no group is a member of another: ${nested.length} groups stay where they hang. If the tree is flat now: npx syncline connect ${name} --option allowEmpty=true, then start again`;
    for (const mode of ['incremental', 'full'])
      expect(await world.run(name, { mode })).toMatchObject({ applied: {}, groups: { changed: 0 }, notes: [note] });
    expect(await snapshot(world.pool, name)).toEqual(before);
    expect((await readStanding(world.pool, name)).doubts).toEqual([note]);

    await world.pool.query(
      `UPDATE syncline.connections SET options = options || '{"allowEmpty": true}' WHERE id = $1`,
      [name],
    );
    expect(await world.run(name)).toMatchObject({ groups: { changed: nested.length }, notes: [] });
    await expectSameAsSource(world.pool, name, d);
  });

  it('a parent that is gone leaves roots behind, also where no group is a member of another any more', async () => {
    const { name, source } = await world.scim({ users: 20, groups: 3, depth: 1 });
    const d = source.directory;
    const [top, child] = d.groupIds() as [string, string];
    d.moveGroup(child, top);
    await world.run(name);
    expect(await parentOf(name, child)).toBe(top);
    d.removeGroup(top);
    await world.run(name);
    expect(await parentOf(name, child)).toBeNull();
  });
});

describe.concurrent('many groups changed at once', () => {
  it('half of them: not asked; below 100 groups, or with the guard at 100 percent: neither', async () => {
    const { name, source } = await world.scim({ users: 20, groups: 120 });
    await world.run(name);
    rename(source.directory, 60);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', breaches: [], groups: { changed: 60 } });
    for (const [groups, options] of [
      [99, {}],
      [120, { guards: { groups: { changesPercent: 100 } } }],
    ] as const) {
      const other = await world.scim({ users: 20, groups }, options);
      await world.run(other.name);
      rename(other.source.directory, groups);
      expect(await world.run(other.name)).toMatchObject({ breaches: [], groups: { changed: groups } });
    }
  });
});

/** A directory whose groups name their parents, as filled by a first run. */
async function tree(size: { users: number; groups: number } = { users: 60, groups: 120 }) {
  const made = await world.scim({ ...size, depth: 4 }, { parentAttribute: 'externalId' });
  const d = made.source.directory;
  // Each name is free everywhere: siblings of one name would be handed back before anybody counts them.
  for (const id of d.groupIds()) d.editGroup(id, { displayName: id, externalId: parentsIn(d).get(id) ?? null });
  await world.run(made.name);
  return made;
}

/** By id of the child. */
function parentsIn(d: Directory): Map<string, string> {
  const found = new Map<string, string>();
  for (const id of d.groupIds()) {
    const [parent] = d.findGroup(id)!.parents;
    if (parent !== undefined) found.set(id, d.id('Group', parent));
  }
  return found;
}

function rename(d: Directory, count: number): void {
  for (const id of d.groupIds().slice(0, count)) d.renameGroup(id, `Renamed ${id}`);
}

async function parentOf(connection: string, id: string): Promise<string | null> {
  const { rows } = await world.pool.query('SELECT parent_id FROM org.groups WHERE connection_id = $1 AND id = $2', [
    connection,
    id,
  ]);
  return rows[0].parent_id;
}

async function parked(run: Handle, breaches: object[]): Promise<string> {
  const asked = await until('a parked run', async () => (await run.query(progress)).parked);
  expect(asked.breaches).toEqual(breaches);
  return asked.digest!;
}

describe.concurrent('what a run was not told stands in its plan', () => {
  it('a total that is never reached: who is gone stays, and so does the doubt when nobody is missing', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 6 });
    await world.run(name);
    source.setFaults([{ type: 'totalLies', total: 5_000, path: '/Users' }]);
    const nobody = 'whoever goes missing among the users would stay: 60 of 5000 rows came';
    expect((await world.run(name)).notes).toEqual([nobody]);
    expect((await readStanding(world.pool, name)).doubts).toEqual([nobody]);
    source.directory.removeUsers(source.directory.userIds().slice(0, 2));
    const two = '2 users are missing at the source and stay: 58 of 5000 rows came';
    expect((await world.run(name)).notes).toEqual([two]);
    expect((await readStanding(world.pool, name)).doubts).toEqual([two]);
    source.setFaults([]);
    await world.run(name);
    expect((await readStanding(world.pool, name)).doubts).toEqual([]);
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('member lists that are missing or empty for every group: kept, said, and not counted as read', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 6, depth: 1 });
    const filled = await world.run(name);
    const held = filled.memberships!.staged;
    expect(held).toBeGreaterThan(60);
    const before = await snapshot(world.pool, name);
    for (const [type, what] of [
      ['membersEmpty', 'member lists came empty for every group'],
      ['membersMissing', 'no group came with a member list'],
    ] as const) {
      source.setFaults([{ type, path: '/Groups' }]);
      const result = await world.run(name);
      expect(result).toMatchObject({ applied: {}, memberships: { staged: 0, added: 0, removed: 0 } });
      expect(result.notes).toEqual([`${what}: ${held} memberships in 6 groups are kept`]);
      expect((await readStanding(world.pool, name)).doubts).toEqual(result.notes);
    }
    expect(await snapshot(world.pool, name)).toEqual(before);
    source.setFaults([]);
    expect(await world.run(name)).toMatchObject({ notes: [], memberships: { staged: held } });
  });

  it('members none of whom is a person of the list: as good as not told, ours are kept', async () => {
    const { name, source } = await world.scim({ users: 30, groups: 4, depth: 1 }, { usersWithoutGroup: 'accept' });
    await world.run(name);
    const before = await snapshot(world.pool, name);
    source.setFaults(
      source.directory.groupIds().map((id) => ({
        type: 'raw' as const,
        id,
        json: JSON.stringify({
          id,
          displayName: source.directory.findGroup(id)?.displayName,
          members: [{ value: `stranger of ${id}`, type: 'User' }],
        }),
      })),
    );
    expect(await world.run(name)).toMatchObject({ users: { rejected: 4 }, memberships: { added: 0, removed: 0 } });
    const { memberships } = await snapshot(world.pool, name);
    expect(memberships).toEqual(before.memberships);
  });

  it('a run of one person counts the groups it read and the memberships it was told', async () => {
    const { name, source } = await world.scim({ users: 20, groups: 6 });
    await world.run(name);
    const d = source.directory;
    const [user] = d.userIds() as [string];
    const result = await world.run(name, { only: { user } });
    expect(result).toMatchObject({
      groups: { staged: 6, added: 0, changed: 0, deleted: 0 },
      users: { staged: 1 },
      memberships: { staged: d.groupsOf(d.findPerson(user)!).length },
    });
  });
});
