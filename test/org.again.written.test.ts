import { describe, expect, it } from 'vitest';
import { approve, progress } from '../workflows/org.gate.ts';
import { breakOnce } from './harness/break-once.ts';
import { openCli } from './harness/cli.ts';
import { livingIds, pendingFailure, personOf } from './harness/ours.ts';
import { until } from './harness/until.ts';
import { failureOf, type Handle } from './harness/world.ts';

const { world, cli } = await openCli();

describe.concurrent('a run that starts over after it wrote', () => {
  it('tells why it asks again and what stays; declined, it says so and gives names back', async () => {
    const { name, renamed, handle } = await writtenInPart({});
    const { notes, parked, written } = await handle.query(progress);
    const { rows: plans } = await world.pool.query(
      'SELECT id::int, verdict, written FROM org.plans WHERE connection_id = $1 ORDER BY id DESC LIMIT 2',
      [name],
    );
    const [{ id: second }, first] = plans;
    expect(first).toMatchObject({ verdict: 'failed', written });
    const told = `deleteUsers ${written.deleteUsers}`;
    expect(written.deleteUsers).toBeGreaterThanOrEqual(3);
    expect(notes).toEqual([
      `an attempt that failed has written ${told}; that stays`,
      expect.stringMatching(/^a step failed three times and the run starts over once: addUsers: .+23505.+DataRefused/),
    ]);
    const status = (await cli(`status ${name}`)).out;
    for (const note of notes) {
      expect(status).toContain(`asks   Note: ${note}`);
      expect(status.split(note), 'told once').toHaveLength(2);
    }
    expect((await cli(`changes ${name}`)).out).toContain(
      `plan ${first.id}: incremental, failed, written in part (${told})`,
    );

    const declined = await cli(`decline ${name} --yes --plan ${parked!.digest}`);
    expect(declined.out).toContain(
      `Declined: the run ends. Nothing of this plan was written; an attempt before it has written ${told}, which stays.`,
    );
    expect(await handle.result()).toMatchObject({ outcome: 'declined', plan: second, applied: written });
    expect(await livingIds(world.pool, name, 'users')).toHaveLength(107);
    const person = await personOf(world.pool, name, renamed);
    expect(person.user_name_key, 'a name that was freed for an edit').toBe(String(person.user_name).toLowerCase());
  });

  it('approved, its result counts what every attempt wrote', async () => {
    const { name, handle, digest } = await writtenInPart({});
    const { written } = await handle.query(progress);
    await handle.executeUpdate(approve, { args: [{ digest }] });
    const result = await handle.result();
    expect(result).toMatchObject({ outcome: 'applied', users: { deleted: 0, added: 1 } });
    expect(result.applied).toMatchObject({ ...written, addUsers: 1, editUsers: 61 });
    expect(await livingIds(world.pool, name, 'users')).toHaveLength(108);
  });

  it('when nobody answers, the failure says what stays', async () => {
    const { handle } = await writtenInPart({ approvalHours: 0.004 });
    const { written } = await handle.query(progress);
    expect(await failureOf(handle)).toEqual({
      type: 'ApprovalTimeout',
      message: `Nobody answered within 0.004 h: the plan was dropped, an attempt before it has written deleteUsers ${written.deleteUsers}, which stays. The next run plans again.`,
    });
  });
});

it('a run that is terminated after it wrote: the next one closes its plan, says what stays and gives names back', async () => {
  const { name, renamed, handle, first } = await begun({}, { code: '57P01', times: 1_000 });
  await handle.executeUpdate(approve, { args: [{ digest: first }] });
  await pendingFailure(handle);
  expect((await personOf(world.pool, name, renamed)).user_name_key, 'freed for the edit that does not come').toBeNull();
  await handle.terminate('somebody lost patience');
  const { plan, written } = await onlyOpen(name);
  expect(written, 'told by nobody so far').toEqual({});
  await world.run(name, { dryRun: true });
  const person = await personOf(world.pool, name, renamed);
  expect(person.user_name_key).toBe(String(person.user_name).toLowerCase());
  const { rows } = await world.pool.query('SELECT verdict, seats, written FROM org.plans WHERE id = $1', [plan]);
  expect(rows).toEqual([{ verdict: 'cancelled', seats: 0, written: { deleteUsers: expect.any(Number) } }]);
  expect((await cli(`changes ${name}`)).out).toContain(
    `plan ${plan}: incremental, cancelled, written in part (deleteUsers ${rows[0].written.deleteUsers})`,
  );
  expect(await livingIds(world.pool, name, 'users')).toHaveLength(107);
});

