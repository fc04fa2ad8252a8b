import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ScheduleOverlapPolicy } from '@temporalio/client';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { type ScimSandbox, type ScimSandboxOptions, startScimSandbox } from '../sandbox/scim.ts';
import { runCli } from '../workers/cli.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const checkout = join(import.meta.dirname, '..');
const token = `tok-${randomBytes(9).toString('hex')}`;
const environment: Record<string, string> = {
  DATABASE_URL: world.servers.databaseUrl,
  TEMPORAL_ADDRESS: world.servers.temporal.address,
  TEMPORAL_NAMESPACE: world.servers.temporal.namespace,
  SYNCLINE_SECRET_KEY: world.key.toString('base64'),
  SYNCLINE_TASK_QUEUE: world.config.taskQueue,
  ACME_TOKEN: token,
};

interface Said {
  code: number;
  out: string;
  err: string;
}

interface Person {
  env?: Record<string, string | undefined>;
  /** What is typed, in order; given, somebody sits at the terminal. */
  types?: string[];
}

/** Runs one command line as a terminal would, without a process of its own. */
async function cli(line: string | string[], { env = {}, types }: Person = {}): Promise<Said> {
  const said = { out: '', err: '' };
  const typed = [...(types ?? [])];
  const answer = async (question: string) => {
    said.out += `${question}\n`;
    return typed.shift() ?? expect.fail(`nobody expected to be asked: ${question}`);
  };
  const code = await runCli(typeof line === 'string' ? line.split(' ') : line, {
    print: (text) => {
      said.out += `${text}\n`;
    },
    warn: (text) => {
      said.err += `${text}\n`;
    },
    interactive: types !== undefined,
    redraw: () => undefined,
    ask: answer,
    askSecret: answer,
    env: { ...environment, ...env },
  });
  expect(said.out + said.err, 'the credential was shown').not.toContain(token);
  return { code, ...said };
}

/** Temporal is shared by all test files and ids come from names: each is used once. */
const fresh = () => `cli-${randomBytes(4).toString('hex')}`;

async function sandbox(options: Partial<ScimSandboxOptions> = {}): Promise<ScimSandbox> {
  const source = await startScimSandbox({ users: 60, groups: 6, token, ...options });
  onTestFinished(() => source.stop());
  return source;
}

/** A connection made by `connect`. */
async function connected(source: ScimSandbox, ...more: string[]): Promise<string> {
  const name = fresh();
  const line = ['connect', name, '--platform', 'scim', '--url', source.url, '--credential-env', 'ACME_TOKEN'];
  const said = await cli([...line, ...more]);
  expect(said).toMatchObject({ code: 0, err: '' });
  return name;
}

/** A connection whose next run takes more people away than may go without asking. */
async function decimated(): Promise<{ name: string; source: ScimSandbox }> {
  const source = await sandbox();
  const name = await connected(source);
  expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
  source.directory.removeUsers(source.directory.userIds().slice(0, 40));
  return { name, source };
}

/** Starts a run and stops it before its first page is written; the answer to the first request takes a moment. */
async function pausedRun(): Promise<{ name: string; source: ScimSandbox }> {
  const source = await sandbox();
  const name = await connected(source);
  source.setFaults([{ type: 'latency', ms: 1_000 }]);
  expect((await cli(`start orgSync ${name}`)).code).toBe(0);
  expect(await cli(`pause ${name}`)).toMatchObject({ code: 0, out: expect.stringMatching(/^Paused/) });
  source.setFaults([]);
  return { name, source };
}

const stateOf = async (name: string) => JSON.parse((await cli(`status ${name} --json`)).out).connections[0];

async function liveUsers(name: string): Promise<number> {
  const { rows } = await world.pool.query(
    'SELECT count(*)::int AS n FROM org.users WHERE connection_id = $1 AND deleted_at IS NULL',
    [name],
  );
  return rows[0].n;
}

