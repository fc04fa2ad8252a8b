import { describe, expect, it } from 'vitest';
import { runCli } from '../workers/cli.ts';
import { approve, decline, progress } from '../workflows/org.gate.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { expectNoStage, livingIds, snapshot } from './harness/ours.ts';
import { until } from './harness/until.ts';
import { type Handle, openWorld } from './harness/world.ts';

const world = await openWorld();

describe.concurrent('many people switched off at once', () => {
  it('over a fifth of them: asked in both modes, and nothing is written before the answer', async () => {
    const { name, source } = await world.scim({ users: 200, groups: 10 });
    const d = source.directory;
    await world.run(name);
    for (const id of d.userIds().slice(0, 41)) d.editUser(id, { active: false });
    const breaches = [{ guard: 'user deactivations', planned: 41, of: 200, allowed: 40 }];
    await parkedAndDeclined(name, breaches);
    await parkedAndDeclined(name, breaches, { mode: 'full' });
    const run = await world.start(name);
    await run.executeUpdate(approve, { args: [{ digest: await parked(run, breaches) }] });
    expect(await run.result()).toMatchObject({ outcome: 'applied', users: { edited: 41 }, breaches });
    await expectSameAsSource(world.pool, name, d);
    for (const id of d.userIds().slice(0, 41)) d.editUser(id, { active: true });
    expect(await world.run(name), 'switching on is no deactivation').toMatchObject({ breaches: [] });
  });

  it('exactly a fifth, with others edited and others off before: not asked', async () => {
    const { name, source } = await world.scim({ users: 200, groups: 10, inactiveShare: 0.1 });
    const d = source.directory;
    expect(await world.run(name), 'people who come switched off').toMatchObject({ outcome: 'applied', breaches: [] });
    const on = d.userIds().filter((id) => d.fields(d.findPerson(id)!).active !== false);
    for (const id of on.slice(0, 40)) d.editUser(id, { active: false });
    for (const id of d.userIds().slice(-20)) d.editUser(id, { title: 'Edited' });
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', breaches: [] });
    await expectSameAsSource(world.pool, name, d);
  });

  it('by count, and below 100 people half of them', async () => {
    const many = await world.scim({ users: 120, groups: 5 }, { guards: { deactivations: { count: 10 } } });
    await world.run(many.name);
    switchOff(many.source.directory, 11);
    await parkedAndDeclined(many.name, [{ guard: 'user deactivations', planned: 11, of: 120, allowed: 10 }]);
    const few = await world.scim({ users: 30, groups: 3 });
    await world.run(few.name);
    switchOff(few.source.directory, 16);
    await parkedAndDeclined(few.name, [{ guard: 'user deactivations', planned: 16, of: 30, allowed: 15 }]);
  });

  it('are not asked for where the step is switched off', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 5 }, { steps: { editUsers: false } });
    await world.run(name);
    switchOff(source.directory, 60);
    expect(await world.run(name)).toMatchObject({
      outcome: 'applied',
      breaches: [],
      applied: {},
      users: { edited: 60 },
    });
  });
});

describe.concurrent('many people edited at once', () => {
  it('over half of them, as by another field in place of names: asked; half of them: not', async () => {
    const { name, source } = await world.scim({ users: 100, groups: 5 });
    const d = source.directory;
    await world.run(name);
    const [first, ...others] = d.userIds().slice(0, 51) as [string, ...string[]];
    for (const id of others) d.editUser(id, { displayName: d.fields(d.findPerson(id)!).employeeNumber });
    const before = d.fields(d.findPerson(first)!).title;
    d.editUser(first, { title: 'One too many' });
    await parkedAndDeclined(name, [{ guard: 'user edits', planned: 51, of: 100, allowed: 50 }]);
    d.editUser(first, { title: before });
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', breaches: [], users: { edited: 50 } });
    await expectSameAsSource(world.pool, name, d);
  });

  it('below 100 people, or with the guard at 100 percent: not asked', async () => {
    for (const [users, options] of [
      [99, {}],
      [120, { guards: { editsPercent: 100 } }],
    ] as const) {
      const { name, source } = await world.scim({ users, groups: 5 }, options);
      await world.run(name);
      for (const id of source.directory.userIds()) source.directory.editUser(id, { title: 'Everybody' });
      expect(await world.run(name)).toMatchObject({ outcome: 'applied', breaches: [], users: { edited: users } });
    }
  });

  it('by another mapping: asked too, and told apart', async () => {
    const { name } = await world.scim({ users: 120, groups: 5 });
    await world.run(name);
    await change(name, 'mapping.title=displayName');
    const breaches = [{ guard: 'user edits after a change of scope', planned: 120, of: 120, allowed: 60 }];
    await parkedAndDeclined(name, breaches);
    const run = await world.start(name);
    await run.executeUpdate(approve, { args: [{ digest: await parked(run, breaches) }] });
    expect(await run.result()).toMatchObject({ mode: 'full', outcome: 'applied', users: { edited: 120 } });
    const { rows } = await world.pool.query(
      'SELECT count(*)::int AS n FROM org.users WHERE connection_id = $1 AND title = display_name',
      [name],
    );
    expect(rows[0].n).toBe(120);
    expect(await world.run(name)).toMatchObject({ mode: 'incremental', breaches: [], applied: {} });
  });
});

