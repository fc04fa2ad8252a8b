import type { ScheduleHandle } from '@temporalio/client';
import { describe, expect, inject, it } from 'vitest';
import { type Claim, ClaimLost, takeClaim, writeUnderClaim } from '../db/claims.ts';
import { applyChunk, flushCommits, releaseNames } from '../db/org/apply.ts';
import { judgePlan } from '../db/org/limits.ts';
import { closePlan, type Plan } from '../db/org/plan.ts';
import { appendStage, emptyBatch, restartStream } from '../db/org/stage.ts';
import type { orgSync } from '../workflows/index.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { until } from './harness/until.ts';
import { startWorkerProcess } from './harness/worker-process.ts';
import { failureOf, type Handle, openWorld } from './harness/world.ts';

const world = await openWorld();

describe('two runs of one connection', () => {
  it('do not overlap: the second fails and names the first', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 6 });
    const first = await paused(name);
    const failure = await world.fail(name);
    expect(failure.type).toBe('AlreadyRunning');
    expect(failure.message).toContain(first.workflowId);
    await first.executeUpdate('resume');
    expect((await first.result()).outcome).toBe('applied');
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('do not overlap when many are started in one moment', async () => {
    const { name, source } = await world.scim({ users: 60, groups: 6, latencyMs: 50 });
    const runs = await Promise.all(Array.from({ length: 8 }, () => world.start(name)));
    const ends = await Promise.allSettled(runs.map((run) => run.result()));
    const winners = runs.filter((_, i) => ends[i]!.status === 'fulfilled');
    for (const run of runs.filter((r) => !winners.includes(r)))
      expect((await failureOf(run)).type).toBe('AlreadyRunning');
    expect(winners.length, 'runs that got the connection').toBeGreaterThan(0);
    const spans = (await Promise.all(winners.map(workSpan))).sort((a, b) => a.from - b.from);
    for (const [i, span] of spans.entries()) if (i > 0) expect(span.from).toBeGreaterThan(spans[i - 1]!.to);
    const { rows } = await world.pool.query(
      'SELECT count(DISTINCT epoch)::int AS epochs FROM org.plans WHERE connection_id = $1',
      [name],
    );
    expect(rows[0].epochs).toBe(winners.length);
    await expectSameAsSource(world.pool, name, source.directory);
  });

  it('are kept apart when a schedule starts the second: it ends as skipped', async () => {
    const { name } = await world.scim({ users: 60, groups: 6 });
    const first = await paused(name);
    const schedule = await world.client.schedule.create({
      scheduleId: `${world.config.taskQueue}-${name}`,
      spec: { intervals: [{ every: '1 day' }] },
      action: {
        type: 'startWorkflow',
        workflowType: 'orgSync',
        args: [{ connection: name }],
        taskQueue: world.config.taskQueue,
        workflowId: `${world.config.taskQueue}-${name}`,
      },
    });
    try {
      const skipped = await triggered(schedule, 1);
      expect(await skipped.result()).toMatchObject({
        outcome: 'skipped',
        plan: null,
        notes: [expect.stringContaining(first.workflowId)],
      });
      await first.executeUpdate('resume');
      await first.result();
      expect(await (await triggered(schedule, 2)).result()).toMatchObject({ outcome: 'applied', mode: 'incremental' });
    } finally {
      await schedule.delete();
    }
  });

  it('do not stop each other when they are of two connections', async () => {
    const [a, b] = [await world.scim({ users: 60, groups: 6 }), await world.scim({ users: 60, groups: 6 })];
    const first = await paused(a.name);
    expect(await world.run(b.name)).toMatchObject({ outcome: 'applied' });
    await first.executeUpdate('resume');
    await first.result();
  });
});

