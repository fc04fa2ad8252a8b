import type { Client } from '../client.ts';
import type { ChangeWriter, Plan } from './plan.ts';
import { keepRejects } from './rejects.ts';
import { stageTables } from './stage.ts';

/**
 * Memberships as they shall be for valid people: those the source told in valid groups, and those we hold in groups the
 * source told nothing about (parked, without a member list, or missing without proof). A list empty for every group
 * while we hold members was not read. Exactly one membership of each person is primary: the source's word, else the one
 * we hold, else the smallest group id.
 */
export async function buildEffective(client: Client, plan: Plan): Promise<void> {
  const stage = stageTables(plan.id);
  const { connection } = plan.claim;
  await client.query(`DROP TABLE IF EXISTS ${stage.effective}`);
  // A single person is placed only in groups that stand already: such a run plans no groups.
  const standing =
    plan.only === null ? '' : 'JOIN org.groups s ON s.connection_id = $1 AND s.id = g.id AND s.deleted_at IS NULL';
  await client.query(
    `CREATE UNLOGGED TABLE ${stage.effective} (user_id text COLLATE "C" NOT NULL, group_id text COLLATE "C" NOT NULL, is_primary boolean NOT NULL)`,
  );
  await client.query(
    `WITH anyone AS (SELECT EXISTS (SELECT 1 FROM ${stage.members} m JOIN ${stage.users} u ON u.id = m.member_id WHERE m.is_group IS NOT TRUE) AS told),
     silent AS (
       SELECT o.id FROM org.groups o LEFT JOIN ${stage.tree} t ON t.id = o.id, anyone
       WHERE o.connection_id = $1 AND o.deleted_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM org.changes c WHERE c.plan_id = $2 AND c.kind = 'group' AND c.action = 'delete' AND c.source_id = o.id)
         AND (t.id IS NULL OR t.depth IS NULL OR NOT t.members_read OR NOT anyone.told)),
     told AS (
       SELECT m.member_id AS user_id, m.group_id, bool_or(m.is_primary) AS is_primary
       FROM ${stage.members} m JOIN ${stage.tree} g ON g.id = m.group_id AND g.depth IS NOT NULL ${standing}
       JOIN ${stage.users} u ON u.id = m.member_id AND u.reason IS NULL
       WHERE m.is_group IS NOT TRUE GROUP BY 1, 2
       UNION ALL
       SELECT e.user_id, e.group_id, false FROM silent s JOIN org.memberships e ON e.connection_id = $1 AND e.group_id = s.id
       JOIN ${stage.users} u ON u.id = e.user_id AND u.reason IS NULL
       WHERE NOT EXISTS (SELECT 1 FROM ${stage.members} m WHERE m.group_id = e.group_id AND m.member_id = e.user_id
         AND EXISTS (SELECT 1 FROM ${stage.tree} g WHERE g.id = m.group_id AND g.depth IS NOT NULL)))
     INSERT INTO ${stage.effective}
     SELECT t.user_id, t.group_id,
            row_number() OVER (PARTITION BY t.user_id ORDER BY t.is_primary DESC, coalesce(e.is_primary, false) DESC, t.group_id) = 1
     FROM told t LEFT JOIN org.memberships e ON e.connection_id = $1 AND e.user_id = t.user_id AND e.group_id = t.group_id`,
    [connection, plan.id],
  );
  await client.query(`ANALYZE ${stage.effective}`);
}

/** Members that are neither people nor groups of this pass: one reject each. Looked for only when the counts say there are some. */
export async function countDangling(client: Client, plan: Plan): Promise<number> {
  const stage = stageTables(plan.id);
  if (plan.only !== null) return 0;
  return keepRejects(
    client,
    plan,
    'memberships',
    `
    SELECT DISTINCT ON (1) m.group_id || '/' || m.member_id AS source_id, 'dangling_member', 'members', jsonb_build_object('group', m.group_id, 'member', m.member_id)::text, NULL::text
    FROM ${stage.members} m LEFT JOIN ${stage.users} u ON u.id = m.member_id LEFT JOIN ${stage.tree} g ON g.id = m.member_id
    WHERE u.id IS NULL AND g.id IS NULL`,
  );
}

interface MembershipMarks {
  counts: { staged: number; added: number; changed: number; removed: number };
  /** People who stay and whose groups change. */
  movedUsers: number;
}

