import type { Client } from '../client.ts';
import { changeFields } from '../schema/org.ts';
import { type Absent, type AbsentRules, describeKeptLocks, merged, readAbsent } from './absent.ts';
import { type PlacingRules, placePeople } from './effective.ts';
import { describeDoubt, doubtOf, unkeyedOf } from './living.ts';
import { countDangling, describeKept, markMemberships } from './memberships.ts';
import { type ApplyStep, ChangeWriter, keepDoubts, type Plan } from './plan.ts';
import { keepRejects } from './rejects.ts';
import { analyzeStage, proveStage, stageTables } from './stage.ts';
import { describeWithheld, suspensions } from './withheld.ts';

export interface UserRules extends PlacingRules, AbsentRules {
  /** True: members that are nobody of this pass are expected, for a filter leaves people out. */
  narrowed: boolean;
  /** Steps that will not run. Without editUsers nobody gives a name back; without deleteUsers who is gone keeps it. */
  skipped: readonly ApplyStep[];
}

export interface UserMarks {
  staged: number;
  added: number;
  edited: number;
  moved: number;
  deleted: number;
  /** Living people that the source did not bring and that stay. */
  withheld: number;
  /** What the source did not prove or tell and was kept as we hold it, as sentences. */
  notes: string[];
  conflicts: number;
  rejected: number;
  memberships: { staged: number; added: number; changed: number; removed: number };
}

/** Plans people and memberships: faults and conflicts first, then one change for each difference. One transaction of the caller. */
export async function markUsers(client: Client, plan: Plan, rules: UserRules): Promise<UserMarks> {
  await proveStage(client, plan.id, ['groups', 'users']);
  const stage = stageTables(plan.id);
  const staged = await dropRepeats(client, plan);
  const doubt = await doubtOf(client, plan.id, 'users', staged);
  const absent = await readAbsent(client, plan, rules);
  await findDelta(client, plan, absent);
  const missing = await countMissing(client, plan);
  const mayDelete = doubt === null && missing > 0;
  await rejectDoubleNames(client, plan);
  const settled = await placePeople(client, plan, rules, missing);
  // Last: whoever is handed back for another reason gives no name back either.
  const runs = (step: ApplyStep) => !rules.skipped.includes(step);
  const conflicts = await findConflicts(client, plan, mayDelete && runs('deleteUsers'), runs('editUsers'));
  const rejected = await keepRejects(
    client,
    plan,
    'users',
    `
    SELECT u.id, u.reason, u.field, u.record, u.position FROM ${stage.users} u WHERE u.reason <> 'conflict'`,
  );
  const dangling = await countDangling(client, plan, settled || rules.narrowed);

  const changes = await ChangeWriter.open(client, plan, ['user', 'membership']);
  const deleted = mayDelete
    ? await changes.add('deleteUsers', missingUsers(plan), [plan.claim.connection, plan.only])
    : 0;
  const added = settled ? 0 : await changes.add('addUsers', deltaChanges(plan, absent, 'add'), [plan.claim.connection]);
  const edited = await changes.add('editUsers', deltaChanges(plan, absent, 'edit'), [plan.claim.connection]);
  const back = rejected + conflicts > 0;
  const suspended = back ? await changes.add('editUsers', suspensions(plan), [plan.claim.connection]) : 0;
  const memberships = await markMemberships(client, plan, changes, settled, rules.skipped);
  await changes.close();
  const notes = [
    ...describeDoubt('users', missing - deleted, doubt),
    ...(await describeKept(client, plan, settled)),
    ...(await describeKeptLocks(client, plan, rules, absent)),
    ...(back ? await describeWithheld(client, plan, suspended) : []),
  ];
  await keepDoubts(client, plan, 'users', notes);
  return {
    staged,
    added,
    edited: edited + suspended,
    deleted,
    moved: memberships.movedUsers,
    withheld: missing - deleted,
    notes,
    conflicts,
    rejected: rejected + dangling + (await unkeyedOf(client, plan.id, 'users')),
    memberships: memberships.counts,
  };
}