describe.concurrent('a directory that is really empty', () => {
  it('fails first; with the option of the message the guards ask, in the same scope, and all go', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 6 });
    const d = source.directory;
    await world.run(name);
    const before = await snapshot(world.pool, name);
    d.removeUsers(d.userIds());
    for (const id of d.groupIds().reverse()) d.removeGroup(id);
    const { type, message } = await world.fail(name);
    expect(type).toBe('EmptyAnswer');
    expect(message).toBe(
      `stageGroups: The source answered with no groups where we hold 6: nothing was changed. Check the credential's rights, the filter and the base address. If the directory really is empty, let the guards ask you instead: npx syncline connect ${name} --option allowEmpty=true, then start again and approve the plan.`,
    );
    expect(await snapshot(world.pool, name)).toEqual(before);
    await expectNoStage(world.pool, name);

    await syncline(/npx syncline (.*?),/.exec(message)![1]!);
    const breaches = [
      { guard: 'user deletions', planned: 60, of: 60, allowed: 20 },
      { guard: 'group deletions', planned: 6, of: 6, allowed: 3 },
    ];
    await parkedAndDeclined(name, breaches);
    const run = await world.start(name);
    await run.executeUpdate(approve, { args: [{ digest: await parked(run, breaches) }] });
    expect(await run.result()).toMatchObject({ mode: 'incremental', outcome: 'applied', users: { deleted: 60 } });
    expect(await livingIds(world.pool, name, 'users')).toEqual([]);
    expect(await livingIds(world.pool, name, 'groups')).toEqual([]);
  });

  it('a list that only looks empty deletes nobody even then: direct reads find everybody', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 6 }, { allowEmpty: true });
    await world.run(name);
    const before = await snapshot(world.pool, name);
    source.setFaults([{ type: 'emptyList' }]);
    const result = await world.run(name);
    expect(result).toMatchObject({ outcome: 'applied', applied: {}, users: { deleted: 0 }, groups: { deleted: 0 } });
    expect(result.notes).toContain('60 missing users were asked for one by one; 60 of them live');
    expect(await snapshot(world.pool, name)).toEqual(before);
  });
});

function switchOff(directory: Awaited<ReturnType<typeof world.scim>>['source']['directory'], count: number): void {
  for (const id of directory.userIds().slice(0, count)) directory.editUser(id, { active: false });
}

const change = (name: string, option: string) => syncline(`connect ${name} --option ${option}`);

/** Runs a command line as an operator would; it must succeed. */
async function syncline(line: string): Promise<void> {
  let said = '';
  const hear = (text: string) => {
    said += `${text}\n`;
  };
  const nobody = async () => expect.fail('nobody expected to be asked');
  const env = {
    DATABASE_URL: world.servers.databaseUrl,
    TEMPORAL_ADDRESS: world.servers.temporal.address,
    TEMPORAL_NAMESPACE: world.servers.temporal.namespace,
    SYNCLINE_SECRET_KEY: world.key.toString('base64'),
    SYNCLINE_TASK_QUEUE: world.config.taskQueue,
  };
  const terminal = {
    print: hear,
    warn: hear,
    interactive: false,
    redraw: () => undefined,
    ask: nobody,
    askSecret: nobody,
  };
  expect(await runCli(line.split(' '), { ...terminal, env }), said).toBe(0);
}

/** Waits for a run that asks about exactly these breaches; gives the plan's digest. */
async function parked(run: Handle, breaches: object[]): Promise<string> {
  const asked = await until('a parked run', async () => (await run.query(progress)).parked);
  expect(asked.breaches).toEqual(breaches);
  return asked.digest!;
}

/** The run asks about these breaches; declined, it leaves everything as it was. */
async function parkedAndDeclined(name: string, breaches: object[], input = {}): Promise<void> {
  const before = await snapshot(world.pool, name);
  const run = await world.start(name, input);
  await run.executeUpdate(decline, { args: [{ digest: await parked(run, breaches) }] });
  expect(await run.result()).toMatchObject({ outcome: 'declined', applied: {} });
  expect(await snapshot(world.pool, name)).toEqual(before);
}