describe('connect', () => {
  test('reads one page of each list, says what it saw and seals the credential', async () => {
    const source = await sandbox({ users: 300, groups: 30 });
    const name = fresh();
    const said = await cli(
      `connect ${name} --platform scim --url ${source.url} --tenant t1 --credential-env ACME_TOKEN --option guards.users.count=10 --option steps.deleteUsers=false`,
    );
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toContain('Read one page of each list: 200 of 300 users, 30 of 30 groups.');
    expect(said.out).toContain(`Saved connection ${name}: scim, tenant t1, ${source.url}, credential sealed.`);
    const { rows } = await world.pool.query('SELECT options, credential FROM syncline.connections WHERE id = $1', [
      name,
    ]);
    expect(rows[0].options).toEqual({ guards: { users: { count: 10 } }, steps: { deleteUsers: false } });
    expect(rows[0].credential.toString('latin1')).not.toContain(token);
  });

  test('changes only what is given, and keeps the credential', async () => {
    const source = await sandbox();
    const name = await connected(
      source,
      '--tenant',
      'kept',
      '--option',
      'guards.users.count=10',
      '--option',
      'pageSize=50',
    );
    const said = await cli(['connect', name, '--option', 'userFilter=active eq true', '--unset', 'guards.users.count']);
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toContain(`Changed connection ${name}: scim, tenant kept, ${source.url}, credential sealed.`);
    const { rows } = await world.pool.query('SELECT options FROM syncline.connections WHERE id = $1', [name]);
    expect(rows[0].options).toEqual({ pageSize: 50, userFilter: 'active eq true' });
  });

  test('asks for the credential where somebody can answer', async () => {
    const source = await sandbox();
    const name = fresh();
    const said = await cli(`connect ${name} --platform scim --url ${source.url}`, { types: [token] });
    expect(said).toMatchObject({ code: 0, out: expect.stringContaining(`Credential of ${name} (not shown`) });
    expect((await cli(`start orgSync ${name} --dry-run --wait`)).code).toBe(0);
  });

  test('saves nothing when the probe fails, unless told not to look', async () => {
    const source = await sandbox();
    const name = fresh();
    const line = `connect ${name} --platform scim --url ${source.url} --credential-env WRONG`;
    const env = { WRONG: 'not-the-token' };
    const said = await cli(line, { env });
    expect(said.code).toBe(1);
    expect(said.err).toBe(
      `syncline: ${source.url}/Users refused the credential (401). Give a valid one: npx syncline connect ${name} --credential-env VARIABLE. Nothing was saved; --no-probe saves without reading.\n`,
    );
    expect((await cli(`status ${name}`)).err).toContain(`Connection "${name}" does not exist.`);
    expect((await cli(`${line} --no-probe`, { env })).code).toBe(0);
    expect((await cli(`connect ${name} --credential-env ACME_TOKEN`)).code).toBe(0);
  });

  test('does not send a stored credential to another server', async () => {
    const [source, stranger] = [await sandbox(), await sandbox()];
    const name = await connected(source);
    const said = await cli(`connect ${name} --url ${stranger.url}`);
    expect(said).toMatchObject({
      code: 1,
      err: expect.stringContaining('the stored credential is not sent there by itself'),
    });
    expect(stranger.requests.total).toBe(0);
  });

  const base = ['connect', 'bad-input', '--platform', 'scim', '--url', 'http://127.0.0.1:9/scim/v2'];
  const withVariable = [...base, '--credential-env', 'ACME_TOKEN'];
  test.each<[string, string[], number, string]>([
    ['a credential as argument', [...base, '--token', 'hunter2'], 2, 'A credential is not taken as an argument'],
    ['a credential behind =', [...base, '--credential=hunter2'], 2, 'A credential is not taken as an argument'],
    [
      'a credential in the address',
      ['connect', 'x', '--platform', 'scim', '--url', 'http://me:hunter2@h/'],
      2,
      'a user or password inside the address is not taken',
    ],
    [
      'a credential in place of a variable',
      [...base, '--credential-env', 'hunter2-hunter2'],
      2,
      'got something that is no name of a variable',
    ],
    ['a mistyped option with a value', [...base, '--tokn=hunter2'], 2, "unknown option '--tokn'"],
    ['a variable that is not set', [...base, '--credential-env', 'NO_SUCH'], 1, 'the variable NO_SUCH is not set here'],
    ['no credential where nobody can be asked', base, 1, 'nobody can be asked here'],
    [
      'a wrong value',
      [...withVariable, '--option', 'guards.users.count=ten'],
      2,
      'options: guards.users.count: got "ten", accepted number',
    ],
    [
      'a value out of its bounds',
      [...withVariable, '--option', 'pageSize=0'],
      2,
      'options: pageSize: got 0, accepted >=1',
    ],
    [
      'a choice that is none',
      [...withVariable, '--option', 'paging=scroll'],
      2,
      'options: paging: got "scroll", accepted ("index" | "cursor")',
    ],
    [
      'an unknown option of the source',
      [...withVariable, '--option', 'gards=1'],
      2,
      'options: unknown field "gards" (accepted: ',
    ],
    ['an option without a value', [...withVariable, '--option', 'pageSize'], 2, 'accepted key=value'],
    ['a key that is none', [...withVariable, '--option', '__proto__.x=1'], 2, 'accepted names joined by dots'],
    [
      'an unknown platform',
      ['connect', 'x', '--platform', 'gopher', '--url', 'http://h'],
      2,
      'orgSync reads: scim, ldap',
    ],
    [
      'an address of another kind',
      ['connect', 'x', '--platform', 'ldap', '--url', 'http://h'],
      2,
      'accepted for ldap: ldap://host or ldaps://host',
    ],
    ['no address the first time', ['connect', 'x', '--platform', 'scim'], 2, 'to make it, add --url ADDRESS'],
    [
      'a name that is none',
      ['connect', 'Not A Name'],
      2,
      'connection: got "Not A Name", accepted a name of 1-64 characters',
    ],
    ['a server that does not answer', withVariable, 1, 'did not answer (ECONNREFUSED). Nothing was saved'],
  ])('refuses %s', async (_what, args, code, message) => {
    const said = await cli(args);
    expect(said.err).toContain(message);
    expect(said.err.trimEnd().split('\n')).toHaveLength(1);
    expect(said.err).not.toContain('hunter2');
    expect(said.code).toBe(code);
  });
});