/** A row that came twice (it moved between pages) counts once: the last read. Two people under one id are both handed back. */
async function dropRepeats(client: Client, plan: Plan): Promise<number> {
  const { users } = stageTables(plan.id);
  // By groups, not count(DISTINCT): that sorts, which takes twice as long.
  const { rows } = await client.query(
    `SELECT coalesce(sum(n), 0)::int AS rows, count(*)::int AS ids FROM (SELECT count(*) AS n FROM ${users} GROUP BY id) each`,
  );
  if (rows[0].rows === rows[0].ids) return rows[0].ids;
  await client.query(`
    UPDATE ${users} u SET reason = 'duplicate_id', field = 'id', record = coalesce(u.record, to_jsonb(u)::text)
    FROM (SELECT id FROM ${users} GROUP BY id HAVING count(DISTINCT lower(user_name)) > 1) d WHERE d.id = u.id`);
  await client.query(`
    DELETE FROM ${users} WHERE ctid IN (
      SELECT ctid FROM (SELECT ctid, row_number() OVER (PARTITION BY id ORDER BY ctid DESC) AS n FROM ${users}) x WHERE n > 1)`);
  await client.query(`UPDATE org.stages SET rows = $2 WHERE plan_id = $1 AND stream = 'users'`, [plan.id, rows[0].ids]);
  return rows[0].ids;
}

/** Ids of valid people that are new or differ from our row. Temporary, and empty when nothing changed. */
async function findDelta(client: Client, plan: Plan, absent: Absent): Promise<void> {
  const { users } = stageTables(plan.id);
  const fields = merged(absent);
  await client.query(
    `CREATE TEMP TABLE delta ON COMMIT DROP AS
     SELECT u.id, CASE WHEN o.id IS NULL OR o.deleted_at IS NOT NULL THEN 'add' ELSE 'edit' END AS action,
            o.user_name_key IS DISTINCT FROM lower(u.user_name) AS renamed
     FROM ${users} u LEFT JOIN org.users o ON o.connection_id = $1 AND o.id = u.id
     WHERE u.reason IS NULL AND (o.id IS NULL OR o.deleted_at IS NOT NULL OR o.user_name_key IS DISTINCT FROM lower(u.user_name)
       OR (${fields.map((f) => f.sql).join(', ')}) IS DISTINCT FROM (${fields.map((f) => `o.${f.name}`).join(', ')}))`,
    [plan.claim.connection],
  );
  await analyzeStage(client, 'delta');
}

/** Living people the source did not bring. Counted first: the list itself is read only when there are some. */
async function countMissing(client: Client, plan: Plan): Promise<number> {
  const { users } = stageTables(plan.id);
  const { rows } = await client.query(
    `SELECT (SELECT count(*) FROM org.users WHERE connection_id = $1 AND deleted_at IS NULL AND ($2::text IS NULL OR id = $2))::int
          - (SELECT count(*) FROM ${users} WHERE reason IS NULL)::int
          + (SELECT count(*) FROM delta WHERE action = 'add')::int
          - (SELECT count(*) FROM ${users} u JOIN org.users o ON o.connection_id = $1 AND o.id = u.id AND o.deleted_at IS NULL
             WHERE u.reason IS NOT NULL)::int AS n`,
    [plan.claim.connection, plan.only],
  );
  return rows[0].n;
}

function missingUsers(plan: Plan): string {
  return `
    SELECT 'user', 'delete', o.id, NULL::text, ${ours}, NULL::text[], NULL::text[] FROM org.users o
    LEFT JOIN ${stageTables(plan.id).users} u ON u.id = o.id
    WHERE o.connection_id = $1 AND o.deleted_at IS NULL AND u.id IS NULL AND ($2::text IS NULL OR o.id = $2)
    ORDER BY o.id`;
}

