import type { Client } from '../client.ts';
import { anyoneTold, pairsComeOnce } from './effective.ts';
import type { ApplyStep, ChangeWriter, Plan } from './plan.ts';
import { keepRejects } from './rejects.ts';
import { analyzeStage, stageTables } from './stage.ts';

/** Members that are neither people nor groups of this pass: one reject each. Looked for only when the counts say there are some. */
export async function countDangling(client: Client, plan: Plan, noneExpected: boolean): Promise<number> {
  const stage = stageTables(plan.id);
  if (plan.only !== null || noneExpected || (await everyMemberPlaced(client, plan))) return 0;
  return keepRejects(
    client,
    plan,
    'memberships',
    `SELECT DISTINCT ON (1) m.group_id || '/' || m.member_id AS source_id, 'dangling_member', 'members',
            jsonb_build_object('group', m.group_id, 'member', m.member_id)::text, NULL::text
     FROM ${stage.members} m LEFT JOIN ${stage.users} u ON u.id = m.member_id LEFT JOIN ${stage.tree} g ON g.id = m.member_id
     WHERE u.id IS NULL AND g.id IS NULL`,
  );
}

async function everyMemberPlaced(client: Client, plan: Plan): Promise<boolean> {
  const stage = stageTables(plan.id);
  const { rows } = await client.query(
    `SELECT (SELECT count(*) FROM ${stage.members} WHERE is_group IS NOT TRUE) = (SELECT coalesce(sum(cardinality(groups)), 0) FROM ${stage.effective}) AS all`,
  );
  return rows[0].all;
}

/** What is kept because the source told no members: of any group, or of some. */
export async function describeKept(client: Client, plan: Plan, settled: boolean): Promise<string[]> {
  if (settled) return [];
  const stage = stageTables(plan.id);
  const { rows } = await client.query(
    `SELECT ${anyoneTold(plan)} AS told,
            EXISTS (SELECT 1 FROM ${stage.tree} WHERE members_read) AS read,
            EXISTS (SELECT 1 FROM ${stage.tree} WHERE NOT members_read) AS silent`,
  );
  const { told, read, silent } = rows[0];
  // Counting a million memberships takes a second: only where some are kept.
  if (told && !silent) return [];
  const kept = await client.query(
    `SELECT count(DISTINCT e.group_id)::int AS groups, count(*)::int AS members
     FROM org.memberships e JOIN ${stage.tree} t ON t.id = e.group_id AND t.depth IS NOT NULL
     WHERE e.connection_id = $1 AND NOT (t.members_read AND $2)
       AND ($3::text IS NULL OR e.user_id IN (SELECT id FROM ${stage.users} WHERE reason IS NULL))`,
    [plan.claim.connection, told, plan.only],
  );
  const { groups, members } = kept.rows[0];
  if (members === 0) return [];
  if (told) return [`${groups} groups came without a member list: their ${members} memberships are kept`];
  const what = read ? 'member lists came empty for every group' : 'no group came with a member list';
  const ask =
    plan.only === null ? '' : `; a run of everybody may tell more: npx syncline start orgSync ${plan.claim.connection}`;
  return [`${what}: ${members} memberships in ${groups} groups are kept${ask}`];
}

/**
 * Different pairs of group and person that the source told, whatever becomes of them; what is kept from before does not
 * count. With one person alone, members whose kind is not told stand in the stage for everybody.
 */
async function countTold(client: Client, plan: Plan): Promise<number> {
  const stage = stageTables(plan.id);
  const { rows } = await client.query(
    `SELECT count(*)::int AS n FROM (
       SELECT ${(await pairsComeOnce(client, plan)) ? '' : 'DISTINCT'} m.group_id, m.member_id FROM ${stage.members} m
       WHERE m.is_group IS NOT TRUE AND ($1::text IS NULL OR m.member_id = $1)
         AND (m.is_group IS FALSE OR NOT EXISTS (SELECT 1 FROM ${stage.tree} t WHERE t.id = m.member_id))) pairs`,
    [plan.only],
  );
  return rows[0].n;
}

interface MembershipMarks {
  counts: { staged: number; added: number; changed: number; removed: number };
  /** People who stay and whose groups change. */
  movedUsers: number;
}

/**
 * One change a membership that differs. New people bring theirs along (addUsers), gone people and groups take theirs with
 * them. A group that goes does so whoever stays in it: a removal whose own step is skipped counts for deleteGroups then.
 */
