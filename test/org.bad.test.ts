import { describe, expect, it } from 'vitest';
import { saveConnection } from '../db/connections.ts';
import { orgSync } from '../workflows/index.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { expectNoStage, livingIds, pendingFailure, snapshot } from './harness/ours.ts';
import { failureOf, openWorld } from './harness/world.ts';

const world = await openWorld();
const steps = 'deleteUsers, addGroups, moveUsers, addUsers, editUsers, deleteGroups';
const nameRule = 'a name of 1-64 characters a-z, 0-9, - and _';

describe.concurrent('a wrong input ends the run before anything is read', () => {
  it.each([
    ['no input', [], 'input: got undefined, accepted Object'],
    ['a text', ['acme'], 'input: got "acme", accepted Object'],
    ['null', [null], 'input: got null, accepted Object'],
    ['no connection', [{}], `connection: got nothing, accepted ${nameRule}`],
    ['a number as connection', [{ connection: 5 }], `connection: got 5, accepted ${nameRule}`],
    ['a name with spaces', [{ connection: 'Acme Inc' }], `connection: got "Acme Inc", accepted ${nameRule}`],
    [
      'an unknown field',
      [{ connection: 'acme', dryrun: true }],
      'unknown field "dryrun" (accepted: connection, mode, dryRun, only, steps)',
    ],
    ['a wrong type', [{ connection: 'acme', dryRun: 'yes' }], 'dryRun: got "yes", accepted true or false'],
    ['a wrong mode', [{ connection: 'acme', mode: 'quick' }], 'mode: got "quick", accepted ("full" | "incremental")'],
    [
      'an unknown step',
      [{ connection: 'acme', steps: { addPeople: false } }],
      `unknown field "steps.addPeople" (accepted: ${steps})`,
    ],
    [
      'a step that is no boolean',
      [{ connection: 'acme', steps: { addUsers: 1 } }],
      'steps.addUsers: got 1, accepted true or false',
    ],
    ['only without a person', [{ connection: 'acme', only: { user: '' } }], 'only.user: got'],
    [
      'a person with NUL in the id',
      [{ connection: 'acme', only: { user: 'a\u0000b' } }],
      "only.user: got a text of 3 characters, accepted the source's own id, without control characters",
    ],
    [
      'a person with half a surrogate pair in the id',
      [{ connection: 'acme', only: { user: 'ada@example.org\ud800' } }],
      'only.user: got a text of 16 characters, accepted',
    ],
    [
      'an unknown field inside only',
      [{ connection: 'acme', only: { user: '1', group: '2' } }],
      'unknown field "only.group" (accepted: user)',
    ],
  ] as [string, [unknown?], string][])('%s', async (_, args, message) => {
    const handle = await startWith(args);
    const failure = await failureOf(handle);
    expect(failure.type).toBe('InvalidInput');
    expect(failure.message).toContain(`Wrong input: ${message}`);
    expect(failure.message).toContain('Example: {"connection":"acme"}');
    expect(await scheduledActivities(handle), 'activities of a run that could not start').toEqual([]);
  });

  it('names what is accepted, never the field itself, for a field that is missing', async () => {
    const { message } = await failureOf(await startWith([{}]));
    expect(message).not.toContain('accepted "connection"');
    expect(message).toContain(nameRule);
  });

  it('names every fault of an input at once', async () => {
    const { message } = await failureOf(await startWith([{ connection: 'A', mode: 'x', limit: 3 }]));
    for (const field of ['connection: got "A"', 'mode: got "x"', 'unknown field "limit"'])
      expect(message).toContain(field);
  });
});

describe.concurrent('a wrong connection ends the run', () => {
  it('that does not exist, with the names there are and the command that makes it', async () => {
    const known = await world.connect({ platform: 'scim', baseUrl: 'http://127.0.0.1:9/scim', credential: null });
    const { type, message } = await world.fail('nobody');
    expect(type).toBe('ConnectionUnknown');
    expect(message).toContain('prepare: Connection "nobody" does not exist. Known connections: ');
    expect(message).toContain(known);
    expect(message).toContain('npx syncline connect nobody --platform scim --url https://…');
    const { rows } = await world.pool.query(`SELECT 1 FROM syncline.claims WHERE connection_id = 'nobody'`);
    expect(rows).toEqual([]);
  });

  it.each([
    ['an option out of bounds', { pageSize: 0 }, 'pageSize: got 0, accepted a whole number from 1 to 10000'],
    ['an option of a wrong type', { userLimit: 'many' }, 'userLimit: got "many", accepted a whole number from 0 on'],
    [
      'an option inside a guard',
      { guards: { users: { percent: 120 } } },
      'guards.users.percent: got 120, accepted a number from 0 to 100',
    ],
    [
      'an option of a wrong choice',
      { usersWithoutGroup: 'keep' },
      'usersWithoutGroup: got "keep", accepted ("reject" | "accept")',
    ],
  ])('with %s', async (_, options, message) => {
    const baseUrl = 'http://127.0.0.1:9/scim';
    const name = await world.connect({ platform: 'scim', baseUrl, credential: null, options });
    const failure = await world.fail(name);
    expect(failure.type).toBe('InvalidInput');
    expect(failure.message).toMatch(/^prepare: Connection "c\d+", option/);
    expect(failure.message).toContain(message);
    expect(failure.message).toContain(`npx syncline connect ${name} --option`);
    expect(await livingIds(world.pool, name, 'users')).toEqual([]);
  });

  it('with an option that does not exist, naming those there are', async () => {
    const baseUrl = 'http://127.0.0.1:9/scim';
    const name = await world.connect({ platform: 'scim', baseUrl, credential: null, options: { pagesize: 100 } });
    const { type, message } = await world.fail(name);
    expect(type).toBe('InvalidInput');
    expect(message).toContain('pagesize');
    expect(message, 'the accepted options').toContain('pageSize');
    expect(message).not.toContain('accepted never');
  });

  it('of a platform that is no directory', async () => {
    const name = await world.connect({ platform: 'pigeons', baseUrl: 'http://127.0.0.1:9', credential: null });
    const { type, message } = await world.fail(name);
    expect(type).toBe('InvalidInput');
    expect(message).toContain(
      `Connection "${name}" is of platform "pigeons", which is no directory. orgSync reads: scim, ldap`,
    );
  });
});