/** Our row as `changeFields.user` orders it. */
const ours = `ARRAY[${changeFields.user.map((f) => `o.${f}::text`).join(', ')}]`;

/** Ordered by id: the indexes of org.users are then filled from left to right, which halves their cost. */
function deltaChanges(plan: Plan, absent: Absent, action: 'add' | 'edit'): string {
  const stage = stageTables(plan.id);
  return `
    SELECT 'user', '${action}', u.id, NULL::text, CASE WHEN o.id IS NOT NULL THEN ${ours} END,
           ARRAY[${merged(absent)
             .map((f) => `(${f.sql})::text`)
             .join(', ')}], ${action === 'add' ? 'f.groups' : 'NULL::text[]'}
    FROM delta d JOIN ${stage.users} u ON u.id = d.id LEFT JOIN org.users o ON o.connection_id = $1 AND o.id = d.id
    ${action === 'add' ? `LEFT JOIN ${stage.effective} f ON f.user_id = d.id` : ''}
    WHERE d.action = '${action}' AND u.reason IS NULL ORDER BY u.id`;
}

/** One name twice inside the source: who holds it with us keeps it, the others are handed back. Only new names can be double. */
async function rejectDoubleNames(client: Client, plan: Plan): Promise<void> {
  const { users } = stageTables(plan.id);
  const { rowCount } = await client.query('SELECT 1 FROM delta WHERE renamed LIMIT 1');
  if (rowCount === 0) return;
  await client.query(
    `UPDATE ${users} u SET reason = 'duplicate_name', field = 'userName', record = to_jsonb(u)::text
     FROM (SELECT lower(user_name) AS name FROM ${users} WHERE reason IS NULL GROUP BY 1 HAVING count(*) > 1) d
     WHERE lower(u.user_name) = d.name AND u.reason IS NULL AND NOT EXISTS (
       SELECT 1 FROM org.users o WHERE o.connection_id = $1 AND o.id = u.id AND o.user_name_key = d.name)`,
    [plan.claim.connection],
  );
}

/**
 * Names that a living row of the tenant holds and does not give back in this plan. Handing one person back may leave
 * another's new name taken, so it is asked again until nobody is added.
 */
async function findConflicts(client: Client, plan: Plan, mayDelete: boolean, mayRename: boolean): Promise<number> {
  const { users } = stageTables(plan.id);
  const { connection } = plan.claim;
  let total = 0;
  for (;;) {
    const { rowCount } = await client.query(
      `WITH held AS (
         SELECT u.id, u.user_name, o.connection_id, o.id AS owner_id
         FROM delta d JOIN ${users} u ON u.id = d.id AND u.reason IS NULL
         JOIN org.users o ON o.tenant = $2 AND o.user_name_key = lower(u.user_name) AND (o.connection_id, o.id) <> ($1, u.id)
         LEFT JOIN ${users} ou ON o.connection_id = $1 AND ou.id = o.id
         WHERE d.renamed AND NOT (o.connection_id = $1 AND (
           (ou.id IS NULL AND $4) OR (ou.id IS NOT NULL AND ou.reason IS NULL AND lower(ou.user_name) <> o.user_name_key AND $5)))),
       told AS (
         INSERT INTO org.conflicts (connection_id, source_id, user_name, owner_connection_id, owner_source_id, plan_id)
         SELECT $1, id, user_name, connection_id, owner_id, $3 FROM held
         ON CONFLICT (connection_id, source_id) DO UPDATE SET user_name = excluded.user_name, plan_id = $3, resolved_at = NULL,
           owner_connection_id = excluded.owner_connection_id, owner_source_id = excluded.owner_source_id)
       UPDATE ${users} u SET reason = 'conflict', field = 'userName' FROM held h WHERE h.id = u.id`,
      [connection, plan.tenant, plan.id, mayDelete, mayRename],
    );
    if (!rowCount) break;
    total += rowCount;
  }
  return total;
}
