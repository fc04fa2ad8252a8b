import { describe, expect, it } from 'vitest';
import { countChanges, readStanding } from '../db/org/report.ts';
import type { Directory, Fault } from '../sandbox/scim.ts';
import { approve, progress } from '../workflows/org.gate.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { livingIds, personOf } from './harness/ours.ts';
import { recordOf } from './harness/spoil.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
type Seven = [string, string, string, string, string, string, string];
const size = { users: 60, groups: 6 };

describe.concurrent('whoever left and is handed back for another reason', () => {
  it.each(['incremental', 'full'])('is suspended in a run that is %s, and what is withheld is told', async (mode) => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    await world.run(name);
    const [homeless, mailless, double, two, twice, stays, unknown] = d.userIds() as Seven;
    const homes = [...homesOf(d, homeless), ...homesOf(d, stays)];
    const before = await personOf(world.pool, name, mailless);
    for (const group of homesOf(d, homeless)) d.removeMember(group, homeless);
    for (const group of homesOf(d, stays)) d.removeMember(group, stays);
    d.editUser(homeless, { active: false });
    d.editUser(mailless, { active: false, title: 'Withheld', email: 'disabled' });
    const other = d.addUser({ userName: 'somebody.else@example.org' }, []);
    const { userName } = d.fields(d.findPerson(two)!);
    source.setFaults([
      { type: 'totalAbsent', path: '/Users' },
      { type: 'raw', id: double, json: recordOf(d, double, { userName, active: false }) },
      { type: 'raw', id: other, json: recordOf(d, other, { id: twice, active: false }) },
      { type: 'raw', id: unknown, json: recordOf(d, unknown, { email: 'disabled', active: 'perhaps' }) },
    ]);
    const result = await world.run(name, { mode });
    expect(result).toMatchObject({
      outcome: 'applied',
      users: { edited: 3, rejected: 6 },
      memberships: { removed: 0 },
    });
    expect(result.notes).toEqual([
      '3 people who are handed back are suspended as the source says; nothing else of them is written',
      `2 people who are handed back keep ${homes.length} memberships that the source tells no more: npx syncline rejects ${name}`,
    ]);
    expect((await readStanding(world.pool, name)).doubts).toEqual(result.notes);
    for (const id of [homeless, mailless, double])
      expect(await personOf(world.pool, name, id), id).toMatchObject({ active: false });
    for (const id of [twice, stays, unknown])
      expect(await personOf(world.pool, name, id), id).toMatchObject({ active: true });
    const after = await personOf(world.pool, name, mailless);
    expect(after).toEqual({ ...before, active: false, generation: after.generation, synced_at: after.synced_at });
    expect(await world.run(name, { mode }), 'written once').toMatchObject({ applied: {}, users: { edited: 0 } });
  });
});

describe.concurrent('a suspended person', () => {
  it('stays suspended until the source says that the account is active again', async () => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    const [absent, nulled, other] = d.userIds() as Seven;
    for (const id of [absent, nulled]) d.editUser(id, { active: false });
    const silent: Fault[] = [
      { type: 'attributeAbsent', attribute: 'active', ids: [absent, other] },
      { type: 'attributeNull', attribute: 'active', ids: [nulled] },
    ];
    await world.run(name);
    source.setFaults(silent);
    for (const mode of ['incremental', 'full'])
      expect(await world.run(name, { mode }), mode).toMatchObject({ applied: {}, users: { edited: 0 } });
    for (const id of [absent, nulled]) {
      expect(await personOf(world.pool, name, id)).toMatchObject({ active: false });
      d.editUser(id, { active: true });
    }
    source.setFaults([]);
    expect(await world.run(name)).toMatchObject({ users: { edited: 2 } });
    await expectSameAsSource(world.pool, name, d);
  });
});