describe('start', () => {
  test('starts under the usual id, follows to the end and prints the result', async () => {
    const source = await sandbox();
    const name = await connected(source);
    const planned = await cli(`start orgSync ${name} --dry-run --wait`);
    expect(planned).toMatchObject({ code: 0, err: '' });
    expect(planned.out).toContain('Planned, nothing was written');
    expect(await liveUsers(name)).toBe(0);
    const said = await cli(`start orgSync ${name} --wait`);
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toMatch(
      new RegExp(`^Started orgSync of ${name}: workflow id orgSync-${name}, run id [0-9a-f-]{36}\n`),
    );
    expect(said.out).toMatch(/Applied: plan \d+, full/);
    expect(said.out).toMatch(/users: staged 60, added 60,/);
    expect(await liveUsers(name)).toBe(60);
  });

  test('hands mode, steps and one person on', async () => {
    const source = await sandbox();
    const name = await connected(source);
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
    const [one] = source.directory.userIds();
    source.directory.removeUser(one!);
    const skipped = await cli(`start orgSync ${name} --mode full --skip deleteUsers --wait`);
    expect(skipped).toMatchObject({ code: 0, out: expect.stringContaining('deleteUsers skipped') });
    expect(await liveUsers(name)).toBe(60);
    const single = await cli(`start orgSync ${name} --only-user ${one} --id ${name}-single --wait`);
    expect(single).toMatchObject({ code: 0, out: expect.stringContaining(`workflow id ${name}-single`) });
    expect(await liveUsers(name)).toBe(59);
  });

  test('says since when a run is at work, whatever its id is', async () => {
    const { name } = await pausedRun();
    const said = await cli(`start orgSync ${name} --id ${name}-second`);
    expect(said.code).toBe(1);
    expect(said.err).toMatch(
      new RegExp(`orgSync of ${name} runs already, since 20.+ ago\\): workflow id orgSync-${name}\\.`),
    );
    expect((await cli(`cancel ${name}`)).code).toBe(0);
  });

  test('ends with 1 and the reason when the run fails', async () => {
    const source = await sandbox();
    const name = await connected(source, '--option', 'userLimit=10');
    const said = await cli(`start orgSync ${name} --wait`);
    expect(said).toMatchObject({
      code: 1,
      err: expect.stringContaining("The tenant's user limit of 10 would be exceeded"),
    });
    expect((await cli(`status ${name}`)).out).toContain("failed: checkLimits: The tenant's user limit of 10");
  });

  test.each<[string, string, number, string]>([
    ['an unknown workflow', 'start nightly acme', 2, 'workflow: got "nightly", accepted orgSync'],
    ['an unknown connection', 'start orgSync nobody', 1, 'Connection "nobody" does not exist. Known connections:'],
    ['a wrong mode', 'start orgSync acme --mode half', 2, 'Allowed choices are full, incremental'],
    [
      'a wrong step',
      'start orgSync acme --skip everything',
      2,
      '--skip: got "everything", accepted deleteUsers, addGroups',
    ],
    ['an empty person', 'start orgSync acme --only-user ', 2, 'Wrong input: only.user'],
  ])('refuses %s', async (_what, line, code, message) => {
    expect(await cli(line)).toMatchObject({ code, err: expect.stringContaining(message) });
  });
});

