import { describe, expect, it } from 'vitest';
import { readStanding } from '../db/org/report.ts';
import { approve, decline, progress } from '../workflows/org.gate.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { livingIds, personOf, rejectLines, rejectsOf, snapshot } from './harness/ours.ts';
import { recordOf, without } from './harness/spoil.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const size = { users: 40, groups: 4 };

describe.concurrent('one id twice', () => {
  it('the same person on two pages counts once', async () => {
    const { name, source } = await world.scim(size, { pageSize: 20 });
    source.setFaults([{ type: 'duplicateRow', id: source.directory.userIds()[3]!, page: 2 }]);
    expect((await world.run(name)).users).toMatchObject({ staged: 40, added: 40, rejected: 0 });
    await expectSameAsSource(world.pool, name, source.directory);
    expect(await world.run(name)).toMatchObject({ applied: {}, users: { edited: 0, withheld: 0 } });
  });

  it('two different people under it: both are handed back, everybody else is written', async () => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    const [owner, double] = d.userIds() as [string, string];
    source.setFaults([{ type: 'raw', id: double, json: recordOf(d, double, { id: owner }) }]);
    expect((await world.run(name)).users).toMatchObject({ added: 38 });
    expect((await rejectLines(world.pool, name)).filter((line) => line.startsWith('users'))).toEqual([
      `users ${owner} duplicate_id id`,
    ]);
    const reject = (await rejectsOf(world.pool, name)).find((r) => r.source_id === owner);
    expect(reject!.record).toContain(owner);
    expect(await livingIds(world.pool, name, 'users')).toEqual(without(d.userIds(), new Set([owner, double])));
    source.setFaults([]);
    expect((await world.run(name)).users).toMatchObject({ added: 2, rejected: 0 });
    await expectSameAsSource(world.pool, name, d);
  });

  it('two different people under one that we hold: ours stays, and the one whose row is gone is not deleted', async () => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const [owner, double] = d.userIds() as [string, string];
    source.setFaults([{ type: 'raw', id: double, only: 'list', json: recordOf(d, double, { id: owner }) }]);
    expect((await world.run(name)).users).toMatchObject({ edited: 0, deleted: 0 });
    expect(await snapshot(world.pool, name)).toEqual(before);
    expect(await rejectLines(world.pool, name)).toEqual([`users ${owner} duplicate_id id`]);
  });
});

describe.concurrent('one user name twice inside the source', () => {
  it('both new: both are handed back, for nobody may guess', async () => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    const [one, other] = d.userIds() as [string, string];
    const userName = d.fields(d.findPerson(one)!).userName.toUpperCase();
    source.setFaults([{ type: 'raw', id: other, json: recordOf(d, other, { userName }) }]);
    expect((await world.run(name)).users).toMatchObject({ added: 38, rejected: 2, conflicts: 0 });
    expect(await rejectLines(world.pool, name)).toEqual(
      [one, other].map((id) => `users ${id} duplicate_name userName`).sort(),
    );
    for (const r of await rejectsOf(world.pool, name))
      expect(r.record!.toLowerCase()).toContain(userName.toLowerCase());
    expect(await livingIds(world.pool, name, 'users')).toEqual(without(d.userIds(), new Set([one, other])));
    source.setFaults([]);
    await world.run(name);
    await expectSameAsSource(world.pool, name, d);
    expect(await rejectsOf(world.pool, name)).toEqual([]);
  });

  it('one is ours already: it keeps the name, and goes on being updated', async () => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    await world.run(name);
    const ours = d.userIds()[0]!;
    const late = d.addUser({});
    d.editUser(ours, { title: 'Still updated' });
    const { userName } = d.fields(d.findPerson(ours)!);
    source.setFaults([{ type: 'raw', id: late, json: recordOf(d, late, { userName }) }]);
    expect((await world.run(name)).users).toMatchObject({ added: 0, edited: 1, rejected: 1 });
    expect(await rejectLines(world.pool, name)).toEqual([`users ${late} duplicate_name userName`]);
    expect(await personOf(world.pool, name, ours)).toMatchObject({ user_name: userName, title: 'Still updated' });
    expect(await personOf(world.pool, name, late)).toBeUndefined();
  });

  it('a name that its owner would give up, had he not been handed back, is not taken from him', async () => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    await world.run(name);
    const owner = d.userIds()[0]!;
    const was = d.fields(d.findPerson(owner)!).userName;
    for (const serial of [...d.groupsOf(d.findPerson(owner)!)]) d.removeMember(d.id('Group', serial), owner);
    d.renameUser(owner, 'gives.it.up@example.org');
    const taker = d.addUser({ userName: was }, [d.groupIds()[0]!]);
    const result = await world.run(name);
    expect(result).toMatchObject({ outcome: 'applied', users: { added: 0, conflicts: 1, rejected: 1 } });
    expect(await rejectLines(world.pool, name)).toEqual([`users ${owner} no_group groups`]);
    expect(await personOf(world.pool, name, owner)).toMatchObject({ user_name: was, deleted_at: null });
    expect(await personOf(world.pool, name, taker)).toBeUndefined();
    d.addMember(d.groupIds()[1]!, owner);
    expect((await world.run(name)).users).toMatchObject({ added: 1, edited: 1, conflicts: 0 });
    await expectSameAsSource(world.pool, name, d);
  });
});