describe('a terminated run', () => {
  it('leaves an activity behind that writes nothing more once a later run has begun', async () => {
    // A worker process and a queue for each run: a frozen worker still counts as one that waits for work.
    const { servers, key, client } = world;
    const queueOf = (run: string) => `${world.config.taskQueue}-${run}`;
    const spawn = (run: string) =>
      startWorkerProcess({ servers, taskQueue: queueOf(run), key, bundle: inject('shared').bundle });
    const start = (connection: string, run: string) =>
      client.workflow.start<typeof orgSync>('orgSync', {
        args: [{ connection }],
        taskQueue: queueOf(run),
        workflowId: queueOf(run),
      });
    const { name, source } = await world.scim({ users: 60, groups: 6 });
    const old = spawn('first');
    const marking = await lock('org.conflicts');
    const first = await start(name, 'first');
    await untilWaitedFor('org.conflicts');
    // The next step asks for its connection, outside of any transaction, and then writes under the claim.
    const judging = await lock('syncline.connections');
    await marking();
    await untilWaitedFor('syncline.connections');
    old.freeze();
    await first.terminate('somebody lost patience');
    await judging();

    source.directory.editUser(source.directory.userIds()[0]!, { title: 'Written by the second run' });
    const other = spawn('second');
    const second = await start(name, 'second');
    expect(await other.whileAlive(second.result())).toMatchObject({ outcome: 'applied', users: { added: 60 } });
    await other.stop();
    const before = await stateOf(name);
    old.thaw();
    // It has its connection, tries to write, learns that another run has begun, and drains.
    await old.stop();
    expect(await stateOf(name)).toEqual(before);
    await expectSameAsSource(world.pool, name, source.directory);
    const { rows } = await world.pool.query(
      'SELECT verdict, pages FROM org.plans p LEFT JOIN org.stages s ON s.plan_id = p.id WHERE p.connection_id = $1 ORDER BY p.id',
      [name],
    );
    expect(rows).toEqual([
      { verdict: 'cancelled', pages: null },
      { verdict: 'applied', pages: null },
    ]);
  });

  it('is kept out by every way of writing', async () => {
    const { name } = await world.scim({ users: 20, groups: 2 });
    await world.run(name);
    const { rows } = await world.pool.query(
      'SELECT epoch, workflow_id, run_id FROM syncline.claims WHERE connection_id = $1',
      [name],
    );
    const claim = { connection: name, pipeline: 'org', epoch: rows[0].epoch };
    const later = await takeClaim(world.pool, {
      connection: name,
      pipeline: 'org',
      workflowId: 'later',
      runId: 'later',
      isOpen: async () => false,
    });
    expect((later as Claim).epoch).toBeGreaterThan(claim.epoch);
    const { rows: plans } = await world.pool.query(
      'SELECT max(id)::int AS id FROM org.plans WHERE connection_id = $1',
      [name],
    );
    const plan: Plan = { id: plans[0].id, claim, tenant: name, mode: 'full', only: null, attempt: 1 };
    const state = { cursor: null, pages: 1, rows: 0, members: 0, unkeyed: 0, requests: 1, passes: 1, ended: null };
    const guard = { count: 1, percent: 1, smallCount: 1, smallPercent: 1 };
    const limits = {
      userLimit: null,
      guards: {
        users: guard,
        groups: { ...guard, changesPercent: 1 },
        deactivations: guard,
        membershipsPercent: 1,
        additionsPercent: 1,
        editsPercent: 1,
      },
      scopeChanged: false,
      skipped: [],
    };
    const ways: Record<string, () => Promise<unknown>> = {
      appendStage: () => appendStage(world.pool, claim, plan.id, 'users', emptyBatch(), state),
      restartStream: () => restartStream(world.pool, claim, plan.id, 'users', 1),
      judgePlan: () => judgePlan(world.pool, plan, limits, false, async () => true),
      applyChunk: () => applyChunk(world.pool, plan, 'addUsers', { from: 1, to: 100 }),
      releaseNames: () => releaseNames(world.pool, plan),
      flushCommits: () => flushCommits(world.pool, plan),
      closePlan: () => closePlan(world.pool, plan, 'declined'),
      writeUnderClaim: () =>
        writeUnderClaim(world.pool, claim, { name: 'test' }, (client) =>
          client.query('DELETE FROM org.users WHERE connection_id = $1', [name]),
        ),
    };
    const before = await stateOf(name);
    for (const [way, write] of Object.entries(ways)) await expect(write(), way).rejects.toThrow(ClaimLost);
    expect(await stateOf(name)).toEqual(before);
  });
});

