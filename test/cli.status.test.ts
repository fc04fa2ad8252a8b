import { defaultPayloadConverter } from '@temporalio/client';
import { describe, expect, test } from 'vitest';
import { describeTrouble, pendingActivity, waitOf, withBeats } from '../workers/cli/pending.ts';
import type { OrgSyncProgress } from '../workflows/org.view.ts';
import { type Bar, drawBar } from '../workflows/progress.ts';
import { openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const { world, cli, sandbox, connected, pausedRun, stateOf } = await openCli();

const pending = (name: string, raw: object) =>
  pendingActivity({ activityType: { name }, attempt: 2, state: 2, ...raw });
const counters = (value: object) => ({ heartbeatDetails: { payloads: [defaultPayloadConverter.toPayload(value)!] } });

describe('an activity in hand', () => {
  test.each([
    [
      'ours',
      { message: 'stageUsers: no', applicationFailureInfo: { type: 'BadAnswer' } },
      'stageUsers: no (BadAnswer)',
    ],
    [
      'a foreign one',
      { message: 'Key (name)=(hunter2) exists', applicationFailureInfo: { type: 'DatabaseError' } },
      "DatabaseError, see the worker's log",
    ],
    ['one without a type', { message: 'hunter2' }, "a failure without a type, see the worker's log"],
    [
      'a lost worker',
      { message: 'activity Heartbeat timeout', timeoutFailureInfo: { timeoutType: 4 } },
      'its worker fell silent or was lost (heartbeat timeout)',
    ],
  ])('tells of a failure what may be shown: %s', (_what, lastFailure, told) => {
    expect(describeTrouble(pending('stageUsers', { lastFailure }))).toEqual([
      `stageUsers, try 2 is at work; the one before: ${told}`,
    ]);
  });

  test('waits between two tries, and not while one runs', () => {
    const lastFailure = { message: 'activity Heartbeat timeout', timeoutFailureInfo: { timeoutType: 4 } };
    expect(waitOf(pending('sendShard', { state: 2, lastFailure }))).toBeNull();
    expect(waitOf(pending('sendShard', { state: 1, scheduledTime: { seconds: 1 }, lastFailure }))).toBe(
      'sendShard is tried again: its worker fell silent or was lost (heartbeat timeout)',
    );
  });

  test('adds to the bars what it has done since, and never more than there is', () => {
    const bars: Bar[] = [
      { name: 'stageUsers', done: 400, total: 1_000, state: 'running' },
      { name: 'addUsers', done: 100, total: 300, state: 'running' },
      { name: 'editUsers', done: 7, total: 7, state: 'done' },
    ];
    const seen = [
      pending('stageUsers', counters({ rows: 650, pages: 13 })),
      pending('addUsers', counters({ applied: 50 })),
      pending('addUsers', counters({ applied: 30 })),
      pending('editUsers', counters({ applied: 5 })),
      pending('stageUsers', {}),
    ];
    const done = (found: typeof seen) => withBeats(progressOf(bars), found).steps.map((bar) => bar.done);
    expect(done(seen)).toEqual([650, 180, 7]);
    const first: Bar = { name: 'stageUsers', done: 0, total: null, state: 'running' };
    const beat = pending('stageUsers', counters({ rows: 1_400, pages: 7, total: 1_992 }));
    const [bar] = withBeats(progressOf([first]), [beat]).steps;
    expect(bar && drawBar(bar), 'a first slice').toBe('██████████████░░░░░░ 70 % (1,400 of 1,992)');
    expect(done([pending('stageUsers', counters({ rows: 300 }))]), 'a list that is read again').toEqual([400, 100, 7]);
    expect(done([pending('addUsers', counters({ applied: 900 }))])).toEqual([400, 300, 7]);
  });
});

function progressOf(steps: Bar[]): OrgSyncProgress {
  return {
    connection: 'c',
    mode: 'full',
    state: 'running',
    steps,
    parked: null,
    notes: [],
    written: {},
    waitsForResume: false,
    requests: 0,
  };
}

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
    // The request in hand is cut; only those after it are refused.
    await until('a refused try', async () => /ECONNREFUSED/.test((await stateOf(name)).run.pending[0]?.failure));
    const { out } = await cli(`status ${name}`);
    expect(out).toMatch(
      /waits for {2}stage\w+, try \d+: http:.+ did not answer \(ECONNREFUSED\) \(Unavailable\); (next try in|tries again)/,
    );
    expect(out).toMatch(/stageGroups {2,}\S/);
    await source.restart();
    await until('its end', async () => (await stateOf(name)).state === 'completed');
  });

  test('says why a step is tried again, and forgets it when it works', async () => {
    const { name, source } = await pausedRun();
    source.setFaults([{ type: 'truncatedJson', path: '/Users', times: 2 }]);
    expect((await cli(`resume ${name}`)).code).toBe(0);
    const why = /stageUsers: http\S+ answered 200 with truncated or broken JSON .+ \(BadAnswer\); try 1 of 3 failed\n/;
    await until('the first failed try', async () => why.test((await cli(`status ${name}`)).out));
    const { progress } = await until('the second', async () => {
      const state = await stateOf(name);
      return /try 2 of 3 failed$/.test(state.progress?.notes[0]) && state;
    });
    expect(progress.notes).toHaveLength(1);
    await until('its end', async () => (await stateOf(name)).state === 'completed');
    const { notes } = await world.client.workflow.getHandle(`orgSync-${name}`).query<OrgSyncProgress>('progress');
    expect(notes).toEqual([]);
  });

  test('moves the bar inside a slice', async () => {
    const source = await sandbox({ users: 200 });
    const name = await connected(source, '--option', 'pageSize=10');
    source.setFaults([{ type: 'latency', ms: 250, path: '/Users' }]);
    expect((await cli(`start orgSync ${name}`)).code).toBe(0);
    const read = async () => {
      const { progress } = await stateOf(name);
      return progress?.steps.find((bar: Bar) => bar.name === 'stageUsers').done as number | undefined;
    };
    const first = await until('rows of the slice in hand', async () => (await read()) || undefined);
    await until('more rows', async () => ((await read()) ?? 0) > first);
    expect((await cli(`status ${name}`)).out).toMatch(/stageUsers +[█░]{20} \d+ % \(\d+ of 200\)\n/);
    const handle = world.client.workflow.getHandle(`orgSync-${name}`);
    const { steps } = await handle.query<OrgSyncProgress>('progress');
    expect(steps.find((bar) => bar.name === 'stageUsers')).toMatchObject({ done: 0, state: 'running' });
    source.setFaults([]);
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
