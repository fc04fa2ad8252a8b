import type { Client } from '../client.ts';
import { describeDoubt, doubtOf, unkeyedOf } from './living.ts';
import { anyParentTold, describeKeptParents, type NestingRules, tellKinds } from './nesting.ts';
import { ChangeWriter, keepDoubts, type Plan } from './plan.ts';
import { keepRejects } from './rejects.ts';
import { analyzeStage, proveStage, stageTables } from './stage.ts';

export interface GroupRules extends NestingRules {
  /** Deepest level accepted; a root is level 1. */
  maxDepth: number;
  /** True: the source keeps siblings apart by more than the name we show (LDAP: ou=Sales and cn=Sales are two groups). */
  namesMayRepeat: boolean;
  /** True when the step addGroups is switched off: no group moves, also not out of one that the source deleted. */
  groupsStay: boolean;
}

export interface GroupMarks {
  staged: number;
  added: number;
  changed: number;
  deleted: number;
  /** Living groups that the source did not bring and that stay. */
  withheld: number;
  /** What the source did not prove or tell and was kept as we hold it, as sentences. */
  notes: string[];
  rejected: number;
}

/**
 * Plans the groups: builds the tree the source describes, parks what cannot hang in it (with its subtree, never the
 * rest), and writes one change for each group that differs from ours. One transaction of the caller.
 * @returns null when it must be asked again once the people are read: they tell who of the members is a group
 */
export async function markGroups(client: Client, plan: Plan, rules: GroupRules): Promise<GroupMarks | null> {
  await proveStage(client, plan.id, ['groups']);
  const { connection } = plan.claim;
  const mixed = rules.parentsNamed ? 0 : await tellKinds(client, plan);
  if (mixed === null) return null;
  const stage = stageTables(plan.id);
  const parentsUntold = !(await anyParentTold(client, plan, rules));
  await buildTree(client, plan, rules, parentsUntold);
  if (!rules.namesMayRepeat) await parkDuplicates(client, plan);
  await parkByDepth(client, plan, rules.maxDepth);
  const rejected = await keepRejects(
    client,
    plan,
    'groups',
    `
    SELECT t.id, t.reason, t.field, coalesce(t.record, jsonb_build_object('id', t.id, 'name', t.name, 'parentId', t.parent_id)::text), t.position
    FROM ${stage.tree} t WHERE t.reason IS NOT NULL`,
  );

  const { rows } = await client.query(`SELECT count(*)::int AS n FROM ${stage.tree}`);
  const staged: number = rows[0].n;
  // A run for one person looks at the groups and leaves them as they are.
  if (plan.only !== null) return { staged, added: 0, changed: 0, deleted: 0, withheld: 0, notes: [], rejected };
  const changes = await ChangeWriter.open(client, plan, ['group']);
  const row = (r: string) => `ARRAY[${r}.name, ${r}.parent_id]`;
  const valid = `${stage.tree} t LEFT JOIN org.groups o ON o.connection_id = $1 AND o.id = t.id WHERE t.depth IS NOT NULL`;
  const added = await changes.add(
    'addGroups',
    `
    SELECT 'group', 'add', t.id, NULL::text, CASE WHEN o.id IS NOT NULL THEN ${row('o')} END, ${row('t')}, NULL::text[]
    FROM ${valid} AND (o.id IS NULL OR o.deleted_at IS NOT NULL) ORDER BY t.depth, t.id`,
    [connection],
  );
  const changed = await changes.add(
    'addGroups',
    `
    SELECT 'group', CASE WHEN o.parent_id IS DISTINCT FROM t.parent_id THEN 'move' ELSE 'edit' END, t.id, NULL::text, ${row('o')}, ${row('t')}, NULL::text[]
    FROM ${valid} AND o.id IS NOT NULL AND o.deleted_at IS NULL AND (o.name, o.parent_id) IS DISTINCT FROM (t.name, t.parent_id) ORDER BY t.depth, t.id`,
    [connection],
  );
  const doubt = await doubtOf(client, plan.id, 'groups', staged);
  const missing = await countMissing(client, plan);
  const deleted =
    missing > 0 && doubt === null
      ? await changes.add('deleteGroups', missingGroups(plan, rules.groupsStay, row), [connection])
      : 0;
  await changes.close();
  const below = rules.groupsStay ? 'a group that is parked, or whose move is switched off,' : 'a parked group';
  const why = missing > deleted ? (doubt ?? `${below} hangs below them`) : doubt;
  const notes = [
    ...describeDoubt('groups', missing - deleted, why),
    ...(parentsUntold ? await describeKeptParents(client, plan, rules) : []),
    ...(mixed > 0
      ? [`${mixed} members tell neither type nor $ref, and a person and a group have their id: they count as people`]
      : []),
  ];
  await keepDoubts(client, plan, 'groups', notes);
  return {
    staged,
    added,
    changed,
    deleted,
    withheld: missing - deleted,
    notes,
    rejected: rejected + (await unkeyedOf(client, plan.id, 'groups')),
  };
}