describe('status', () => {
  test('tells state, lag and counts, and the same to programs', async () => {
    const source = await sandbox();
    const name = await connected(source);
    expect((await cli(`status ${name}`)).out).toContain('none known to Temporal; start one with');
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
    const { out } = await cli(`status ${name}`);
    expect(out).toMatch(/run {4}applied; ended 20.+ ago\) after /);
    expect(out).toMatch(/lag {4}\d+ s \(plan \d+, read from 20/);
    expect(out).toMatch(/holds {2}60 users, 6 groups, \d+ memberships/);
    expect(await stateOf(name)).toMatchObject({
      connection: name,
      state: 'completed',
      outcome: 'applied',
      living: { users: 60, groups: 6 },
      open: { rejects: 0, conflicts: 0 },
      lagMs: expect.any(Number),
      schedule: null,
    });
  });

  test('shows bars while a run works, and why it waits when the source is down', async () => {
    const { name, source } = await pausedRun();
    await source.stop();
    expect((await cli(`resume ${name}`)).code).toBe(0);
    await until('a second try', async () => (await stateOf(name)).run.pending[0]?.attempt > 1);
    const { out } = await cli(`status ${name}`);
    expect(out).toMatch(
      /waits for {2}stage\w+, try \d+: http:.+ did not answer \(ECONNREFUSED\); (next try in|tries again)/,
    );
    expect(out).toMatch(/stageGroups {2,}\S/);
    await source.restart();
    await until('its end', async () => (await stateOf(name)).state === 'completed');
  });

  test('says that nobody polls, and waits for nobody', async () => {
    const source = await sandbox();
    const name = await connected(source);
    const env = { SYNCLINE_TASK_QUEUE: `deserted-${name}` };
    const warning = `Nobody polls the task queue "deserted-${name}": runs wait until a worker is there. Start one with: npm start`;
    const started = await cli(`start orgSync ${name}`, { env });
    expect(started).toMatchObject({ code: 0, err: `${warning}\n` });
    const before = Date.now();
    const { code, out } = await cli(`status ${name}`, { env });
    expect(Date.now() - before).toBeLessThan(10_000);
    expect(code).toBe(0);
    expect(out).toContain(warning);
    expect(out).toContain('open, but no worker takes it on');
    for (const line of [`approve ${name} --yes`, `pause ${name}`])
      expect(await cli(line, { env }), line).toMatchObject({ code: 1, err: `syncline: ${warning}\n` });
    await world.client.workflow.getHandle(`orgSync-${name}`).terminate();
    expect((await stateOf(name)).state).toBe('terminated');
  });
});

