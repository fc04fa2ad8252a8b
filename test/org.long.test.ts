import { Worker } from '@temporalio/worker';
import { expect, inject, it } from 'vitest';
import type { ScimSandbox } from '../sandbox/scim.ts';
import type { OrgSyncResult } from '../workflows/org.result.ts';
import type { OrgSyncProgress } from '../workflows/org.view.ts';
import { openCli } from './harness/cli.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { historyJson } from './harness/scan.ts';
import { until } from './harness/until.ts';

/** Events from which the server suggests another execution. */
const suggestedAt = 50;
/** Refusals in a row; each is a wait of 100 ms, which a server's timer makes a second of. */
const refusals = 7;
/** Events of a slice or a wait, and of the last page of a history. */
const slack = 40;

const { world, cli, connected, sandbox, stateOf } = await openCli({ shortHistories: suggestedAt });
const again = (path: '/Groups' | '/Users', only: 'list' | 'one', afterRequests: number) =>
  ({ type: 'status', status: 429, retryAfterSeconds: 0, path, only, afterRequests, times: refusals }) as const;

it('goes on in another execution where it was, again and again, under one claim and with one plan', async () => {
  const source = await sandbox({ users: 400, groups: 20 });
  const [name, twin] = [
    await connected(source, '--option', 'pageSize=25'),
    await connected(source, '--option', 'pageSize=25'),
  ];
  for (const one of [name, twin]) await world.run(one);
  const [gone, edited] = [source.directory.userIds().slice(0, 12), source.directory.userIds().slice(100, 130)];
  source.directory.removeUsers(gone);
  for (const id of edited) source.directory.editUser(id, { title: 'Keeper' });
  const quiet = await world.run(twin);
  const before = { ...source.requests.byPath };

  // Refused before and within each list, and between the direct reads of who is missing.
  source.setFaults([again('/Groups', 'list', 0), again('/Users', 'list', 5), again('/Users', 'one', 0)]);
  const started = Date.now();
  const handle = await world.start(name);
  const result = await handle.result();
  const tookMs = Date.now() - started;
  expect(result).toMatchObject({ outcome: 'applied', users: { deleted: 12, edited: 30 } });
  expect(withoutOwn(result)).toEqual(withoutOwn(quiet));
  expect(result.notes).toEqual(['12 missing users were asked for one by one; 0 of them live']);
  expect(result.durationMs).toBeGreaterThan(3 * refusals * 100);
  expect(result.durationMs).toBeLessThanOrEqual(tookMs);
  await expectSameAsSource(world.pool, name, source.directory);

  const chain = await executionsOf(handle.workflowId, handle.firstExecutionRunId);
  expect(chain.length, 'executions').toBeGreaterThan(3);
  for (const { length } of chain) expect(length, 'events of an execution').toBeLessThan(suggestedAt + slack);
  const { rows } = await world.pool.query(
    `SELECT c.run_id, (SELECT count(*)::int FROM org.plans p WHERE p.connection_id = c.connection_id) AS plans
     FROM syncline.claims c WHERE c.connection_id = $1`,
    [name],
  );
  expect(rows).toEqual([{ run_id: handle.firstExecutionRunId, plans: 2 }]);
  // No page was read twice: what the source served beside its refusals is what the quiet run asked for.
  const served = Object.values(source.requests.byPath).reduce((sum, n) => sum + n, 0);
  const earlier = Object.values(before).reduce((sum, n) => sum + n, 0);
  // Besides, one who lives is looked at before and behind those who are missing, which no run counts.
  expect(served - earlier - 3 * refusals).toBe(quiet.requests + 2);
  expect(await replayed(chain), 'replay of every execution').toEqual([]);
});

