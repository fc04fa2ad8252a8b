import type { Client, Pool } from '../client.ts';
import type { ApplyStep, Plan, PlanOfClaim } from './plan.ts';

/** Changes that stand in the tables, by step. */
export type Written = Partial<Record<ApplyStep, number>>;

/**
 * Counts what of a plan stands in the tables: rows that carry its number, and memberships it was to remove that are
 * gone. Asked when a plan ends before its last step: its slices may have committed more than they could tell.
 */
export async function countWritten(client: Client, plan: PlanOfClaim): Promise<Written> {
  const { rows } = await client.query<{ step: ApplyStep; n: number }>(
    `SELECT c.step, count(*)::int AS n FROM org.change_rows c
     LEFT JOIN org.users u ON c.kind = 'user' AND u.connection_id = $2 AND u.id = c.source_id AND u.generation = $1
     LEFT JOIN org.groups g ON c.kind = 'group' AND g.connection_id = $2 AND g.id = c.source_id AND g.generation = $1
     LEFT JOIN org.memberships m ON c.kind = 'membership' AND m.connection_id = $2 AND m.user_id = c.source_id AND m.group_id = c.group_id
     WHERE c.plan_id = $1 AND CASE c.kind WHEN 'user' THEN u.id IS NOT NULL WHEN 'group' THEN g.id IS NOT NULL
       ELSE CASE c.action WHEN 'remove' THEN m.user_id IS NULL ELSE coalesce(m.generation = $1, false) END END
     GROUP BY 1`,
    [plan.id, plan.claim.connection],
  );
  return Object.fromEntries(rows.map(({ step, n }) => [step, n]));
}

/** What a failure may say of the tables: an attempt of the same run may have written before this one. */
export async function untouched(pool: Pool, plan: Plan, done: 'changed' | 'written'): Promise<string> {
  const { rowCount } = await pool.query(
    `SELECT 1 FROM org.plans p JOIN org.plans own ON own.id = $1 AND own.run_id = p.run_id
     WHERE p.id <> $1 AND p.connection_id = $2 AND p.written <> '{}'`,
    [plan.id, plan.claim.connection],
  );
  return rowCount ? `nothing more was ${done}` : `nothing was ${done}`;
}

/**
 * Gives people the names back that `releaseNames` took from them for edits that no longer come, unless somebody holds
 * them meanwhile.
 */
export async function returnNames(client: Client, plan: PlanOfClaim): Promise<void> {
  await client.query(
    `UPDATE org.users u SET user_name_key = lower(u.user_name)
     FROM (SELECT DISTINCT ON (lower(user_name)) id FROM org.users
           WHERE connection_id = $1 AND user_name_key IS NULL AND deleted_at IS NULL ORDER BY lower(user_name), id) r
     WHERE u.connection_id = $1 AND u.id = r.id
       AND NOT EXISTS (SELECT 1 FROM org.users o WHERE o.tenant = u.tenant AND o.user_name_key = lower(u.user_name))`,
    [plan.claim.connection],
  );
}