/**
 * One row a group: repeated ids drop to the last one read; the parent comes from the group itself or from
 * group members. Where a parent's member list was not read, the parent is missing without proof, or no group of the
 * pass told its parent (`untold`), ours stays: a list that says nothing must not make roots of a tree.
 */
async function buildTree(client: Client, plan: Plan, { parentsNamed }: GroupRules, untold: boolean): Promise<void> {
  const stage = stageTables(plan.id);
  const doubt = await doubtOf(client, plan.id, 'groups');
  await client.query(`DROP TABLE IF EXISTS ${stage.tree}`);
  await client.query(
    `
    CREATE UNLOGGED TABLE ${stage.tree} AS
    WITH last AS (SELECT DISTINCT ON (id) * FROM ${stage.groups} ORDER BY id, ctid DESC),
    edges AS (
      SELECT m.member_id AS id, min(m.group_id) AS parent_id, count(DISTINCT m.group_id) AS parents
      FROM ${stage.members} m JOIN last c ON c.id = m.member_id WHERE m.is_group IS NOT FALSE AND NOT $2 GROUP BY 1),
    kept AS (
      SELECT o.id, o.parent_id FROM org.groups o LEFT JOIN last p ON p.id = o.parent_id
      WHERE o.connection_id = $1 AND o.deleted_at IS NULL AND o.parent_id IS NOT NULL
        AND ($3 AND (p.id IS NOT NULL OR ${doubt !== null})
          OR NOT $2 AND (NOT p.members_read OR (p.id IS NULL AND ${doubt !== null}))))
    SELECT g.id, CASE WHEN g.reason IS NULL THEN coalesce(g.name, h.name, g.id) ELSE g.name END AS name, f.parent_id, g.members_read, coalesce(g.reason, f.reason) AS reason,
           CASE WHEN g.reason IS NULL AND f.reason IS NOT NULL THEN 'parentId' ELSE g.field END AS field,
           g.record, g.position, NULL::int AS depth
    FROM last g LEFT JOIN edges e ON e.id = g.id LEFT JOIN kept k ON k.id = g.id LEFT JOIN last p ON p.id = g.parent_id
    LEFT JOIN org.groups h ON h.connection_id = $1 AND h.id = g.id AND g.name IS NULL
    CROSS JOIN LATERAL (SELECT
      CASE WHEN g.parent_told THEN g.parent_id ELSE coalesce(e.parent_id, k.parent_id) END AS parent_id,
      CASE WHEN NOT g.parent_told AND e.parents > 1 THEN 'several_parents'
           WHEN g.parent_told AND g.parent_id IS NOT NULL AND p.id IS NULL THEN 'orphan_parent' END AS reason) f`,
    [plan.claim.connection, parentsNamed, untold],
  );
  await client.query(`CREATE INDEX ON ${stage.tree} (id); CREATE INDEX ON ${stage.tree} (parent_id)`);
  await analyzeStage(client, stage.tree);
}

/** Siblings of one name: who holds the name with us keeps it; without a holder all are handed back, for nobody may guess. */
async function parkDuplicates(client: Client, plan: Plan): Promise<void> {
  const { tree } = stageTables(plan.id);
  await client.query(
    `UPDATE ${tree} t SET reason = 'duplicate_name', field = 'name'
     FROM (SELECT id, count(*) OVER (PARTITION BY parent_id, lower(name)) AS n FROM ${tree} WHERE reason IS NULL) d
     WHERE d.id = t.id AND d.n > 1 AND NOT EXISTS (
       SELECT 1 FROM org.groups o WHERE o.connection_id = $1 AND o.id = t.id AND o.deleted_at IS NULL
         AND o.parent_id IS NOT DISTINCT FROM t.parent_id AND lower(o.name) = lower(t.name))`,
    [plan.claim.connection],
  );
}

