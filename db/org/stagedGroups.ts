import type { Pool } from '../client.ts';
import { StageLost, stageTables } from './stage.ts';

/**
 * Ids of the groups in a plan's stage behind `after`, in order of ids; without those that the source let nobody see.
 * @throws StageLost
 */
export async function groupIds(pool: Pool, planId: number, after: string, most: number): Promise<string[]> {
  const { groups } = stageTables(planId);
  return idsOf(
    pool,
    planId,
    `SELECT DISTINCT id FROM ${groups} WHERE id > $2 AND reason IS DISTINCT FROM 'out_of_scope' ORDER BY id LIMIT $3`,
    [after, most],
  );
}

/**
 * The same of one level of the tree; level 1 has no parent. A group that came under two parents counts on its upper level,
 * so that each is given once however the tree moves meanwhile.
 * @throws StageLost
 */
export async function levelIds(
  pool: Pool,
  planId: number,
  level: number,
  after: string,
  most: number,
): Promise<string[]> {
  const { groups } = stageTables(planId);
  return idsOf(
    pool,
    planId,
    `WITH RECURSIVE walk AS (
       SELECT id, 1 AS level FROM ${groups} WHERE parent_id IS NULL
       UNION
       SELECT c.id, w.level + 1 FROM walk w JOIN ${groups} c ON c.parent_id = w.id WHERE w.level < $4)
     SELECT id FROM walk GROUP BY id HAVING min(level) = $4 AND id > $2 ORDER BY id LIMIT $3`,
    [after, most, level],
  );
}

/** Different groups in a plan's stage. @throws StageLost */
export async function countGroups(pool: Pool, planId: number): Promise<number> {
  const { groups } = stageTables(planId);
  const [count] = await idsOf(pool, planId, `SELECT count(DISTINCT id)::int AS id FROM ${groups}`, []);
  return Number(count);
}

/** Runs a query over the stage that `$1` names, and in the same snapshot makes sure that nothing of it was lost. */
async function idsOf(pool: Pool, planId: number, query: string, values: unknown[]): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT s.rows, (SELECT count(*) FROM ${stageTables(planId).groups})::int AS found,
            ARRAY(SELECT id::text FROM (${query}) q) AS ids
     FROM org.stages s WHERE s.plan_id = $1 AND s.stream = 'groups'`,
    [planId, ...values],
  );
  const read = rows[0];
  if (!read) throw new StageLost(planId, 'it has no state for groups');
  if (read.rows !== read.found) throw new StageLost(planId, `groups: ${read.found} of ${read.rows} rows are there`);
  return read.ids;
}