describe('a run that asks', () => {
  test('parks, is looked at and approved', async () => {
    const { name } = await decimated();
    const said = await cli(`start orgSync ${name} --wait`);
    expect(said.code).toBe(3);
    expect(said.out).toContain('Waits for approval: 40 user deletions of 60, allowed without asking 20');
    expect((await cli(`status ${name}`)).out).toContain('asks   Waits for approval: 40 user deletions');
    const { parked } = (await stateOf(name)).progress;
    expect((await cli(`changes ${name} --step deleteUsers --limit 3`)).out).toMatch(/open[\s\S]+user delete 40/);
    expect(await cli(`approve ${name}`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('say --yes to approve plan'),
    });
    expect(await cli(`approve ${name} --yes --plan 0123`)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`got "0123", but plan ${parked.digest} waits`),
    });
    const hesitant = await cli(`approve ${name}`, { types: ['n'] });
    expect(hesitant).toMatchObject({ code: 1, out: expect.stringContaining('Nothing was done; the run waits on.') });
    expect(await liveUsers(name)).toBe(60);
    const approved = await cli(`approve ${name} --plan ${parked.digest}`, { types: ['y'] });
    expect(approved).toMatchObject({ code: 0, out: expect.stringMatching(/user delete 40[\s\S]+Approved/) });
    await until('its end', async () => (await stateOf(name)).state === 'completed');
    expect(await liveUsers(name)).toBe(20);
    expect(await cli(`approve ${name} --yes`)).toMatchObject({
      code: 1,
      err: `syncline: No run of ${name} is open: nothing to approve\n`,
    });
  });

  test('is declined, and nothing is written', async () => {
    const { name } = await decimated();
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(3);
    expect(await cli(`decline ${name} --yes`)).toMatchObject({ code: 0, out: expect.stringContaining('Declined') });
    await until('its end', async () => (await stateOf(name)).outcome === 'declined');
    expect(await liveUsers(name)).toBe(60);
  });
});

describe('pause, resume, cancel', () => {
  test('a paused run says so, goes on and ends', async () => {
    const { name } = await pausedRun();
    expect((await stateOf(name)).state).toBe('paused');
    expect(await cli(`approve ${name} --yes`)).toMatchObject({
      code: 1,
      err: expect.stringContaining('does not wait for an answer (it is paused)'),
    });
    expect(await cli(`resume ${name}`)).toMatchObject({ code: 0, out: `Resumed ${name}.\n` });
    await until('its end', async () => (await stateOf(name)).state === 'completed');
    expect(await liveUsers(name)).toBe(60);
  });

  test('cancel waits for the end and says that what was written stays', async () => {
    const { name } = await pausedRun();
    expect(await cli(`cancel ${name}`)).toMatchObject({ code: 0, out: expect.stringContaining('What it wrote stays') });
    expect((await stateOf(name)).state).toBe('cancelled');
    for (const verb of ['pause', 'resume', 'cancel'])
      expect(await cli(`${verb} ${name}`)).toMatchObject({
        code: 1,
        err: `syncline: No run of ${name} is open: nothing to ${verb}\n`,
      });
  });
});