describe('fifty connections on one worker', () => {
  it('all finish, side by side and not one after the other', async () => {
    const many = await Promise.all(
      Array.from({ length: 50 }, (_, i) => world.scim({ users: 60, groups: 6, seed: i + 1 })),
    );
    const runs = await Promise.all(many.map(({ name }) => world.start(name)));
    const results = await Promise.all(runs.map((run) => run.result()));
    for (const result of results) expect(result).toMatchObject({ outcome: 'applied', users: { added: 60 } });
    for (const { name, source } of many) await expectSameAsSource(world.pool, name, source.directory);

    const spans = await Promise.all(runs.map(workSpan));
    const begin = Math.min(...spans.map((s) => s.from));
    const ends = spans.map((s) => s.to - begin).sort((a, b) => a - b);
    const [fastest, slowest] = [ends[0]!, ends.at(-1)!];
    expect(Math.max(...spans.map((s) => s.from)), 'the last first step began before the first run ended').toBeLessThan(
      begin + fastest,
    );
    expect(slowest / fastest, 'slowest by fastest').toBeLessThan(2);
    expect(Math.max(...spans.map((s) => s.events)), 'events of a history').toBeLessThan(100);
  }, 120_000);
});

/** Locks a table against everybody; call the result to let go. */
async function lock(table: string): Promise<() => Promise<void>> {
  const client = await world.pool.connect();
  await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return async () => {
    await client.query('COMMIT');
    client.release();
  };
}

async function untilWaitedFor(table: string): Promise<void> {
  await until(`somebody waits for ${table}`, async () => {
    const { rows } = await world.pool.query('SELECT 1 FROM pg_locks WHERE relation = $1::regclass AND NOT granted', [
      table,
    ]);
    return rows.length > 0;
  });
}

/** A run that holds the connection and stands. */
async function paused(connection: string): Promise<Handle> {
  const run = await world.start(connection);
  await run.executeUpdate('pause');
  await until('a run that holds the connection and stands', async () => {
    const { raw } = await run.describe();
    const { rows } = await world.pool.query(
      'SELECT 1 FROM syncline.claims WHERE connection_id = $1 AND workflow_id = $2',
      [connection, run.workflowId],
    );
    return rows.length === 1 && raw.pendingActivities?.length === 0 && !raw.pendingWorkflowTask;
  });
  return run;
}

/** Triggers a schedule and gives its run of that number. */
async function triggered(schedule: ScheduleHandle, number: number): Promise<Handle> {
  await schedule.trigger();
  const action = await until('the scheduled run', async () => {
    const { recentActions } = (await schedule.describe()).info;
    return recentActions.length === number && recentActions.at(-1)!.action;
  });
  return world.client.workflow.getHandle(action.workflow.workflowId) as Handle;
}

/** From the moment a run held the connection (its first activity done) to the start of its last one, in milliseconds. */
async function workSpan(run: Handle): Promise<{ from: number; to: number; events: number }> {
  const { events } = await run.fetchHistory();
  const times = (events ?? []).flatMap((e) => {
    const { eventTime } = e;
    return e.activityTaskCompletedEventAttributes ? [Number(eventTime!.seconds) * 1_000 + eventTime!.nanos! / 1e6] : [];
  });
  return { from: times[0]!, to: times.at(-1)!, events: events!.length };
}

/** Everything of a connection that a run writes: rows with their physical versions, plans, stages, claims, rejects. */
async function stateOf(connection: string): Promise<unknown> {
  const parts: Record<string, unknown> = {};
  for (const table of [
    'org.users',
    'org.groups',
    'org.memberships',
    'org.plans',
    'org.conflicts',
    'syncline.rejects',
    'syncline.claims',
  ]) {
    const { rows } = await world.pool.query(
      `SELECT count(*)::int AS rows, sum(hashtextextended(t.xmin::text || t::text, 0)::numeric) AS versions FROM ${table} t WHERE connection_id = $1`,
      [connection],
    );
    parts[table] = rows[0];
  }
  const stages = await world.pool.query(
    `SELECT (SELECT count(*)::int FROM org.stages) AS states, (SELECT count(*)::int FROM pg_tables WHERE schemaname = 'org_stage') AS tables, (SELECT count(*)::int FROM org.changes) AS changes`,
  );
  return { ...parts, ...stages.rows[0] };
}
