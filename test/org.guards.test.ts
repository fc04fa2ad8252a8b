import { describe, expect, it, vi } from 'vitest';
import { saveConnection } from '../db/connections.ts';
import { readStanding } from '../db/org/report.ts';
import type { ScimSandbox } from '../sandbox/scim.ts';
import { pause, resume } from '../workflows/control.ts';
import { approve, decline, progress } from '../workflows/org.gate.ts';
import type { OrgSyncProgress } from '../workflows/org.view.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { expectNoStage, livingIds, snapshot } from './harness/ours.ts';
import { until } from './harness/until.ts';
import { type Handle, openWorld } from './harness/world.ts';

const world = await openWorld();

describe.concurrent('a share of deletions over the guard', () => {
  it('parks the run; a wrong digest is refused, decline writes nothing, approve writes the plan', async () => {
    const { name, source } = await world.scim({ users: 200, groups: 10 });
    const d = source.directory;
    await world.run(name);
    const before = await snapshot(world.pool, name);
    d.removeUsers(d.userIds().slice(0, 41));
    const breaches = [{ guard: 'user deletions', planned: 41, of: 200, allowed: 40 }];

    const first = await world.start(name);
    expect(await answerOf(first, approve, 'none'), 'an answer before the question').toContain(
      'This run does not wait for an answer: nothing to approve or decline.',
    );
    const { digest } = await parked(first, breaches);
    expect(await snapshot(world.pool, name)).toEqual(before);
    expect(await answerOf(first, approve, 'deadbeef')).toBe(
      `The answer is for plan deadbeef, but plan ${digest} is waiting. Look at it first: npx syncline changes <connection>`,
    );
    expect(await answerOf(first, decline, 'deadbeef')).toContain(`plan ${digest} is waiting`);
    expect((await first.query<OrgSyncProgress>(progress)).state).toBe('parked');
    await first.executeUpdate(decline, { args: [{ digest }] });
    expect(await first.result()).toMatchObject({ outcome: 'declined', applied: {}, breaches });
    expect(await snapshot(world.pool, name)).toEqual(before);
    await expectNoStage(world.pool, name);

    const second = await world.start(name);
    const again = await parked(second, breaches);
    expect(again.digest, 'the same changes are the same plan').toBe(digest);
    await second.executeUpdate(approve, { args: [{ digest: again.digest }] });
    expect(await second.result()).toMatchObject({ outcome: 'applied', users: { deleted: 41 } });
    await expectSameAsSource(world.pool, name, d);
  });

  it('another plan is another digest', async () => {
    const { name, source } = await world.scim({ users: 100, groups: 5 });
    const d = source.directory;
    await world.run(name);
    d.removeUsers(d.userIds().slice(0, 30));
    const first = await world.start(name);
    const old = await parked(first, [{ guard: 'user deletions', planned: 30, of: 100, allowed: 20 }]);
    await first.executeUpdate(decline, { args: [{ digest: old.digest }] });
    await first.result();
    d.removeUser(d.userIds()[0]!);
    const second = await world.start(name);
    const { digest } = await parked(second, [{ guard: 'user deletions', planned: 31, of: 100, allowed: 20 }]);
    expect(digest).not.toBe(old.digest);
    expect(await answerOf(second, approve, old.digest)).toContain(`but plan ${digest} is waiting`);
    await second.executeUpdate(decline, { args: [{ digest }] });
    expect(await livingIds(world.pool, name, 'users')).toHaveLength(100);
  });

  it('nobody answers: the run fails saying so, nothing is written, the next one plans again', async () => {
    const { name, source } = await world.scim({ users: 100, groups: 5 }, { approvalHours: 0.001 });
    await world.run(name);
    const before = await snapshot(world.pool, name);
    source.directory.removeUsers(source.directory.userIds().slice(0, 21));
    const failure = await world.fail(name);
    expect(failure.type).toBe('ApprovalTimeout');
    expect(failure.message).toBe(
      'Nobody answered within 0.001 h: the plan was dropped, nothing was written. The next run plans again.',
    );
    expect(await snapshot(world.pool, name)).toEqual(before);
    await expectNoStage(world.pool, name);
    const next = await world.start(name);
    const { digest } = await parked(next, [{ guard: 'user deletions', planned: 21, of: 100, allowed: 20 }]);
    await next.executeUpdate(approve, { args: [{ digest }] });
    await next.result();
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('by count: a big company is asked from the count on, not from the share', async () => {
    const { name, source } = await world.scim({ users: 120, groups: 5 }, { guards: { users: { count: 10 } } });
    await world.run(name);
    source.directory.removeUsers(source.directory.userIds().slice(0, 11));
    await parkedAndDeclined(name, [{ guard: 'user deletions', planned: 11, of: 120, allowed: 10 }]);
  });

  it('below 100 people half of them may go, at most 20', async () => {
    const few = await world.scim({ users: 30, groups: 3 });
    await world.run(few.name);
    few.source.directory.removeUsers(few.source.directory.userIds().slice(0, 15));
    expect(await world.run(few.name)).toMatchObject({ outcome: 'applied', users: { deleted: 15 }, breaches: [] });
    few.source.directory.removeUsers(few.source.directory.userIds().slice(0, 8));
    await parkedAndDeclined(few.name, [{ guard: 'user deletions', planned: 8, of: 15, allowed: 7 }]);

    const more = await world.scim({ users: 99, groups: 3 });
    await world.run(more.name);
    more.source.directory.removeUsers(more.source.directory.userIds().slice(0, 21));
    await parkedAndDeclined(more.name, [{ guard: 'user deletions', planned: 21, of: 99, allowed: 20 }]);
  });

  it('of groups', async () => {
    const { name, source } = await world.scim({ users: 20, groups: 12, depth: 1, membershipsPerUser: 1 });
    const d = source.directory;
    for (let i = 0; i < 7; i++) d.addGroup({ displayName: `Empty ${i}` });
    await world.run(name);
    for (const id of d.groupIds().slice(9)) {
      for (const user of d.userIds()) d.addMember(d.groupIds()[0]!, user);
      d.removeGroup(id);
    }
    await parkedAndDeclined(name, [{ guard: 'group deletions', planned: 10, of: 19, allowed: 9 }]);
  });

  it('are not asked for where the step is switched off', async () => {
    const { name, source } = await world.scim({ users: 100, groups: 5 }, { steps: { deleteUsers: false } });
    await world.run(name);
    source.directory.removeUsers(source.directory.userIds().slice(0, 50));
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', breaches: [], users: { deleted: 50 } });
    expect(await livingIds(world.pool, name, 'users')).toHaveLength(100);
  });
});

describe.concurrent('other guards', () => {
  it('additions over half of the living people', async () => {
    const { name, source } = await world.scim({ users: 100, groups: 5 });
    await world.run(name);
    for (let i = 0; i < 51; i++) source.directory.addUser();
    await parkedAndDeclined(name, [{ guard: 'user additions', planned: 51, of: 100, allowed: 50 }]);
    source.directory.removeUser(source.directory.userIds().at(-1)!);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { added: 50 } });
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('memberships taken from people who stay', async () => {
    const { name, source } = await world.scim({ users: 100, groups: 5, membershipsPerUser: 2 });
    const d = source.directory;
    await world.run(name);
    for (const id of d.userIds().slice(0, 41)) d.removeMember(d.id('Group', d.groupsOf(d.findPerson(id)!)[0]!), id);
    await parkedAndDeclined(name, [{ guard: 'membership removals', planned: 41, of: 200, allowed: 40 }]);
  });

  it('another scope: read in full, and every deletion is asked for', async () => {
    const { name, source } = await world.scim({ users: 120, groups: 5, inactiveShare: 0.1 });
    await world.run(name);
    const before = await livingIds(world.pool, name, 'users');
    const d = source.directory;
    const inactive = d.userIds().filter((id) => d.fields(d.findPerson(id)!).active === false);
    expect(inactive.length).toBeGreaterThan(3);
    expect(inactive.length).toBeLessThan(24);
    await saveConnection(world.pool, world.key, {
      id: name,
      tenant: name,
      platform: 'scim',
      baseUrl: source.url,
      credential: source.token,
      options: { userFilter: 'active eq true' },
    });
    const breaches = [
      { guard: 'user deletions after a change of scope', planned: inactive.length, of: 120, allowed: 0 },
    ];
    const first = await world.start(name);
    const { digest } = await parked(first, breaches);
    await first.executeUpdate(decline, { args: [{ digest }] });
    expect(await first.result()).toMatchObject({ mode: 'full', outcome: 'declined' });
    expect(await livingIds(world.pool, name, 'users')).toEqual(before);

    const second = await world.start(name);
    await parked(second, breaches);
    await second.executeUpdate(approve, { args: [{ digest }] });
    expect(await second.result()).toMatchObject({ mode: 'full', users: { deleted: inactive.length } });
    expect(await livingIds(world.pool, name, 'users')).toEqual(before.filter((id) => !inactive.includes(id)));
    expect(await world.run(name)).toMatchObject({ mode: 'incremental', outcome: 'applied', applied: {} });
  });

  it('another scope whose deletions were switched off or not proven: the next run asks for them', async () => {
    const { name, source } = await world.scim({ users: 120, groups: 5, inactiveShare: 0.1 });
    const d = source.directory;
    await world.run(name);
    const before = await livingIds(world.pool, name, 'users');
    const inactive = d.userIds().filter((id) => d.fields(d.findPerson(id)!).active === false);
    const n = inactive.length;
    await change(name, { userFilter: 'active eq true' });
    const breaches = [{ guard: 'user deletions after a change of scope', planned: n, of: 120, allowed: 0 }];
    const doubt = `${n} users stay from before a change of scope, their deletion was switched off or not proven: until a run deletes or finds them (npx syncline start orgSync ${name}), each deletion of users is asked for`;

    expect(await world.run(name, { steps: { deleteUsers: false } })).toMatchObject({ mode: 'full', breaches: [] });
    expect((await readStanding(world.pool, name)).doubts).toEqual([doubt]);
    await parkedAndDeclined(name, breaches);
    source.setFaults([{ type: 'totalLies', total: 5_000, path: '/Users' }]);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { deleted: 0, withheld: n } });
    expect((await readStanding(world.pool, name)).doubts).toContain(doubt);
    source.setFaults([]);
    // Only of people it is not settled: a group goes as ever.
    const empty = d.addGroup({ displayName: 'Empty' });
    await world.run(name, { steps: { deleteUsers: false } });
    d.removeGroup(empty);
    expect(await world.run(name, { steps: { deleteUsers: false } })).toMatchObject({
      breaches: [],
      groups: { deleted: 1 },
    });

    const run = await world.start(name);
    const { digest } = await parked(run, breaches);
    await run.executeUpdate(approve, { args: [{ digest }] });
    expect(await run.result()).toMatchObject({ mode: 'incremental', applied: { deleteUsers: expect.any(Number) } });
    expect(await livingIds(world.pool, name, 'users')).toEqual(before.filter((id) => !inactive.includes(id)));
    expect((await readStanding(world.pool, name)).doubts).toEqual([]);
    d.editUser(before.find((id) => !inactive.includes(id))!, { active: false });
    expect(await world.run(name), 'settled: who leaves now is judged as ever').toMatchObject({ users: { deleted: 1 } });
  });

  it('another scope while a run reads: it starts over under the new one, and asks', async () => {
    const { name, source } = await world.scim({ users: 120, groups: 5, inactiveShare: 0.1 });
    const other = await world.scim({ users: 120, groups: 5, inactiveShare: 0.1, seed: 2 });
    const d = source.directory;
    await world.run(name);
    const before = await snapshot(world.pool, name);
    const n = d.userIds().filter((id) => d.fields(d.findPerson(id)!).active === false).length;
    for (const reading of ['Groups', 'Users'] as const) {
      source.setFaults([{ type: 'latency', ms: 1_000, path: `/${reading}` }]);
      const run = await world.start(name);
      await until(`${reading} being read`, async () => isAtWork(run, `stage${reading}`));
      await run.executeUpdate(pause);
      source.setFaults([]);
      if (reading === 'Groups') await change(name, { userFilter: 'active eq true' });
      else await connectTo(name, other.source);
      await run.executeUpdate(resume);
      const { breaches, digest } = await until('a parked run', async () => (await run.query(progress)).parked);
      const gone = reading === 'Groups' ? n : 120;
      expect(breaches[0]).toEqual({
        guard: 'user deletions after a change of scope',
        planned: gone,
        of: 120,
        allowed: 0,
      });
      await run.executeUpdate(decline, { args: [{ digest: digest! }] });
      const { mode, outcome, notes } = await run.result();
      expect({ mode, outcome, notes }).toEqual({
        mode: 'full',
        outcome: 'declined',
        notes: expect.arrayContaining([rescoped]),
      });
      expect(await snapshot(world.pool, name)).toEqual(before);
    }
  });

  it('somebody who leaves the filter is deleted, though a direct read still finds him', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 5 }, { userFilter: 'active eq true' });
    const d = source.directory;
    await world.run(name);
    const left = d.userIds()[0]!;
    d.editUser(left, { active: false });
    expect((await world.run(name)).users).toMatchObject({ deleted: 1, edited: 0 });
    expect(await livingIds(world.pool, name, 'users')).toEqual(d.userIds().slice(1).sort());
  });
});