describe('what was handed back and what changes', () => {
  test('rejects explains without personal data, and shows records when asked', async () => {
    const source = await sandbox();
    const name = await connected(source);
    const id = source.directory.addUser({ userName: 'lonely.person@example.org' }, []);
    expect((await cli(`start orgSync ${name} --wait`)).out).toContain(
      `1 record handed back: npx syncline rejects ${name}`,
    );
    const plain = await cli(`rejects ${name}`);
    expect(plain.out).toContain(`${name} users ${id}: no_group (groups)`);
    expect(plain.out).toContain('the person is in no group that we have; put the person into a group');
    expect(plain.out).not.toContain('lonely');
    expect((await cli(`rejects ${name} --json`)).out).not.toContain('lonely');
    expect((await cli(`rejects ${name} --show-records`)).out).toContain('lonely.person@example.org');
    expect((await cli(`rejects ${name} --stream groups`)).out).toBe('Nothing is handed back.\n');
    expect(await cli(`rejects ${name} --stream people`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('accepted users, groups, memberships'),
    });
  });

  test('rejects names who holds the name of a conflict', async () => {
    const tenant = fresh();
    const [first, second] = [await sandbox({ users: 3, groups: 1 }), await sandbox({ users: 3, groups: 1, seed: 2 })];
    const owner = await connected(first, '--tenant', tenant);
    const [held, wanted] = [first.directory.userIds()[0]!, second.directory.userIds()[0]!];
    const { userName } = first.directory.fields(first.directory.findPerson(held)!);
    for (const id of second.directory.userIds()) second.directory.renameUser(id, `${id}@second.example.org`);
    second.directory.renameUser(wanted, userName);
    expect((await cli(`start orgSync ${owner} --wait`)).code).toBe(0);
    const name = await connected(second, '--tenant', tenant);
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
    const { out } = await cli(`rejects ${name}`);
    expect(out).toContain(`${name} users ${wanted}: conflict (userName)`);
    expect(out).toContain(`${owner} user ${held} of the same tenant holds the name`);
    expect(out).not.toContain(userName);
    expect((await cli(`status ${name}`)).out).toContain('0 rejects, 1 conflict');
  });

  test('changes shows counts, then the fields that differ', async () => {
    const source = await sandbox();
    const name = await connected(source);
    expect((await cli(`changes ${name}`)).out).toContain('No plan yet.');
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
    const [one] = source.directory.userIds();
    source.directory.editUser(one!, { title: 'Keeper of Keys' });
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
    const { out } = await cli(`changes ${name}`);
    expect(out).toMatch(/^plan \d+: incremental, applied, made .+\n {2}editUsers {2}user edit 1\n/);
    expect(out).toMatch(new RegExp(`editUsers: edit user ${one}\n {4}title: (none|".*") -> "Keeper of Keys"\n`));
    const [, earlier] = /Earlier plans \(--plan N\):\n {2}plan (\d+): full, applied/.exec(out) ?? [];
    const first = await cli(`changes ${name} --plan ${earlier} --id ${one} --json`);
    const { counts, changes } = JSON.parse(first.out);
    expect(counts).toContainEqual({ step: 'addUsers', kind: 'user', action: 'add', count: 60 });
    expect(changes[0]).toMatchObject({ kind: 'user', action: 'add', sourceId: one, before: null });
    expect(await cli(`changes ${name} --plan 999999`)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`has no plan 999999`),
    });
    expect(await cli(`changes ${name} --step all`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('--step: got "all"'),
    });
    expect(await cli(`changes ${name} --limit 0`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('from 1 to 999999'),
    });
  });
});

