import { expect, it } from 'vitest';
import type { OrgSyncProgress } from '../workflows/org.view.ts';
import { expectSameAsSource } from './harness/compare.ts';
import { until } from './harness/until.ts';
import { failureOf, type Handle, openWorld } from './harness/world.ts';

const world = await openWorld();
const lost = 'the stage was lost with the database and is read again';
const startedOver =
  /^a step failed three times and the run starts over once: stageUsers: http\S+ answered 200 with truncated or broken JSON .+ \(BadAnswer\)$/;

it('a lost stage leaves a failed step its new start', async () => {
  const { name, source } = await world.scim({ users: 60, groups: 6 });
  const handle = await lostRun(name, source, 3);
  const result = await handle.result();
  expect(result).toMatchObject({ outcome: 'applied', users: { added: 60 }, groups: { added: 6 } });
  expect(result.notes).toEqual([lost, expect.stringMatching(startedOver)]);
  expect(await attemptsOf(name)).toBe(3);
  await expectSameAsSource(world.pool, name, source.directory);
});

it('a second failed step ends the run, lost stage or not', async () => {
  const { name, source } = await world.scim({ users: 60, groups: 6 });
  const handle = await lostRun(name, source, 6);
  const { type, message } = await failureOf(handle);
  expect(type).toBe('BadAnswer');
  expect(message).toMatch(/^stageUsers: http\S+ answered 200 with truncated or broken JSON/);
  expect(await attemptsOf(name)).toBe(3);
  const { notes } = await handle.query<OrgSyncProgress>('progress');
  expect(notes).toEqual([lost, expect.stringMatching(startedOver)]);
  const { rows } = await world.pool.query('SELECT count(*)::int AS n FROM org.users WHERE connection_id = $1', [name]);
  expect(rows).toEqual([{ n: 0 }]);
});

type Source = Awaited<ReturnType<typeof world.scim>>['source'];

/**
 * A run whose stage of groups is gone when it plans the people, as after the crash of a Postgres backend, and whose next
 * `badAnswers` lists of people are cut JSON.
 */
async function lostRun(name: string, source: Source, badAnswers: number): Promise<Handle> {
  await world.run(name, { dryRun: true });
  const lists = source.requests.byPath['/Users'] ?? 0;
  source.setFaults([{ type: 'latency', ms: 500, path: '/Groups' }]);
  const handle = await world.start(name);
  const pending = async () => (await handle.describe()).raw.pendingActivities ?? [];
  await until('groups being read', async () => (await pending()).some((a) => a.activityType?.name === 'stageGroups'));
  await handle.executeUpdate('pause');
  await until('groups planned', async () => {
    const { steps } = await handle.query<OrgSyncProgress>('progress');
    return steps.some((bar) => bar.name === 'markGroups' && bar.state === 'done') && (await pending()).length === 0;
  });
  const { rows } = await world.pool.query(`SELECT max(id) AS plan FROM org.plans WHERE connection_id = $1`, [name]);
  await world.pool.query(`TRUNCATE org_stage.p${rows[0].plan}_groups`);
  source.setFaults([{ type: 'truncatedJson', path: '/Users', only: 'list', afterRequests: lists, times: badAnswers }]);
  await handle.executeUpdate('resume');
  return handle;
}

async function attemptsOf(connection: string): Promise<number> {
  const { rows } = await world.pool.query('SELECT max(attempt)::int AS n FROM org.plans WHERE connection_id = $1', [
    connection,
  ]);
  return rows[0].n;
}