async function parked(handle: Handle, breaches: object[]): Promise<{ digest: string }> {
  return vi.waitFor(
    async () => {
      const { state, parked } = await handle.query<OrgSyncProgress>(progress);
      expect({ state, breaches: parked?.breaches }).toEqual({ state: 'parked', breaches });
      return { digest: parked!.digest! };
    },
    { timeout: 20_000, interval: 50 },
  );
}

/** The run asks with these breaches; declined, it leaves everything as it was. */
async function parkedAndDeclined(name: string, breaches: object[]): Promise<void> {
  const before = await snapshot(world.pool, name);
  const handle = await world.start(name);
  const { digest } = await parked(handle, breaches);
  await handle.executeUpdate(decline, { args: [{ digest }] });
  expect(await handle.result()).toMatchObject({ outcome: 'declined', applied: {} });
  expect(await snapshot(world.pool, name)).toEqual(before);
}

const rescoped = 'what the connection reads was changed while it was read: it is read again under the new scope';

async function isAtWork(run: Handle, activity: string): Promise<boolean> {
  const { raw } = await run.describe();
  return raw.pendingActivities?.some((each) => each.activityType?.name === activity) ?? false;
}

async function connectTo(name: string, { url, token }: ScimSandbox): Promise<void> {
  const to = { platform: 'scim', baseUrl: url, credential: token, options: {} };
  await saveConnection(world.pool, world.key, { id: name, tenant: name, ...to });
}