describe('schedule', () => {
  test('is made, changed, listed, paused, triggered and deleted', async () => {
    const source = await sandbox();
    const name = await connected(source);
    const handle = world.client.schedule.getHandle(`orgSync-${name}`);
    const made = await cli(['schedule', name, '--cron', '*/15 * * * *', '--time-zone', 'Europe/Berlin']);
    expect(made).toMatchObject({
      code: 0,
      out: expect.stringMatching(new RegExp(`^Made the schedule of ${name}. Next: 20`)),
    });
    expect((await handle.describe()).policies).toMatchObject({
      overlap: ScheduleOverlapPolicy.SKIP,
      catchupWindow: 900_000,
    });
    expect((await cli('schedule list')).out).toMatch(
      new RegExp(`${name} +\\*/15 \\* \\* \\* \\* Europe/Berlin +next 20`),
    );

    expect((await cli(`schedule ${name} --cron @daily --mode full`)).out).toMatch(/^Changed the schedule/);
    const daily = await handle.describe();
    expect(daily.spec.calendars).toHaveLength(1);
    expect(daily.policies.catchupWindow).toBe(86_400_000);
    expect(daily.action.args).toEqual([{ connection: name, mode: 'full' }]);

    expect((await cli(`schedule ${name} --every 6h`)).code).toBe(0);
    const every = await handle.describe();
    expect([every.spec.calendars ?? [], every.spec.intervals?.[0]?.every, every.policies.catchupWindow]).toEqual([
      [],
      21_600_000,
      21_600_000,
    ]);

    expect((await cli(`schedule pause ${name}`)).code).toBe(0);
    expect((await cli('schedule list')).out).toMatch(new RegExp(`${name} +every 6 h +paused`));
    expect((await cli(`status ${name}`)).out).toContain('schedule paused');
    expect((await cli(`schedule ${name} --every 5h`)).code).toBe(0);
    expect((await handle.describe()).state.paused).toBe(true);
    expect((await cli(`schedule unpause ${name}`)).code).toBe(0);
    expect((await cli(`status ${name}`)).out).toMatch(/next {3}20.+ by schedule/);
    expect((await cli(`schedule trigger ${name}`)).code).toBe(0);
    const run = await until('a scheduled run', async () => {
      const state = await stateOf(name);
      return state.state === 'completed' && state.run;
    });
    expect(run.workflowId).toMatch(new RegExp(`^orgSync-${name}-20`));
    expect(await liveUsers(name)).toBe(60);
    expect((await cli(`schedule delete ${name}`)).code).toBe(0);
    expect(await cli(`schedule delete ${name}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`${name} has no schedule. Make one with`),
    });
  });

  test('refuses times that are none, and makes nothing of them', async () => {
    const name = await connected(await sandbox());
    const refusals: [string[], string][] = [
      [['--cron', 'at noon'], '--cron: got "at noon", accepted five fields'],
      [['--cron', '@daily', '--time-zone', 'Mars/Base'], 'got "@daily" in "Mars/Base"'],
      [['--every', '15'], '--every: got "15", accepted a number with s, m, h or d'],
      [['--every', '1s'], '10s at least'],
      [['--every', '15m', '--time-zone', 'UTC'], '--time-zone belongs to --cron'],
      [['--every', '15m', '--cron', '@daily'], 'one of both'],
      [[], 'Say when'],
    ];
    for (const [args, message] of refusals)
      expect(await cli(['schedule', name, ...args]), message).toMatchObject({
        code: 2,
        err: expect.stringContaining(message),
      });
    expect((await cli(`schedule trigger ${name}`)).err).toContain(`${name} has no schedule`);
  });
});

describe('servers', () => {
  const nothing = {
    DATABASE_URL: undefined,
    TEMPORAL_ADDRESS: undefined,
    TEMPORAL_NAMESPACE: undefined,
    SYNCLINE_SECRET_KEY: undefined,
  };

  test('none named and none running: one line with the next command, and none is started', async () => {
    const folder = scratch();
    for (const [line, server] of [
      ['status', 'Postgres'],
      ['schedule list', 'Postgres'],
      ['rejects', 'Postgres'],
    ] as const) {
      const said = await cli(line, { env: { ...nothing, SYNCLINE_DATA_DIR: folder } });
      expect(said).toMatchObject({ code: 1, out: '' });
      expect(said.err).toMatch(
        new RegExp(
          `^syncline: No ${server} to talk to: DATABASE_URL is not set, and no process keeps one running in .+ npm start\n$`,
        ),
      );
    }
    const noTemporal = await cli('status', { env: { TEMPORAL_ADDRESS: undefined, SYNCLINE_DATA_DIR: folder } });
    expect(noTemporal.err).toContain('No Temporal to talk to: TEMPORAL_ADDRESS is not set');
  });

  test('named and not answering: says which', async () => {
    const database = await cli('rejects', { env: { DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:9/x' } });
    expect(database).toMatchObject({
      code: 1,
      err: 'syncline: Postgres does not answer (ECONNREFUSED). Is it running? DATABASE_URL names another one.\n',
    });
    const temporal = await cli('status', { env: { TEMPORAL_ADDRESS: '127.0.0.1:9' } });
    expect(temporal).toMatchObject({ code: 1, err: expect.stringContaining('Temporal at 127.0.0.1:9') });
    const settings = await cli('status', { env: { DATABASE_URL: 'mysql://me:hunter2@h/x' } });
    expect(settings).toMatchObject({
      code: 1,
      err: expect.stringContaining('DATABASE_URL: got a text of 22 characters'),
    });
    expect(database.err + settings.err).not.toContain('hunter2');
    const keyless = await cli(`connect ${fresh()} --platform scim --url http://h --no-credential --no-probe`, {
      env: { SYNCLINE_SECRET_KEY: undefined },
    });
    expect(keyless).toMatchObject({ code: 1, err: expect.stringContaining('SYNCLINE_SECRET_KEY is not set') });
  });

  test('the program runs from a checkout without a build', async () => {
    const child = spawn(join(checkout, 'workers/syncline.js'), ['status', '--debug'], {
      cwd: tmpdir(),
      env: { PATH: process.env.PATH, SYNCLINE_DATA_DIR: scratch() },
    });
    const [out, err] = [collect(child.stdout), collect(child.stderr)];
    const [code] = await once(child, 'close');
    expect([code, out()]).toEqual([1, '']);
    expect(err()).toMatch(/^syncline: No Postgres to talk to.+\nCommandError: No Postgres/);
  });
});