it('a failure of the second attempt does not say that nothing was changed', async () => {
  const { handle, source, first } = await begun();
  source.setFaults([{ type: 'emptyList', path: '/Users' }]);
  await handle.executeUpdate(approve, { args: [{ digest: first }] });
  const { type, message } = await failureOf(handle);
  expect(type).toBe('EmptyAnswer');
  expect(message).toContain('no users where we hold 107: nothing more was changed.');
  const { notes } = await handle.query(progress);
  expect(notes[0]).toMatch(/^an attempt that failed has written deleteUsers \d+; that stays$/);
});

describe.concurrent('a name that another connection takes while a plan waits', () => {
  it('hands back who wanted it, and who wanted his old name; the rest is written without a second plan', async () => {
    const one = await world.scim({ users: 100, groups: 5, seed: 11 }, { tenant: 'shared' });
    const two = await world.scim({ users: 20, groups: 3, seed: 12 }, { tenant: 'shared' });
    await world.run(one.name);
    await world.run(two.name);
    const d = one.source.directory;
    const [renamed, edited] = d.userIds() as [string, string];
    const old = d.fields(d.findPerson(renamed)!).userName;
    const gone = d.userIds().slice(60);
    d.removeUsers(gone);
    d.renameUser(renamed, 'wanted@example.org');
    d.editUser(edited, { title: 'Written' });
    const heir = d.addUser({ userName: old }, [d.groupIds()[0]!]);
    const handle = await world.start(one.name);
    const digest = await parked(handle);

    two.source.directory.addUser({ userName: 'Wanted@example.org' }, [two.source.directory.groupIds()[0]!]);
    expect(await world.run(two.name)).toMatchObject({ outcome: 'applied', users: { added: 1, conflicts: 0 } });
    await handle.executeUpdate(approve, { args: [{ digest }] });
    const result = await handle.result();
    expect(result).toMatchObject({
      outcome: 'applied',
      users: { added: 0, edited: 1, deleted: 40, conflicts: 2 },
      applied: { editUsers: 1 },
    });
    expect(result.notes).toContain('2 people are handed back: their user name was taken while the plan waited');
    expect(Object.keys(result.applied)).not.toContain('addUsers');
    expect(await livingIds(world.pool, one.name, 'users')).toHaveLength(60);
    expect((await personOf(world.pool, one.name, renamed)).user_name).toBe(old);
    expect((await personOf(world.pool, one.name, edited)).title).toBe('Written');
    const { rows } = await world.pool.query(
      `SELECT source_id, owner_connection_id, (SELECT max(attempt) FROM org.plans WHERE connection_id = $1) AS attempt
       FROM org.conflicts WHERE connection_id = $1 AND resolved_at IS NULL ORDER BY source_id = $2 DESC`,
      [one.name, renamed],
    );
    expect(rows).toEqual([
      { source_id: renamed, owner_connection_id: two.name, attempt: 1 },
      { source_id: heir, owner_connection_id: one.name, attempt: 1 },
    ]);
  });
});

/** A run that asks about 61 edits; approved, it deletes 3 people, fails at the new one and starts over. */
async function begun(options: Record<string, unknown> = {}, how = { code: '23505', times: 3 }) {
  const { name, source } = await world.scim({ users: 110, groups: 5 }, options);
  const d = source.directory;
  await world.run(name);
  d.removeUsers(d.userIds().slice(-3));
  const [renamed, ...others] = d.userIds().slice(0, 61) as [string, ...string[]];
  d.renameUser(renamed, 'renamed@example.org');
  for (const id of others) d.editUser(id, { title: 'Edited' });
  const added = d.addUser({}, [d.groupIds()[0]!]);
  const handle = await world.start(name);
  const first = await parked(handle);
  await breakOnce(world.pool, 'org.users', 'INSERT', `NEW.connection_id = '${name}' AND NEW.id = '${added}'`, how);
  return { name, renamed, handle, source, first };
}

/** The plan of a run that was ended before it could close it. */
async function onlyOpen(connection: string): Promise<{ plan: number; written: object }> {
  const { rows } = await world.pool.query(
    `SELECT id::int AS plan, written FROM org.plans WHERE connection_id = $1 AND verdict = 'planned'`,
    [connection],
  );
  expect(rows).toHaveLength(1);
  return rows[0];
}

/** One that asks about the same edits for the second time. */
async function writtenInPart(options: Record<string, unknown>) {
  const { first, ...run } = await begun(options);
  await run.handle.executeUpdate(approve, { args: [{ digest: first }] });
  return { ...run, digest: await parked(run.handle, first) };
}

/** Digest of the plan that a run asks about; of another one than `before`. */
async function parked(handle: Handle, before?: string): Promise<string> {
  return until('a parked run', async () => {
    const { parked } = await handle.query(progress);
    return parked?.digest !== before && parked?.digest;
  });
}
