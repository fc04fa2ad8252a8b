import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { approve, progress } from '../workflows/org.gate.ts';
import { livingIds } from './harness/ours.ts';
import { until } from './harness/until.ts';
import { type Handle, openWorld } from './harness/world.ts';

const world = await openWorld();

it('a planning step that is asked again answers what it committed, and writes nothing', async () => {
  const one = await world.scim({ users: 100, groups: 5, seed: 11 }, { tenant: 'shared' });
  const two = await world.scim({ users: 20, groups: 3, seed: 12 }, { tenant: 'shared' });
  await world.run(one.name);
  await world.run(two.name);
  const [d, other] = [one.source.directory, two.source.directory];
  const [left, renamed, edited] = d.userIds() as [string, string, string];
  d.renameUser(left, other.fields(other.findPerson(other.userIds()[0]!)!).userName);
  d.editUser(left, { active: false });
  d.renameUser(renamed, 'wanted@example.org');
  d.editUser(edited, { title: 'Written' });
  d.removeUsers(d.userIds().slice(60));
  d.addGroup({ displayName: 'Added' });
  const first = await world.start(one.name);
  const digest = await parked(first);
  const planned = await planOf(one.name);

  const second = await runAgainFrom(first, 'markGroups');
  expect(await parked(second), 'the same plan').toBe(digest);
  expect(await planOf(one.name)).toEqual(planned);

  other.addUser({ userName: 'wanted@example.org' }, [other.groupIds()[0]!]);
  await world.run(two.name);
  // Names are confirmed, and nothing of the plan is written yet.
  const letGo = await lockUsers();
  await second.executeUpdate(approve, { args: [{ digest }] });
  await until('the first step that writes', () => isUnderWay(second, 'deleteUsers'));
  const confirmed = await planOf(one.name);
  expect(confirmed, 'who wanted the name has left the plan').not.toEqual(planned);

  const third = await runAgainFrom(second, 'confirmNames');
  await until('the first step that writes, again', () => isUnderWay(third, 'deleteUsers'));
  expect(await planOf(one.name)).toEqual(confirmed);
  await letGo();
  const result = await third.result();
  expect(result).toMatchObject({
    outcome: 'applied',
    groups: { added: 1 },
    users: { deleted: 40, edited: 2, conflicts: 2 },
    applied: { addGroups: 1, editUsers: 2 },
  });
  expect(result.notes).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^1 people who are handed back are suspended/),
      '1 people are handed back: their user name was taken while the plan waited',
    ]),
  );
  expect(await livingIds(world.pool, one.name, 'users')).toHaveLength(60);
});

/** Temporal runs the steps from that one on anew, as it does where an answer was lost: what stands in Postgres stays. */
async function runAgainFrom({ workflowId }: Handle, activity: string): Promise<Handle> {
  const handle = world.client.workflow.getHandle(workflowId) as Handle;
  const { runId } = await handle.describe();
  const { events } = await handle.fetchHistory();
  const asked = events!
    .map((event) => event.activityTaskScheduledEventAttributes)
    .find((scheduled) => scheduled?.activityType?.name === activity);
  await world.client.workflowService.resetWorkflowExecution({
    namespace: world.servers.temporal.namespace,
    workflowExecution: { workflowId, runId },
    workflowTaskFinishEventId: asked!.workflowTaskCompletedEventId,
    requestId: randomUUID(),
    reason: 'the answer was lost',
  });
  return handle;
}

async function parked(handle: Handle): Promise<string> {
  return until('a parked run', async () => (await handle.query(progress)).parked?.digest);
}

async function isUnderWay(handle: Handle, activity: string): Promise<boolean> {
  const { raw } = await handle.describe();
  return raw.pendingActivities?.some((each) => each.activityType?.name === activity) ?? false;
}

/** Who reads goes on; who writes waits until the result is called. */
async function lockUsers(): Promise<() => Promise<void>> {
  const client = await world.pool.connect();
  await client.query('BEGIN; LOCK TABLE org.users IN EXCLUSIVE MODE');
  return async () => {
    await client.query('COMMIT');
    client.release();
  };
}

/** The latest plan with its changes and the conflicts, with the physical version of each row. */
async function planOf(connection: string): Promise<unknown> {
  const { rows } = await world.pool.query(
    `SELECT p.id, p.steps, p.seats, p.doubts,
            (SELECT array_agg(c.xmin || ' ' || c::text ORDER BY c.no) FROM org.change_rows c WHERE c.plan_id = p.id) AS changes,
            (SELECT array_agg(o.xmin || ' ' || o::text ORDER BY o.source_id) FROM org.conflicts o WHERE o.connection_id = $1) AS conflicts
     FROM org.plans p WHERE p.connection_id = $1 ORDER BY p.id DESC LIMIT 1`,
    [connection],
  );
  return rows[0];
}