export async function markMemberships(
  client: Client,
  plan: Plan,
  changes: ChangeWriter,
  settled: boolean,
  skipped: readonly ApplyStep[],
): Promise<MembershipMarks> {
  const stage = stageTables(plan.id);
  const { connection } = plan.claim;
  if (settled) {
    const { rows } = await client.query(
      `SELECT count(*)::int AS staged FROM ${stage.members} WHERE is_group IS NOT TRUE`,
    );
    return { counts: { staged: rows[0].staged, added: 0, changed: 0, removed: 0 }, movedUsers: 0 };
  }
  await client.query(
    `CREATE TEMP TABLE moves ON COMMIT DROP AS
     SELECT coalesce(f.user_id, e.user_id) AS user_id, coalesce(f.group_id, e.group_id) AS group_id, f.is_primary AS after, e.is_primary AS before
     FROM (SELECT p.user_id, g.group_id, g.n = 1 AS is_primary
           FROM ${stage.effective} p CROSS JOIN LATERAL unnest(p.groups) WITH ORDINALITY AS g(group_id, n)
           WHERE NOT EXISTS (SELECT 1 FROM delta d WHERE d.id = p.user_id AND d.action = 'add')) f
     FULL JOIN (SELECT * FROM org.memberships WHERE connection_id = $1) e
       ON e.user_id = f.user_id AND e.group_id = f.group_id
     WHERE f.is_primary IS DISTINCT FROM e.is_primary`,
    [connection],
  );
  await analyzeStage(client, 'moves');
  const row = (action: string) =>
    `'membership', ${action}, m.user_id, m.group_id, CASE WHEN m.before IS NOT NULL THEN ARRAY[m.before::text] END,
     CASE WHEN m.after IS NOT NULL THEN ARRAY[m.after::text] END, NULL::text[]`;
  const gone = (kind: string) =>
    `EXISTS (SELECT 1 FROM org.change_rows c WHERE c.plan_id = ${plan.id} AND c.kind = '${kind}' AND c.action = 'delete' AND c.source_id = m.${kind}_id)`;
  const stays = `JOIN ${stage.users} u ON u.id = m.user_id AND u.reason IS NULL`;
  const left = (step: ApplyStep) => skipped.includes(step) && !skipped.includes('deleteGroups');
  const leftTo = (step: ApplyStep) => (left(step) ? `m.after IS NULL AND ${gone('group')}` : 'false');
  const moved = await changes.add(
    'moveUsers',
    `SELECT ${row(`CASE WHEN m.before IS NULL THEN 'add' WHEN m.after IS NULL THEN 'remove' ELSE 'edit' END`)}
     FROM moves m ${stays} WHERE NOT (${leftTo('moveUsers')}) ORDER BY m.user_id, m.group_id`,
    [],
  );
  const withUsers = await changes.add(
    'deleteUsers',
    `SELECT ${row(`'remove'`)} FROM moves m
     WHERE m.after IS NULL AND ${gone('user')} AND NOT (${leftTo('deleteUsers')}) ORDER BY m.user_id, m.group_id`,
    [],
  );
  // Whoever was handed back keeps his groups, but not one that goes.
  const withGroups = await changes.add(
    'deleteGroups',
    `SELECT ${row(`'remove'`)} FROM moves m LEFT ${stays}
     WHERE m.after IS NULL AND ${gone('group')} ${left('moveUsers') ? '' : 'AND u.id IS NULL'}
       ${left('deleteUsers') ? '' : `AND NOT ${gone('user')}`} ORDER BY m.user_id, m.group_id`,
    [],
  );
  const { rows } = await client.query(
    `SELECT (SELECT coalesce(sum(cardinality(groups)), 0) FROM org.change_rows
             WHERE plan_id = $1 AND kind = 'user' AND action = 'add')::int AS brought,
            count(DISTINCT m.user_id)::int AS users, count(*) FILTER (WHERE m.before IS NULL)::int AS added,
            count(*) FILTER (WHERE m.after IS NULL AND NOT (${leftTo('moveUsers')}))::int AS removed
     FROM moves m ${stays}`,
    [plan.id],
  );
  const r = rows[0];
  return {
    counts: {
      staged: await countTold(client, plan),
      added: r.brought + r.added,
      changed: moved - r.added - r.removed,
      removed: r.removed + withUsers + withGroups,
    },
    movedUsers: r.users,
  };
}
