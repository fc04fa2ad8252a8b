import { describe, expect, it } from 'vitest';
import type { Directory } from '../sandbox/scim.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { livingIds, rejectLines, rejectsOf, snapshot } from './harness/ours.ts';
import { onlyIn, positionOf, withAllBelow, without } from './harness/spoil.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

describe.concurrent('a tree that is none', () => {
  it('a cycle in a thousand groups: it and what hangs below is parked, everything else is written', async () => {
    const { name, source } = await world.scim({ users: 200, groups: 1_000, depth: 6 });
    const d = source.directory;
    const { top, ring, tangled } = makeCycle(d);
    const homeless = onlyIn(d, tangled);
    expect(tangled.size).toBeGreaterThan(ring.length);
    const result = await world.run(name);
    expect(result).toMatchObject({
      outcome: 'applied',
      groups: { added: 1_000 - tangled.size, rejected: tangled.size },
    });
    expect(await livingIds(world.pool, name, 'groups')).toEqual(without(d.groupIds(), tangled));
    expect(await livingIds(world.pool, name, 'users')).toEqual(without(d.userIds(), homeless));
    expect(await rejectLines(world.pool, name)).toEqual(
      [
        ...[...tangled].map((id) => `groups ${id} ${ring.includes(id) ? 'cycle' : 'below_cycle'} parentId`),
        ...[...homeless].map((id) => `users ${id} no_group groups`),
      ].sort(),
    );
    const reject = (await rejectsOf(world.pool, name)).find((r) => r.source_id === top);
    expect(JSON.parse(reject!.record!)).toMatchObject({ id: top, parentId: ring.at(-1) });

    d.moveGroup(top, d.groupIds()[0]!);
    expect(await world.run(name)).toMatchObject({ groups: { added: tangled.size, rejected: 0 } });
    await expectSameAsSource(world.pool, name, d);
    expect(await rejectsOf(world.pool, name)).toEqual([]);
  });

  it('a cycle among groups we hold: they and their people stay, the rest goes on', async () => {
    const { name, source } = await world.scim({ users: 100, groups: 60, depth: 5 });
    const d = source.directory;
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const { top, tangled } = makeCycle(d);
    const free = d.groupIds().find((id) => !tangled.has(id) && d.findGroup(id)!.parents.length > 0)!;
    d.renameGroup(free, 'Renamed meanwhile');
    const result = await world.run(name);
    expect(result).toMatchObject({ groups: { changed: 1, deleted: 0 }, users: { deleted: 0, rejected: 0, moved: 0 } });
    const after = await snapshot(world.pool, name);
    expect(after.memberships).toEqual(before.memberships);
    expect(after.users).toEqual(before.users);
    expect(after.groups!.filter((row) => !row.includes(`"${free}"`))).toEqual(
      before.groups!.filter((row) => !row.includes(`"${free}"`)),
    );
    d.moveGroup(top, d.groupIds()[0]!);
    await world.run(name);
    await expectSameAsSource(world.pool, name, d);
  });

  it('an orphan: a parent that does not exist parks the group and what hangs below it', async () => {
    const { name, source } = await world.scim({ users: 80, groups: 30, depth: 4 }, { parentAttribute: 'externalId' });
    const d = source.directory;
    writeParents(d);
    const orphan = d.groupIds()[2]!;
    const tangled = withAllBelow(d, orphan);
    expect(tangled.size).toBeGreaterThan(1);
    d.editGroup(orphan, { externalId: 'no-such-group' });
    expect((await world.run(name)).groups).toMatchObject({ added: 30 - tangled.size, rejected: tangled.size });
    const lines = (await rejectLines(world.pool, name)).filter((line) => line.startsWith('groups'));
    expect(lines).toEqual(
      [...tangled].map((id) => `groups ${id} ${id === orphan ? 'orphan_parent' : 'parent_parked'} parentId`).sort(),
    );
    const reject = (await rejectsOf(world.pool, name)).find((r) => r.source_id === orphan);
    expect(JSON.parse(reject!.record!)).toMatchObject({ id: orphan, parentId: 'no-such-group' });
    writeParents(d);
    await world.run(name);
    await expectSameAsSource(world.pool, name, d);
  });

  it('a group with two parents', async () => {
    const { name, source } = await world.scim({ users: 80, groups: 30, depth: 4 });
    const d = source.directory;
    const [, left, right] = d.groupIds() as [string, string, string];
    const child = d.id('Group', d.findGroup(left)!.children[0]!);
    const tangled = withAllBelow(d, child);
    d.addMember(right, child);
    expect((await world.run(name)).groups).toMatchObject({ added: 30 - tangled.size, rejected: tangled.size });
    const lines = (await rejectLines(world.pool, name)).filter((line) => line.startsWith('groups'));
    expect(lines.filter((line) => line.includes('several_parents'))).toEqual([
      `groups ${child} several_parents parentId`,
    ]);
    expect(lines).toHaveLength(tangled.size);
    d.removeMember(right, child);
    await world.run(name);
    await expectSameAsSource(world.pool, name, d);
  });

  it('deeper than the connection accepts', async () => {
    const { name, source } = await world.scim({ users: 80, groups: 31, depth: 5 }, { maxDepth: 3 });
    const d = source.directory;
    const deep = d.groupIds().filter((id) => levelOf(d, id) > 3);
    expect(deep.length).toBeGreaterThan(0);
    expect((await world.run(name)).groups).toMatchObject({ added: 31 - deep.length, rejected: deep.length });
    const lines = (await rejectLines(world.pool, name)).filter((line) => line.startsWith('groups'));
    expect(lines).toEqual(
      deep.map((id) => `groups ${id} ${levelOf(d, id) === 4 ? 'too_deep' : 'parent_parked'} parentId`).sort(),
    );
    expect(await livingIds(world.pool, name, 'groups')).toEqual(without(d.groupIds(), new Set(deep)));
  });
});

