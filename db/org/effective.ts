import type { Client } from '../client.ts';
import type { Plan } from './plan.ts';
import { analyzeStage, stageTables } from './stage.ts';

/**
 * What the lists of groups told of memberships before the people are read: `held`: exactly what we hold; `placed`:
 * something else, and everybody's groups stand in the stage; `later`: it says nothing for this run.
 */
export type Seats = 'held' | 'placed' | 'later';

export interface PlacingRules {
  usersWithoutGroup: 'reject' | 'accept';
  /** True when the step addGroups is switched off: people are placed only in groups that stand already. */
  groupsStay: boolean;
  /** What `seatEarly` found when the groups were planned. */
  seats: Seats;
}

/**
 * Places the valid people in their groups, and hands back those without one.
 * @param missing living people whom the source did not bring
 * @returns true when no membership changes: then nobody is placed, for one join tells it
 */
export async function placePeople(client: Client, plan: Plan, rules: PlacingRules, missing: number): Promise<boolean> {
  const seats = await seatsOf(client, plan, rules.seats);
  if (missing === 0 && (await membershipsSettled(client, plan, rules.usersWithoutGroup, seats))) return true;
  await buildEffective(client, plan, seats, rules.groupsStay || plan.only !== null);
  if (rules.usersWithoutGroup === 'reject') await rejectGroupless(client, plan);
  return false;
}

/**
 * Compares or places members as soon as the groups are planned: the database has a second and a half of work with
 * 450,000 of them, and nothing else to do while the worker reads the people.
 */
export async function seatEarly(client: Client, plan: Plan, groupsStay: boolean): Promise<Seats> {
  const { members } = stageTables(plan.id);
  const { rowCount } = await client.query(
    `SELECT 1 FROM ${members} WHERE is_group IS NOT TRUE AND stream = 'groups' LIMIT 1`,
  );
  if (plan.only !== null || rowCount === 0) return 'later';
  if (await pairsHeld(client, plan)) return 'held';
  await placeMembers(client, plan, groupsStay, false);
  return 'placed';
}

/** `later` where people brought groups too, or where no member turned out to be a person of this pass. */
async function seatsOf(client: Client, plan: Plan, early: Seats): Promise<Seats> {
  const stage = stageTables(plan.id);
  const { rows } = await client.query(
    `SELECT (SELECT members FROM org.stages WHERE plan_id = $1 AND stream = 'users') = 0
        AND ($2 <> 'placed' OR EXISTS (
          SELECT 1 FROM ${stage.members} m JOIN ${stage.users} u ON u.id = m.member_id WHERE m.is_group IS NOT TRUE)) AS holds`,
    [plan.id, early],
  );
  return rows[0].holds ? early : 'later';
}

/** True when what the source told is exactly what we hold, nobody is handed back and nothing is parked: then nothing moves. */
async function membershipsSettled(
  client: Client,
  plan: Plan,
  usersWithoutGroup: 'reject' | 'accept',
  seats: Seats,
): Promise<boolean> {
  if (plan.only !== null || seats === 'placed') return false;
  const stage = stageTables(plan.id);
  const { rows } = await client.query(
    `SELECT NOT EXISTS (SELECT 1 FROM delta WHERE action = 'add')
        AND NOT EXISTS (SELECT 1 FROM ${stage.users} WHERE reason IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM ${stage.tree} WHERE reason IS NOT NULL)
        AND ($2 = 'accept' OR (SELECT count(*) FROM ${stage.users}) = (SELECT count(*) FROM org.memberships WHERE connection_id = $1 AND is_primary))
        AS calm`,
    [plan.claim.connection, usersWithoutGroup],
  );
  return rows[0].calm && (seats === 'held' || (await pairsHeld(client, plan)));
}

/** True when the pairs of group and member that the source told are those we hold, and the primary ones too. */
async function pairsHeld(client: Client, plan: Plan): Promise<boolean> {
  const stage = stageTables(plan.id);
  const { rowCount } = await client.query(
    `SELECT 1 FROM (SELECT * FROM ${stage.members} WHERE is_group IS NOT TRUE) m
     FULL JOIN (SELECT * FROM org.memberships WHERE connection_id = $1) e ON e.user_id = m.member_id AND e.group_id = m.group_id
     WHERE m.group_id IS NULL OR e.group_id IS NULL OR (m.is_primary AND NOT e.is_primary) LIMIT 1`,
    [plan.claim.connection],
  );
  return rowCount === 0;
}

/**
 * The groups each valid person shall have: those the source told, where they are valid, and those we hold in groups the
 * source told nothing about (parked, without a member list, or missing without proof). Member lists that are empty for
 * every group while we hold members were not read. One row a person; the first group is the primary one: the source's
 * word, else the one we hold, else the smallest id.
 */
async function buildEffective(client: Client, plan: Plan, seats: Seats, standingOnly: boolean): Promise<void> {
  if (seats !== 'placed') return placeMembers(client, plan, standingOnly, true);
  const { users, effective } = stageTables(plan.id);
  await client.query(
    `DELETE FROM ${effective} f WHERE NOT EXISTS (SELECT 1 FROM ${users} u WHERE u.id = f.user_id AND u.reason IS NULL)`,
  );
}