describe.concurrent('a source that refuses', () => {
  it('the credential (401): our tables stay, the command that repairs it is named, the token is not', async () => {
    const { name, source } = await world.scim({ users: 30, groups: 3 });
    await world.run(name);
    const before = await snapshot(world.pool, name);
    await recredit(name, source.url, 'a-token-of-yesterday');
    const { type, message } = await world.fail(name);
    expect(type).toBe('Unauthorized');
    expect(message).toContain(`stageGroups: ${source.url}/Groups refused the credential (401).`);
    expect(message).toContain(`npx syncline connect ${name} --credential-env VARIABLE`);
    expect(message).not.toContain('yesterday');
    expect(source.requests.byPath['/Users'], 'people are not asked for with a refused credential').toBe(2);
    expect(await snapshot(world.pool, name)).toEqual(before);
    await expectNoStage(world.pool, name);
    await recredit(name, source.url, source.token);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', applied: {} });
  });

  it('to show people (403): nothing is written, not even the groups', async () => {
    const { name, source } = await world.scim({ users: 30, groups: 3 });
    source.setFaults([{ type: 'status', status: 403, path: '/Users' }]);
    const { type, message } = await world.fail(name);
    expect(type).toBe('Forbidden');
    expect(message).toContain(`stageUsers: ${source.url}/Users: the credential may not read this (403).`);
    expect(message).toContain('Grant it read access');
    expect(await livingIds(world.pool, name, 'groups')).toEqual([]);
    await expectNoStage(world.pool, name);
    source.setFaults([]);
    await world.run(name);
    await expectSameAsSource(world.pool, name, source.directory);
  });
});

describe.concurrent('a source that is away', () => {
  it('at the start: the run waits, says why, and finishes when it is back', async () => {
    const { name, source } = await world.scim({ users: 40, groups: 4 });
    await source.stop();
    const handle = await world.start(name);
    expect(await pendingFailure(handle)).toBe(`${source.url}/Groups did not answer (ECONNREFUSED)`);
    expect((await handle.describe()).status.name).toBe('RUNNING');
    await source.restart();
    expect(await handle.result()).toMatchObject({ outcome: 'applied', users: { added: 40 } });
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('in the middle: the run goes on behind the pages it has', async () => {
    const { name, source } = await world.scim({ users: 200, groups: 5 }, { pageSize: 20 });
    source.setFaults([{ type: 'between', path: '/Users', page: 6, run: () => void source.stop() }]);
    const handle = await world.start(name);
    expect(await pendingFailure(handle)).toMatch(/\/Users did not answer \((UND_ERR_SOCKET|ECONNRESET|ECONNREFUSED)\)/);
    const asked = source.requests.byPath['/Users']!;
    await source.restart();
    expect(await handle.result()).toMatchObject({ outcome: 'applied', users: { added: 200 } });
    await expectSameAsSource(world.pool, name, source.directory);
    // 10 pages and the empty one behind them; the five committed ones are not read again.
    expect(source.requests.byPath['/Users']! - asked).toBeLessThanOrEqual(6);
  });

  it('with 500 and 503 for a while: the run waits and finishes', async () => {
    const { name, source } = await world.scim({ users: 40, groups: 4 });
    source.setFaults([
      { type: 'status', status: 500, path: '/Groups', times: 1 },
      { type: 'status', status: 503, path: '/Users', times: 1 },
    ]);
    expect(await world.run(name)).toMatchObject({ outcome: 'applied', users: { added: 40 } });
    await expectSameAsSource(world.pool, name, source.directory);
  });
});

async function startWith(args: [unknown?]) {
  return world.client.workflow.start(orgSync, {
    args: args as [unknown],
    taskQueue: world.config.taskQueue,
    workflowId: `bad-${Math.random().toString(36).slice(2)}`,
  });
}

async function scheduledActivities(handle: Awaited<ReturnType<typeof startWith>>): Promise<string[]> {
  const { events } = await handle.fetchHistory();
  return (events ?? []).flatMap((e) => e.activityTaskScheduledEventAttributes?.activityType?.name ?? []);
}

async function recredit(id: string, baseUrl: string, credential: string): Promise<void> {
  await saveConnection(world.pool, world.key, { id, tenant: id, platform: 'scim', baseUrl, credential, options: {} });
}