describe.concurrent('groups with bad fields', () => {
  it('siblings of one name: both new are handed back; who holds it keeps it', async () => {
    const { name, source } = await world.scim({ users: 40, groups: 8, depth: 2 });
    const d = source.directory;
    const [, one, other, held] = d.groupIds() as [string, string, string, string];
    d.renameGroup(one, 'Twins');
    d.renameGroup(other, 'TWINS');
    expect((await world.run(name)).groups).toMatchObject({ added: 6, rejected: 2 });
    const twins = [one, other].map((id) => `groups ${id} duplicate_name name`).sort();
    expect((await rejectLines(world.pool, name)).filter((line) => line.startsWith('groups'))).toEqual(twins);
    d.renameGroup(one, 'Single');
    d.renameGroup(other, d.findGroup(held)!.displayName);
    expect((await world.run(name)).groups).toMatchObject({ added: 1, changed: 0, deleted: 0, rejected: 1 });
    expect((await rejectLines(world.pool, name)).filter((line) => line.startsWith('groups'))).toEqual([
      `groups ${other} duplicate_name name`,
    ]);
    d.renameGroup(other, 'Other');
    await world.run(name);
    await expectSameAsSource(world.pool, name, d);
  });

  it('names too long, with NUL, of a wrong type, missing; a parent that is a list', async () => {
    const { name, source } = await world.scim(
      { users: 60, groups: 12, depth: 2 },
      { parentAttribute: 'externalId', pageSize: 5 },
    );
    const d = source.directory;
    writeParents(d);
    const ids = d.groupIds().slice(4, 9) as [string, string, string, string, string];
    const was = ids.map((id) => d.findGroup(id)!.displayName);
    d.renameGroup(ids[0], 'g'.repeat(10_000));
    d.renameGroup(ids[1], 'nul\u0000');
    d.renameGroup(ids[3], null);
    source.setFaults([
      { type: 'raw', id: ids[2], json: JSON.stringify({ id: ids[2], displayName: { text: 'x' }, members: [] }) },
      {
        type: 'raw',
        id: ids[4],
        json: JSON.stringify({ id: ids[4], displayName: 'x', externalId: ['y'], members: [] }),
      },
    ]);
    expect((await world.run(name)).groups).toMatchObject({ added: 7, rejected: 5 });
    const rejects = (await rejectsOf(world.pool, name)).filter((r) => r.stream === 'groups');
    const expected = [
      'too_long name',
      'control_character name',
      'wrong_type name',
      'missing_field name',
      'wrong_type parentId',
    ];
    const positions = ids.map((id) => positionOf('groups', d.groupIds(), id, 5));
    expect(rejects.map((r) => `${r.source_id} ${r.reason} ${r.field} ${r.position}`)).toEqual(
      ids.map((id, i) => `${id} ${expected[i]} ${positions[i]}`).sort(),
    );
    for (const r of rejects) expect(JSON.parse(r.record!)).toMatchObject({ id: r.source_id });
    source.setFaults([]);
    ids.forEach((id, i) => void d.renameGroup(id, was[i]!));
    await world.run(name);
    await expectSameAsSource(world.pool, name, d);
    expect(await rejectsOf(world.pool, name)).toEqual([]);
  });

  it('a group we hold whose name goes bad stays, with its people', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 12, depth: 3 });
    const d = source.directory;
    await world.run(name);
    const before = await snapshot(world.pool, name);
    d.renameGroup(d.groupIds()[1]!, 'nul\u0000');
    expect(await world.run(name)).toMatchObject({ applied: {}, groups: { deleted: 0 }, users: { rejected: 0 } });
    expect(await snapshot(world.pool, name)).toEqual(before);
  });

  it('a group without an id: no group is deleted', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 12, depth: 2 });
    const d = source.directory;
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const [nameless, gone] = d.groupIds().slice(-2) as [string, string];
    source.setFaults([{ type: 'raw', id: nameless, json: '{"displayName":"Nameless","members":[]}', only: 'list' }]);
    d.removeGroup(gone);
    const result = await world.run(name);
    expect(result.groups).toMatchObject({ deleted: 0, withheld: 2 });
    expect(result.notes.join('\n')).toContain(
      '2 groups are missing at the source and stay: 1 records came without a usable id',
    );
    expect((await snapshot(world.pool, name)).groups).toEqual(before.groups);
    expect((await rejectLines(world.pool, name)).filter((line) => line.startsWith('groups'))).toEqual([
      'groups groups page 1 row 11 missing_field id',
    ]);
  });

  it('members that are nobody are handed back; the others are written', async () => {
    const { name, source } = await world.scim({ users: 20, groups: 4, depth: 1 });
    const d = source.directory;
    const [id] = d.groupIds() as [string];
    const members = d.userIds().map((value) => ({ value, type: 'User' }));
    const json = JSON.stringify({
      id,
      displayName: 'Everybody',
      members: [...members, { value: 'ghost' }, null, { value: 7 }],
    });
    source.setFaults([{ type: 'raw', id, json }]);
    const result = await world.run(name);
    expect(result).toMatchObject({ groups: { added: 4 }, users: { added: 20 } });
    expect(await rejectLines(world.pool, name)).toEqual([
      'groups groups page 1 row 1 member 22 missing_field members.value',
      `memberships ${id}/7 dangling_member members`,
      `memberships ${id}/ghost dangling_member members`,
    ]);
    const { rows } = await world.pool.query(
      'SELECT count(*)::int AS n FROM org.memberships WHERE connection_id = $1 AND group_id = $2',
      [name, id],
    );
    expect(rows).toEqual([{ n: 20 }]);
  });
});

/** Hangs a group below its own grandchild: one whose subtree is small enough for the guards, so that repair asks nobody. */
function makeCycle(d: Directory): { top: string; ring: string[]; tangled: Set<string> } {
  const most = d.groupIds().length / 5;
  const firstBelow = (g: string) => d.findGroup(g)!.children.map((serial) => d.id('Group', serial))[0];
  const top = d.groupIds().find((g) => firstBelow(g) && firstBelow(firstBelow(g)!) && withAllBelow(d, g).size <= most)!;
  const child = firstBelow(top)!;
  const bottom = firstBelow(child)!;
  const tangled = withAllBelow(d, top);
  d.moveGroup(top, bottom);
  return { top, ring: [top, child, bottom], tangled };
}

/** Writes each group's parent into its external id, where the connection looks for it. */
function writeParents(d: Directory): void {
  for (const id of d.groupIds()) {
    const parent = d.findGroup(id)!.parents[0];
    d.editGroup(id, { externalId: parent === undefined ? null : d.id('Group', parent) });
  }
}

function levelOf(d: Directory, id: string): number {
  const parent = d.findGroup(id)!.parents[0];
  return parent === undefined ? 1 : levelOf(d, d.id('Group', parent)) + 1;
}