describe.concurrent('a user name that another connection of the tenant holds', () => {
  it('is handed back as a conflict, and written once the other frees the name', async () => {
    const tenant = 'names';
    const first = await world.scim(size, { tenant });
    const second = await world.scim({ ...size, seed: 2 }, { tenant });
    const owner = first.source.directory.userIds()[0]!;
    const d = second.source.directory;
    const wants = d.userIds()[0]!;
    const { userName } = first.source.directory.fields(first.source.directory.findPerson(owner)!);
    d.renameUser(wants, userName.toUpperCase());
    await world.run(first.name);
    const held = await snapshot(world.pool, first.name);

    expect((await world.run(second.name)).users).toMatchObject({ added: 39, conflicts: 1, rejected: 0 });
    const conflict = {
      source_id: wants,
      user_name: userName.toUpperCase(),
      owner_connection_id: first.name,
      owner_source_id: owner,
      resolved_at: null,
    };
    expect(await conflictsOf(second.name)).toMatchObject([conflict]);
    expect(await livingIds(world.pool, second.name, 'users')).toEqual(without(d.userIds(), new Set([wants])));
    expect(await snapshot(world.pool, first.name)).toEqual(held);
    // Asked again, it is the same conflict, not another one.
    expect((await world.run(second.name)).users).toMatchObject({ added: 0, conflicts: 1 });
    expect(await conflictsOf(second.name)).toMatchObject([conflict]);

    first.source.directory.renameUser(owner, 'moved.aside@example.org');
    await world.run(first.name);
    expect((await world.run(second.name)).users).toMatchObject({ added: 1, conflicts: 0 });
    await expectSameAsSource(world.pool, second.name, d);
    expect(await conflictsOf(second.name)).toMatchObject([{ ...conflict, resolved_at: expect.any(Date) }]);
  });

  it('keeps a person we hold as he is when his new name is taken', async () => {
    const tenant = 'renames';
    const first = await world.scim(size, { tenant });
    const second = await world.scim({ ...size, seed: 2 }, { tenant });
    await world.run(first.name);
    await world.run(second.name);
    const d = second.source.directory;
    const [wants, other] = d.userIds() as [string, string];
    const before = await personOf(world.pool, second.name, wants);
    const owner = first.source.directory.userIds()[0]!;
    d.editUser(wants, { userName: first.source.directory.fields(first.source.directory.findPerson(owner)!).userName });
    d.editUser(other, { title: 'Goes on' });
    expect((await world.run(second.name)).users).toMatchObject({ edited: 1, deleted: 0, conflicts: 1 });
    expect(await personOf(world.pool, second.name, wants)).toEqual(before);
    expect(await personOf(world.pool, second.name, other)).toMatchObject({ title: 'Goes on' });
  });

  it('is no conflict across tenants', async () => {
    const first = await world.scim(size);
    const second = await world.scim(size);
    await world.run(first.name);
    expect((await world.run(second.name)).users).toMatchObject({ added: 40, conflicts: 0 });
    await expectSameAsSource(world.pool, first.name, first.source.directory);
    await expectSameAsSource(world.pool, second.name, second.source.directory);
  });
});