describe('npm start', () => {
  test('brings its servers, serves health, is found by the command line, and stops everything on SIGTERM', async () => {
    const folder = scratch();
    const env = {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      SYNCLINE_DATA_DIR: folder,
      SYNCLINE_HEALTH_PORT: '0',
      SYNCLINE_WORKFLOW_BUNDLE: inject('shared').bundle,
    };
    const { child, output } = startProgram(env);
    const ready = await until(
      'a ready worker',
      async () => endedBadly(child, output) ?? (/The worker runs[\s\S]*\n/.test(output()) && output()),
    );
    const [, health] = /Health +(http\S+)/.exec(ready) ?? [];
    expect(await (await fetch(health!)).json()).toEqual({ healthy: true, worker: 'RUNNING', postgres: 'answers' });
    expect((await fetch(new URL('/else', health))).status).toBe(404);
    expect(ready).toMatch(
      /Postgres +postgres:\/\/postgres@127\.0\.0\.1:\d+\/postgres \(password in .+\)\nTask queue +syncline\n/,
    );
    expect(ready).toMatch(/Web UI +http/);

    const own = {
      DATABASE_URL: undefined,
      TEMPORAL_ADDRESS: undefined,
      TEMPORAL_NAMESPACE: undefined,
      SYNCLINE_SECRET_KEY: undefined,
      SYNCLINE_TASK_QUEUE: undefined,
      SYNCLINE_DATA_DIR: folder,
    };
    const source = await sandbox();
    expect(
      await cli(`connect acme --platform scim --url ${source.url} --credential-env ACME_TOKEN`, { env: own }),
    ).toMatchObject({ code: 0, err: '' });
    const run = await cli('start orgSync acme --wait', { env: own });
    expect(run).toMatchObject({ code: 0, err: '' });
    expect(run.out).toMatch(/See http:\/\/127\.0\.0\.1:\d+\/namespaces\/default\/workflows\/orgSync-acme\//);

    child.kill('SIGTERM');
    const [code] = await once(child, 'close');
    expect(code, output()).toBe(0);
    expect(output()).toContain('The worker has stopped.');
    expect((await cli('status', { env: own })).err).toContain('No Postgres to talk to');
  }, 120_000);

  test.each([
    [
      'Temporal',
      { TEMPORAL_ADDRESS: '127.0.0.1:9' },
      'Temporal at 127.0.0.1:9 (namespace default) does not answer. Is it running?',
    ],
    [
      'Postgres',
      { DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:9/x' },
      'Postgres does not answer (ECONNREFUSED). Is it running?',
    ],
    ['the key', { SYNCLINE_SECRET_KEY: '' }, 'SYNCLINE_SECRET_KEY is not set'],
  ])('says in one line that %s is missing', async (_what, wrong, message) => {
    const { child, output, errors } = startProgram({
      ...environment,
      TEMPORAL_NAMESPACE: '',
      PATH: process.env.PATH,
      SYNCLINE_WORKFLOW_BUNDLE: inject('shared').bundle,
      ...wrong,
    });
    const [code] = await once(child, 'close');
    expect(code, output()).toBe(1);
    expect(errors()).toContain(`syncline: ${message}`);
    expect(errors().trimEnd().split('\n')).toHaveLength(1);
    expect(output()).not.toContain('hunter2');
  });
});

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-cli-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function startProgram(env: Record<string, string | undefined>) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'workers/start.ts'], { cwd: checkout, env });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [out, errors] = [collect(child.stdout), collect(child.stderr)];
  return { child, output: () => out() + errors(), errors };
}

function endedBadly(child: ChildProcess, output: () => string): undefined {
  if (child.exitCode !== null) throw new Error(`The program ended with ${child.exitCode}:\n${output()}`);
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  return () => text;
}