/** @param known whether the people are read: those who cannot be placed are left out then */
async function placeMembers(client: Client, plan: Plan, standingOnly: boolean, known: boolean): Promise<void> {
  const stage = stageTables(plan.id);
  const { connection } = plan.claim;
  await client.query(`DROP TABLE IF EXISTS ${stage.effective}`);
  await client.query(
    `CREATE UNLOGGED TABLE ${stage.effective} (user_id text COLLATE "C" NOT NULL, groups text[] NOT NULL)`,
  );
  const once = await pairsComeOnce(client, plan);
  // A run that writes no groups (one person, or addGroups switched off) places people only in those that stand already.
  const standing = standingOnly
    ? 'JOIN org.groups s ON s.connection_id = $1 AND s.id = g.id AND s.deleted_at IS NULL'
    : '';
  const people = (id: string) => (known ? `JOIN ${stage.users} u ON u.id = ${id} AND u.reason IS NULL` : '');
  await client.query(
    `WITH anyone AS (
       SELECT ${known ? anyoneTold(plan) : `EXISTS (SELECT 1 FROM ${stage.members} m WHERE m.is_group IS NOT TRUE)`} AS told),
     silent AS (
       SELECT o.id FROM org.groups o LEFT JOIN ${stage.tree} t ON t.id = o.id, anyone
       WHERE o.connection_id = $1 AND o.deleted_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM org.change_rows c
           WHERE c.plan_id = $2 AND c.kind = 'group' AND c.action = 'delete' AND c.source_id = o.id)
         AND (t.id IS NULL OR t.depth IS NULL OR NOT t.members_read OR NOT anyone.told)),
     told AS (
       SELECT m.member_id AS user_id, m.group_id, ${once ? 'm.is_primary' : 'bool_or(m.is_primary) AS is_primary'}
       FROM ${stage.members} m JOIN ${stage.tree} g ON g.id = m.group_id AND g.depth IS NOT NULL ${standing}
       ${people('m.member_id')}
       WHERE m.is_group IS NOT TRUE ${once ? '' : 'GROUP BY 1, 2'}
       UNION ALL
       SELECT e.user_id, e.group_id, false FROM silent s
       JOIN org.memberships e ON e.connection_id = $1 AND e.group_id = s.id
       ${people('e.user_id')}
       WHERE NOT EXISTS (SELECT 1 FROM ${stage.members} m JOIN ${stage.tree} g ON g.id = m.group_id AND g.depth IS NOT NULL
         WHERE m.group_id = e.group_id AND m.member_id = e.user_id AND m.is_group IS NOT TRUE))
     INSERT INTO ${stage.effective}
     SELECT t.user_id, array_agg(t.group_id ORDER BY t.is_primary DESC, coalesce(e.is_primary, false) DESC, t.group_id)
     FROM told t LEFT JOIN org.memberships e ON e.connection_id = $1 AND e.user_id = t.user_id AND e.group_id = t.group_id
     GROUP BY t.user_id`,
    [connection, plan.id],
  );
  await analyzeStage(client, stage.effective);
}

/** Whether a member list names a person of the pass; a run of one person reads no others, so whom we hold will do. */
export function anyoneTold(plan: Plan): string {
  const { members, users } = stageTables(plan.id);
  const held = `SELECT 1 FROM org.users o JOIN org.plans p ON p.id = ${plan.id} AND p.connection_id = o.connection_id
    WHERE o.id = m.member_id AND o.deleted_at IS NULL`;
  return `EXISTS (SELECT 1 FROM ${members} m LEFT JOIN ${users} u ON u.id = m.member_id
    WHERE m.is_group IS NOT TRUE AND (u.id IS NOT NULL ${plan.only === null ? '' : `OR EXISTS (${held})`}))`;
}

/** A pair of group and member can stand in the stage twice only when a group came twice, or when people tell groups too. */
export async function pairsComeOnce(client: Client, plan: Plan): Promise<boolean> {
  const stage = stageTables(plan.id);
  const { rows } = await client.query(
    `SELECT (SELECT rows FROM org.stages WHERE plan_id = $1 AND stream = 'groups') = (SELECT count(*) FROM ${stage.tree})
        AND (SELECT members FROM org.stages WHERE plan_id = $1 AND stream = 'users') = 0 AS once`,
    [plan.id],
  );
  return rows[0].once;
}

/** People in no valid group are handed back; who is with us already stays as he is. */
async function rejectGroupless(client: Client, plan: Plan): Promise<void> {
  const stage = stageTables(plan.id);
  const { rows } = await client.query(
    `SELECT (SELECT count(*) FROM ${stage.users} WHERE reason IS NULL) = (SELECT count(*) FROM ${stage.effective}) AS all_seated`,
  );
  if (rows[0].all_seated) return;
  await client.query(`
    UPDATE ${stage.users} u SET reason = 'no_group', field = 'groups', record = to_jsonb(u)::text
    WHERE u.reason IS NULL AND NOT EXISTS (SELECT 1 FROM ${stage.effective} e WHERE e.user_id = u.id)`);
}