describe.concurrent('a run of one person', () => {
  it('takes the person out of the last group; where no list names anybody it keeps the groups and says so', async () => {
    const { name, source } = await world.scim(size, { usersWithoutGroup: 'accept' });
    const d = source.directory;
    await world.run(name);
    const [gone, kept] = d.userIds() as Seven;
    const homes = { gone: homesOf(d, gone), kept: homesOf(d, kept) };
    for (const group of homes.gone) d.removeMember(group, gone);
    d.editUser(gone, { active: false });
    const result = await world.run(name, { only: { user: gone } });
    expect(result).toMatchObject({ users: { edited: 1 }, memberships: { removed: homes.gone.length }, notes: [] });
    await expectSameAsSource(world.pool, name, d);

    source.setFaults([{ type: 'membersEmpty', path: '/Groups' }]);
    const told = await world.run(name, { only: { user: kept } });
    const count = homes.kept.length;
    expect(told).toMatchObject({ memberships: { removed: 0 } });
    expect(told.notes).toEqual([
      `member lists came empty for every group: ${count} memberships in ${count} groups are kept; a run of everybody may tell more: npx syncline start orgSync ${name}`,
    ]);
    await expectSameAsSource(world.pool, name, d);
  });
});

describe.concurrent('a group that goes', () => {
  it('takes its memberships along, also those of steps that are switched off', async () => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    await world.run(name);
    const group = d.groupIds().find((id) => d.findGroup(id)!.children.length === 0)!;
    const members = d.userIds().filter((id) => homesOf(d, id).includes(group));
    expect(members.length).toBeGreaterThan(1);
    d.removeUser(members[0]!);
    d.removeGroup(group);
    const result = await world.run(name, { steps: { moveUsers: false, deleteUsers: false } });
    expect(result.applied).toMatchObject({ deleteGroups: expect.any(Number) });
    expect(await livingIds(world.pool, name, 'users')).toContain(members[0]);
    const { rows } = await world.pool.query(
      'SELECT 1 FROM org.memberships WHERE connection_id = $1 AND group_id = $2',
      [name, group],
    );
    expect(rows).toEqual([]);
    await world.run(name);
    await expectSameAsSource(world.pool, name, d);
  });

  it('is judged and told by what it takes along, whichever other step is switched off', async () => {
    const { name, source } = await world.scim({ users: 100, groups: 4, depth: 1, membershipsPerUser: 2 });
    const d = source.directory;
    await world.run(name);
    const group = d.groupIds()[0]!;
    const members = d.userIds().filter((id) => homesOf(d, id).includes(group));
    const removed = members.length;
    expect(removed).toBeGreaterThan(40);
    const others = homesOf(d, members[0]!).length - 1;
    d.removeUser(members[0]!);
    d.removeGroup(group);
    const handle = await world.start(name, { steps: { moveUsers: false, deleteUsers: false } });
    const { digest, breaches } = await until('a parked run', async () => (await handle.query(progress)).parked);
    expect(breaches).toEqual([{ guard: 'membership removals', planned: removed, of: 200, allowed: 40 }]);
    await handle.executeUpdate(approve, { args: [{ digest: digest! }] });
    const { applied, plan, memberships } = await handle.result();
    expect(applied).toEqual({ deleteGroups: 1 + removed });
    expect(memberships).toMatchObject({ removed: removed + others });
    const counts = (await countChanges(world.pool, plan!)).filter(({ action }) => action === 'remove');
    expect(counts).toContainEqual({ step: 'deleteGroups', kind: 'membership', action: 'remove', count: removed });
    expect(counts.map(({ step }) => step)).not.toContain('moveUsers');
  });

  it('waits for the one below that moves away, where moves are switched off', async () => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    const top = d.addGroup({ displayName: 'Top' });
    const middle = d.addGroup({ displayName: 'Middle', parent: top });
    const moved = d.addGroup({ displayName: 'Moved', parent: middle });
    const empty = d.addGroup({ displayName: 'Empty' });
    await world.run(name);
    d.moveGroup(moved, null);
    for (const group of [middle, top, empty]) d.removeGroup(group);
    const result = await world.run(name, { steps: { addGroups: false } });
    expect(result).toMatchObject({ groups: { changed: 1, deleted: 1, withheld: 2 }, applied: { deleteGroups: 1 } });
    expect(result.notes).toContain(
      '2 groups are missing at the source and stay: a group that is parked, or whose move is switched off, hangs below them',
    );
    expect(await livingIds(world.pool, name, 'groups')).toEqual([...d.groupIds(), middle, top].sort());
    expect(await world.run(name)).toMatchObject({ groups: { changed: 1, deleted: 2, withheld: 0 } });
    await expectSameAsSource(world.pool, name, d);
  });
});

/** Groups a person is in. */
function homesOf(d: Directory, id: string): string[] {
  return d.groupsOf(d.findPerson(id)!).map((serial) => d.id('Group', serial));
}