async function change(name: string, options: Record<string, unknown>): Promise<void> {
  await world.pool.query('UPDATE syncline.connections SET options = options || $2 WHERE id = $1', [name, options]);
}

/** What a refused answer says. */
async function answerOf(handle: Handle, update: typeof approve, digest: string): Promise<string> {
  const error = await handle.executeUpdate(update, { args: [{ digest }] }).then(
    (text) => expect.fail(`the answer should have been refused, but: ${text}`),
    (e: Error) => e,
  );
  return (error.cause as Error | undefined)?.message ?? error.message;
}

it('remembers the scope however old its plan is, and clears a stage whose plan is pruned', async () => {
  const { name, source } = await world.scim({ users: 120, groups: 6 }, { changesDays: 1 });
  await world.run(name);
  await world.pool.query(`UPDATE org.plans SET created_at = now() - interval '100 days' WHERE connection_id = $1`, [
    name,
  ]);
  await world.pool.query(
    `UPDATE syncline.connections SET options = options || '{"userFilter":"active eq true"}' WHERE id = $1`,
    [name],
  );
  source.directory.removeUser(source.directory.userIds()[0]!);
  for (const _run of ['first', 'second']) {
    const handle = await world.start(name);
    await until('the run is parked', async () => (await handle.query(progress)).state === 'parked');
    const { parked } = await handle.query(progress);
    expect(parked?.breaches[0]).toMatchObject({
      guard: 'user deletions after a change of scope',
      planned: 1,
      allowed: 0,
    });
    await handle.executeUpdate(decline, { args: [{ digest: parked!.digest! }] });
    expect((await handle.result()).outcome).toBe('declined');
  }
});

it('takes nobody the name away while edits are switched off', async () => {
  const { name, source } = await world.scim({ users: 30, groups: 3 }, { steps: { editUsers: false } });
  await world.run(name);
  const d = source.directory;
  const [renamed] = d.userIds() as [string];
  const old = d.fields(d.findPerson(renamed)!).userName;
  d.renameUser(renamed, 'other.name@example.org');
  d.addUser({ userName: old }, [d.groupIds()[0]!]);
  const result = await world.run(name);
  expect(result).toMatchObject({ users: { added: 0, edited: 1, conflicts: 1 }, applied: {} });
  expect(result.notes).toContain('editUsers is switched off: 1 planned changes are not written');
  const { rows } = await world.pool.query(
    'SELECT id, user_name_key FROM org.users WHERE tenant = $1 AND lower(user_name) = $2',
    [name, old],
  );
  expect(rows).toEqual([{ id: renamed, user_name_key: old }]);
});