describe.concurrent('a person without a group', () => {
  it('is handed back by default; whom we hold stays with the groups we know', async () => {
    const { name, source } = await world.scim(size);
    const d = source.directory;
    await world.run(name);
    const ours = d.userIds()[0]!;
    for (const serial of [...d.groupsOf(d.findPerson(ours)!)]) d.removeMember(d.id('Group', serial), ours);
    const before = await snapshot(world.pool, name);
    const late = d.addUser({}, []);
    expect((await world.run(name)).users).toMatchObject({ added: 0, deleted: 0, rejected: 2 });
    expect(await rejectLines(world.pool, name)).toEqual([ours, late].map((id) => `users ${id} no_group groups`).sort());
    expect(await snapshot(world.pool, name)).toEqual(before);
    d.addMember(d.groupIds()[0]!, late);
    d.addMember(d.groupIds()[1]!, ours);
    await world.run(name);
    await expectSameAsSource(world.pool, name, d);
  });

  it('is written where the connection accepts it', async () => {
    const { name, source } = await world.scim(size, { usersWithoutGroup: 'accept' });
    source.directory.addUser({}, []);
    expect((await world.run(name)).users).toMatchObject({ added: 41, rejected: 0 });
    await expectSameAsSource(world.pool, name, source.directory);
  });
});

it('what was repaired stays open until a plan with it is applied', async () => {
  const tenant = 'repaired';
  const first = await world.scim(size, { tenant });
  const { name, source } = await world.scim({ ...size, seed: 2 }, { tenant, guards: { users: { smallCount: 0 } } });
  const d = source.directory;
  const [mailless, wants, leaver] = d.userIds() as [string, string, string];
  const { email } = d.fields(d.findPerson(mailless)!);
  const other = first.source.directory;
  d.editUser(mailless, { email: 'none' });
  d.renameUser(wants, other.fields(other.findPerson(other.userIds()[0]!)!).userName);
  await world.run(first.name);
  const open = { rejects: 1, conflicts: 1 };
  const standing = async () => (await readStanding(world.pool, name)).open;
  expect(await world.run(name)).toMatchObject({ users: { added: 38, rejected: 1, conflicts: 1 } });
  expect(await standing()).toEqual(open);

  d.editUser(mailless, { email });
  d.renameUser(wants, 'free@example.org');
  d.removeUser(leaver);
  expect(await world.run(name, { dryRun: true })).toMatchObject({ users: { added: 2, rejected: 0, conflicts: 0 } });
  expect(await standing(), 'after a dry run').toEqual(open);
  for (const answer of [decline, approve]) {
    const handle = await world.start(name);
    const asked = await until('a parked run', async () => (await handle.query(progress)).parked);
    expect(await standing(), 'while a run asks').toEqual(open);
    await handle.executeUpdate(answer, { args: [{ digest: asked.digest! }] });
    await handle.result();
    if (answer === decline) expect(await standing(), 'after a declined plan').toEqual(open);
  }
  expect(await standing()).toEqual({ rejects: 0, conflicts: 0 });
  await expectSameAsSource(world.pool, name, d);
});

async function conflictsOf(connection: string): Promise<Record<string, unknown>[]> {
  const { rows } = await world.pool.query('SELECT * FROM org.conflicts WHERE connection_id = $1', [connection]);
  return rows;
}
