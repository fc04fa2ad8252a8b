import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { expectSameAsSource } from '../harness/compare.ts';
import { changeForEveryStep } from '../harness/every-step.ts';
import { type Directory, type Ground, openGround, type Run } from '../harness/ground.ts';
import { until } from '../harness/until.ts';
import { auditWrites, Holds, notWrittenOnce } from './holds.ts';
import { killAtRandom } from './kills.ts';

/** Where a transaction of the step names itself in the database; steps that only read wait for the source instead. */
const transactions: Record<string, string | null> = {
  prepare: 'prepare',
  stageGroups: 'stage groups',
  stageUsers: null,
  confirmMissing: null,
  markGroups: 'markGroups',
  markUsers: 'markUsers',
  checkLimits: 'checkLimits',
  deleteUsers: 'deleteUsers',
  addGroups: 'addGroups',
  moveUsers: 'moveUsers',
  addUsers: 'addUsers',
  editUsers: 'editUsers',
  deleteGroups: 'deleteGroups',
  finish: 'finish',
};
const steps = Object.keys(transactions);
/** A first run has nothing to confirm and applies everything by two steps. */
const stepsOfFull = steps.filter(
  (s) => !['confirmMissing', 'deleteUsers', 'moveUsers', 'editUsers', 'deleteGroups'].includes(s),
);
const size = { users: 120, groups: 14, depth: 3, paging: 'cursor', pageSize: 40, maxPageSize: 40 } as const;

let ground: Ground;
let holds: Holds;
beforeAll(async () => {
  ground = await openGround({ durable: true, bundle: inject('shared').bundle });
  holds = await Holds.open(ground.servers.databaseUrl);
  await auditWrites(ground.pool);
});
afterAll(async () => {
  await holds.close();
  await ground.close();
});

describe('a worker killed in every step at once', () => {
  const directories = new Map<string, Directory>();
  const runs = new Map<string, Run>();

  beforeAll(async () => {
    for (const step of steps) directories.set(step, await connect());
  });
  afterAll(() => holds.release());

  describe('of a first, full run', () => {
    beforeAll(() => killInEachStep(stepsOfFull), 120_000);
    it.each(stepsOfFull)('%s: the run goes on and every change is written once', (step) => proveWhole(step, 1));
  });

  describe('of an incremental run', () => {
    beforeAll(async () => {
      const rest = steps.filter((s) => !stepsOfFull.includes(s));
      const worker = ground.worker();
      await Promise.all(rest.map(async (s) => (await ground.start(directories.get(s)!.name)).result()));
      await worker.stop();
      for (const { source } of directories.values()) changeForEveryStep(source.directory, 1);
      await killInEachStep(steps);
    }, 120_000);
    it.each(steps)('%s: the run goes on and every change is written once', (step) => proveWhole(step, 2));
  });

  /** Lets one run stand in each of these steps, kills their worker with SIGKILL and lets another one finish them. */
  async function killInEachStep(held: string[]): Promise<void> {
    const inDatabase = held
      .filter((s) => transactions[s] !== null)
      .map((s) => `${transactions[s]} ${directories.get(s)!.name}`);
    await holds.hold(inDatabase);
    directories.get('stageUsers')!.source.setFaults([{ type: 'hang', path: '/Users', afterRequests: 1 }]);
    directories.get('confirmMissing')!.source.setFaults([{ type: 'hang', only: 'one' }]);
    const worker = ground.worker();
    for (const step of held) runs.set(step, await ground.start(directories.get(step)!.name));
    for (const step of held) await untilStarted(runs.get(step)!, step);
    await holds.untilHeld(inDatabase);
    await worker.kill();
    for (const { source } of directories.values()) source.setFaults([]);
    await holds.release();
    const other = ground.worker();
    await other.whileAlive(Promise.all(held.map((step) => runs.get(step)!.result())));
    await other.stop();
  }

  async function proveWhole(step: string, plans: number): Promise<void> {
    const { name, source } = directories.get(step)!;
    const result = await runs.get(step)!.result();
    expect(result).toMatchObject({ outcome: 'applied', notes: result.notes.filter((n) => n.includes('one by one')) });
    expect(await retried(runs.get(step)!, step), `${step} was interrupted and tried again`).toBe(true);
    await expectSameAsSource(ground.pool, name, source.directory);
    expect(await notWrittenOnce(ground.pool, name)).toEqual([]);
    const { rows } = await ground.pool.query('SELECT attempt, verdict FROM org.plans WHERE connection_id = $1', [name]);
    expect(rows).toEqual(Array(plans).fill({ attempt: 1, verdict: 'applied' }));
    await expectNothingLeft(name);
  }
});