it('takes a pause and the progress along', async () => {
  const source = await sandbox({ users: 100, groups: 10 });
  const name = await connected(source);
  source.setFaults([{ type: 'latency', ms: 2_000, path: '/Users' }, again('/Users', 'list', 0)]);
  const handle = await world.start(name);
  const progressOf = () => handle.query<OrgSyncProgress>('progress');
  await until('people being read', async () => {
    const { raw } = await handle.describe();
    return raw.pendingActivities?.some((a) => a.activityType?.name === 'stageUsers' && a.state === 2);
  });
  // Each update is a few events: the history is long when the slice in hand ends, and the run is paused.
  for (let i = 0; i < 15; i++) await handle.executeUpdate('pause');
  const before = await progressOf();
  const latest = world.client.workflow.getHandle(handle.workflowId);
  await until('another execution', async () => (await latest.describe()).runId !== handle.firstExecutionRunId);
  source.setFaults([]);
  const after = await latest.query<OrgSyncProgress>('progress');
  expect(after).toMatchObject({ state: 'paused', mode: 'full', connection: name });
  const bar = (progress: OrgSyncProgress, step: string) => progress.steps.find(({ name: n }) => n === step);
  for (const step of ['stageGroups', 'markGroups'])
    expect(bar(after, step), step).toEqual({
      name: step,
      done: 10,
      total: step === 'stageGroups' ? 10 : null,
      state: 'done',
    });
  expect(after.requests).toBeGreaterThanOrEqual(before.requests);

  const { run } = await stateOf(name);
  expect(run).toMatchObject({ firstRunId: handle.firstExecutionRunId, status: 'RUNNING' });
  expect(run.runId).not.toBe(handle.firstExecutionRunId);
  const first = world.client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId);
  expect(new Date(run.startedAt), 'the beginning of the first').toEqual((await first.describe()).startTime);
  expect(await cli(`resume ${name}`)).toMatchObject({ code: 0, out: `Resumed ${name}.\n` });
  expect(await handle.result()).toMatchObject({ outcome: 'applied', users: { added: 100 } });
  await expectSameAsSource(world.pool, name, source.directory);
  expect(bar(await latest.query<OrgSyncProgress>('progress'), 'stageGroups')).toMatchObject({
    done: 10,
    state: 'done',
  });
});

it('is followed by --wait over all executions, and cancelled in a later one', async () => {
  const source = await sandbox({ users: 40, groups: 4 });
  const name = await connected(source);
  source.setFaults([again('/Users', 'list', 0)]);
  const said = await cli(`start orgSync ${name} --wait`);
  expect(said).toMatchObject({ code: 0, err: '' });
  expect(said.out).toContain('Applied: plan');
  expect(said.out).toMatch(/waits 1 s: \S+\/Users asks to wait \(429\)\./);
  const [, first] = /run id ([0-9a-f-]{36})/.exec(said.out) ?? [];
  const { run } = await stateOf(name);
  expect([run.status, run.firstRunId, run.runId === first]).toEqual(['COMPLETED', first, false]);

  await refuseForEver(source);
  expect((await cli(`start orgSync ${name}`)).code).toBe(0);
  await until('a later execution', async () => {
    const { run: seen } = await stateOf(name);
    return seen.runId !== seen.firstRunId && seen.firstRunId !== first;
  });
  expect(await cli(`cancel ${name}`)).toMatchObject({ code: 0, out: expect.stringContaining('What it wrote stays') });
  expect((await stateOf(name)).state).toBe('cancelled');
  await expectSameAsSource(world.pool, name, source.directory);
});

async function refuseForEver(source: ScimSandbox): Promise<void> {
  source.setFaults([{ type: 'status', status: 429, retryAfterSeconds: 0, path: '/Users' }]);
}

/** A result without what is of this run alone. */
function withoutOwn({ plan: _p, connection: _c, durationMs: _d, digest: _g, ...rest }: OrgSyncResult) {
  return rest;
}

/** The events of every execution of a run, the first one first. */
async function executionsOf(workflowId: string, runId: string): Promise<Record<string, unknown>[][]> {
  const { events } = historyJson(await world.client.workflow.getHandle(workflowId, runId).fetchHistory());
  const next = events.at(-1)?.workflowExecutionContinuedAsNewEventAttributes as
    | { newExecutionRunId: string }
    | undefined;
  return [events, ...(next ? await executionsOf(workflowId, next.newExecutionRunId) : [])];
}

async function replayed(chain: Record<string, unknown>[][]): Promise<string[]> {
  const results = Worker.runReplayHistories(
    { workflowBundle: { codePath: inject('shared').bundle } },
    chain.map((events, i) => ({ workflowId: `execution-${i}`, history: { events } })),
  );
  const broken: string[] = [];
  for await (const { workflowId, error } of results) if (error) broken.push(`${workflowId}: ${error.message}`);
  return broken;
}