/** Walks down from the roots. What is not reached is too deep, hangs below a parked group, or is (or hangs below) a cycle. */
async function parkByDepth(client: Client, plan: Plan, maxDepth: number): Promise<void> {
  const { tree } = stageTables(plan.id);
  await client.query(
    `WITH RECURSIVE walk AS (
       SELECT r.id, 1 AS depth FROM ${tree} r WHERE r.reason IS NULL AND NOT EXISTS (SELECT 1 FROM ${tree} p WHERE p.id = r.parent_id)
       UNION ALL
       SELECT c.id, w.depth + 1 FROM walk w JOIN ${tree} c ON c.parent_id = w.id WHERE c.reason IS NULL AND w.depth <= $1)
     UPDATE ${tree} t SET depth = CASE WHEN w.depth <= $1 THEN w.depth END,
       reason = CASE WHEN w.depth > $1 THEN 'too_deep' END, field = CASE WHEN w.depth > $1 THEN 'parentId' END
     FROM walk w WHERE w.id = t.id`,
    [maxDepth],
  );
  await client.query(
    `WITH RECURSIVE below AS (
       SELECT id FROM ${tree} WHERE reason IS NOT NULL
       UNION
       SELECT c.id FROM below b JOIN ${tree} c ON c.parent_id = b.id)
     UPDATE ${tree} t SET reason = 'parent_parked', field = 'parentId' FROM below b
     WHERE b.id = t.id AND t.reason IS NULL AND t.depth IS NULL`,
  );
  // What is left has parents only among itself: cycles and what hangs below them. 100 steps up tell the two apart.
  await client.query(
    `WITH RECURSIVE up AS (
       SELECT id AS origin, parent_id AS at, 1 AS n FROM ${tree} WHERE depth IS NULL AND reason IS NULL
       UNION ALL
       SELECT u.origin, t.parent_id, u.n + 1 FROM up u JOIN ${tree} t ON t.id = u.at WHERE u.at <> u.origin AND u.n < 100)
     UPDATE ${tree} t SET field = 'parentId',
       reason = CASE WHEN EXISTS (SELECT 1 FROM up WHERE up.origin = t.id AND up.at = t.id) THEN 'cycle' ELSE 'below_cycle' END
     WHERE t.depth IS NULL AND t.reason IS NULL`,
  );
  // Until now no group had a depth, and the planner would expect one group where all are valid.
  await analyzeStage(client, tree);
}

/** Living groups the source did not bring, without those that a group which stays where we hold it still hangs below. */
function missingGroups(plan: Plan, groupsStay: boolean, row: (r: string) => string): string {
  const stage = stageTables(plan.id);
  return `
    WITH RECURSIVE held AS (
      SELECT o.parent_id AS id FROM org.groups o JOIN ${stage.tree} t ON t.id = o.id ${groupsStay ? '' : 'AND t.reason IS NOT NULL'}
      WHERE o.connection_id = $1 AND o.deleted_at IS NULL
      UNION
      SELECT o.parent_id FROM held h JOIN org.groups o ON o.connection_id = $1 AND o.id = h.id WHERE o.parent_id IS NOT NULL)
    SELECT 'group', 'delete', o.id, NULL::text, ${row('o')}, NULL::text[], NULL::text[] FROM org.groups o
    WHERE o.connection_id = $1 AND o.deleted_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM ${stage.tree} t WHERE t.id = o.id)
      AND NOT EXISTS (SELECT 1 FROM held h WHERE h.id = o.id)
    ORDER BY o.id`;
}

async function countMissing(client: Client, plan: Plan): Promise<number> {
  const { rows } = await client.query(
    `SELECT count(*)::int AS n FROM org.groups o WHERE o.connection_id = $1 AND o.deleted_at IS NULL
     AND NOT EXISTS (SELECT 1 FROM ${stageTables(plan.id).tree} t WHERE t.id = o.id)`,
    [plan.claim.connection],
  );
  return rows[0].n;
}