describe('a server that goes away', () => {
  it('Postgres crashes: a lost stage is read again, a chunk in hand is written once', async () => {
    const [staging, applying] = [await connect(), await connect()];
    await holds.hold([`addUsers ${applying.name}`]);
    staging.source.setFaults([{ type: 'hang', path: '/Users', afterRequests: 2 }]);
    const worker = ground.worker();
    const runs = [await ground.start(staging.name), await ground.start(applying.name)];
    await untilStarted(runs[0]!, 'stageUsers');
    await holds.untilHeld([`addUsers ${applying.name}`]);
    await ground.servers.embedded.postgres!.crash();
    await ground.servers.embedded.postgres!.restart();
    await holds.close();
    holds = await Holds.open(ground.servers.databaseUrl);
    await holds.release();
    await wake(staging);
    const [staged, applied] = await worker.whileAlive(Promise.all(runs.map((run) => run.result())));
    expect(staged!.notes).toContain('the stage was lost with the database and is read again');
    expect(applied!.notes).toEqual([]);
    for (const { name, source } of [staging, applying]) {
      await expectSameAsSource(ground.pool, name, source.directory);
      expect(await notWrittenOnce(ground.pool, name)).toEqual([]);
      await expectNothingLeft(name);
    }
    await worker.stop();
  }, 120_000);

  it('Postgres is stopped and started: the stage is kept and reading goes on, a chunk in hand is written once', async () => {
    const [staging, applying] = [await connect(), await connect()];
    await holds.hold([`addUsers ${applying.name}`]);
    staging.source.setFaults([{ type: 'hang', path: '/Users', afterRequests: 2 }]);
    const worker = ground.worker();
    const runs = [await ground.start(staging.name), await ground.start(applying.name)];
    await untilStarted(runs[0]!, 'stageUsers');
    await holds.untilHeld([`addUsers ${applying.name}`]);
    await ground.servers.embedded.postgres!.restart();
    await holds.close();
    holds = await Holds.open(ground.servers.databaseUrl);
    await holds.release();
    await wake(staging);
    for (const result of await worker.whileAlive(Promise.all(runs.map((run) => run.result()))))
      expect(result).toMatchObject({ outcome: 'applied', notes: [] });
    expect(staging.source.requests.byPath['/Groups'], 'the groups were not read a second time').toBe(1);
    for (const { name, source } of [staging, applying]) {
      await expectSameAsSource(ground.pool, name, source.directory);
      expect(await notWrittenOnce(ground.pool, name)).toEqual([]);
    }
    await worker.stop();
  }, 120_000);

  it('Temporal is killed and comes back with its file: runs under way go on', async () => {
    const [staging, applying] = [await connect(), await connect()];
    await holds.hold([`addUsers ${applying.name}`]);
    staging.source.setFaults([{ type: 'hang', path: '/Users', afterRequests: 2 }]);
    const worker = ground.worker();
    const runs = [await ground.start(staging.name), await ground.start(applying.name)];
    await untilStarted(runs[0]!, 'stageUsers');
    await holds.untilHeld([`addUsers ${applying.name}`]);
    await ground.servers.embedded.temporal!.crash();
    await holds.release();
    await ground.servers.embedded.temporal!.restart({ keepDb: true });
    await wake(staging);
    for (const run of runs)
      expect(await worker.whileAlive(run.result())).toMatchObject({ outcome: 'applied', notes: [] });
    for (const { name, source } of [staging, applying]) await expectSameAsSource(ground.pool, name, source.directory);
    await worker.stop();
  }, 120_000);
});

it('workers killed at random moments, run after run with changes in between, leave source and copy equal', async () => {
  const report = await killAtRandom({ ground, directories: 3, kills: 3, seed: 7, tell: () => undefined });
  expect(report).toMatchObject({ kills: 3, interrupted: expect.any(Number) });
  expect(report.interrupted, 'runs that were at work when their worker was killed').toBeGreaterThan(0);
}, 120_000);

const connect = () => ground.scim(size, { options: { paging: 'cursor', pageSize: 40 } });

/** Ends the faults and the requests that hang in them. */
async function wake({ source }: Directory): Promise<void> {
  source.setFaults([]);
  await source.restart();
}

/** Waits until Temporal calls the activity started. */
async function untilStarted(run: Run, step: string): Promise<void> {
  await until(`${step} started`, async () => {
    const { raw } = await run.describe();
    return raw.pendingActivities?.some((a) => a.activityType?.name === step && a.state === 2);
  });
}

/** Whether an attempt of the step came after one that was lost. */
async function retried(run: Run, step: string): Promise<boolean> {
  const { events } = await run.fetchHistory();
  const scheduled = new Map(
    events?.map((e) => [String(e.eventId), e.activityTaskScheduledEventAttributes?.activityType?.name]),
  );
  return (
    events?.some(({ activityTaskStartedEventAttributes: started }) => {
      return started && scheduled.get(String(started.scheduledEventId)) === step && (started.attempt ?? 1) > 1;
    }) ?? false
  );
}

async function expectNothingLeft(connection: string): Promise<void> {
  const { rows } = await ground.pool.query(
    `SELECT t.tablename FROM pg_tables t JOIN org.plans p ON p.id = substring(t.tablename FROM '^p([0-9]+)_')::bigint
     WHERE t.schemaname = 'org_stage' AND p.connection_id = $1`,
    [connection],
  );
  expect(rows, 'stage tables left behind').toEqual([]);
}