/** One change a membership that differs. New people bring theirs along (addUsers), gone people and groups take theirs with them. */
export async function markMemberships(client: Client, plan: Plan, changes: ChangeWriter): Promise<MembershipMarks> {
  const stage = stageTables(plan.id);
  const { connection } = plan.claim;
  await client.query(
    `CREATE TEMP TABLE moves ON COMMIT DROP AS
     SELECT coalesce(f.user_id, e.user_id) AS user_id, coalesce(f.group_id, e.group_id) AS group_id, f.is_primary AS after, e.is_primary AS before
     FROM ${stage.effective} f FULL JOIN (SELECT * FROM org.memberships WHERE connection_id = $1) e
       ON e.user_id = f.user_id AND e.group_id = f.group_id
     WHERE f.is_primary IS DISTINCT FROM e.is_primary`,
    [connection],
  );
  await client.query('ANALYZE moves');
  const row = `CASE WHEN m.before IS NOT NULL THEN jsonb_build_object('is_primary', m.before) END, CASE WHEN m.after IS NOT NULL THEN jsonb_build_object('is_primary', m.after) END`;
  const action = `CASE WHEN m.before IS NULL THEN 'add' WHEN m.after IS NULL THEN 'remove' ELSE 'edit' END`;
  const added = await changes.add(
    'addUsers',
    `
    SELECT 'membership', 'add', m.user_id, m.group_id, NULL::jsonb, jsonb_build_object('is_primary', m.after) FROM moves m
    JOIN delta d ON d.id = m.user_id AND d.action = 'add'
    JOIN ${stage.users} u ON u.id = m.user_id AND u.reason IS NULL WHERE m.after IS NOT NULL`,
    [],
  );
  const moved = await changes.add(
    'moveUsers',
    `
    SELECT 'membership', ${action}, m.user_id, m.group_id, ${row} FROM moves m
    JOIN ${stage.users} u ON u.id = m.user_id AND u.reason IS NULL
    WHERE NOT EXISTS (SELECT 1 FROM delta d WHERE d.id = m.user_id AND d.action = 'add' AND m.after IS NOT NULL) ORDER BY m.user_id, m.group_id`,
    [],
  );
  const withUsers = await changes.add(
    'deleteUsers',
    `
    SELECT 'membership', 'remove', m.user_id, m.group_id, ${row} FROM moves m
    JOIN org.changes c ON c.plan_id = $1 AND c.kind = 'user' AND c.action = 'delete' AND c.source_id = m.user_id
    WHERE m.after IS NULL ORDER BY m.user_id, m.group_id`,
    [plan.id],
  );
  const withGroups = await changes.add(
    'deleteGroups',
    `
    SELECT 'membership', 'remove', m.user_id, m.group_id, ${row} FROM moves m
    JOIN org.changes c ON c.plan_id = $1 AND c.kind = 'group' AND c.action = 'delete' AND c.source_id = m.group_id
    WHERE m.after IS NULL AND NOT EXISTS (SELECT 1 FROM ${stage.users} u WHERE u.id = m.user_id AND u.reason IS NULL)
      AND NOT EXISTS (SELECT 1 FROM org.changes d WHERE d.plan_id = $1 AND d.kind = 'user' AND d.action = 'delete' AND d.source_id = m.user_id)
    ORDER BY m.user_id, m.group_id`,
    [plan.id],
  );
  const { rows } = await client.query(
    `SELECT (SELECT count(*) FROM ${stage.effective})::int AS staged, count(DISTINCT m.user_id)::int AS users,
            count(*) FILTER (WHERE m.before IS NULL)::int AS added, count(*) FILTER (WHERE m.after IS NULL)::int AS removed
     FROM moves m JOIN ${stage.users} u ON u.id = m.user_id AND u.reason IS NULL
     WHERE $1 > 0 AND NOT EXISTS (SELECT 1 FROM delta d WHERE d.id = m.user_id AND d.action = 'add')`,
    [moved],
  );
  const r = rows[0];
  return {
    counts: {
      staged: r.staged,
      added: added + r.added,
      changed: moved - r.added - r.removed,
      removed: r.removed + withUsers + withGroups,
    },
    movedUsers: r.users,
  };
}
