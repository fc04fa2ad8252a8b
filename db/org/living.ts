import type { Client, Pool } from '../client.ts';
import { knowRows } from '../statistics.ts';
import type { Plan } from './plan.ts';
import { type ReadEnd, stageTables } from './stage.ts';
import type { Stream } from './stageRows.ts';

const table: Record<Stream, string> = { groups: 'org.groups', users: 'org.users' };

/** Rows of the connection that are not deleted. */
export async function livingRows(pool: Pool, connection: string, stream: Stream): Promise<number> {
  const { rows } = await pool.query(
    `SELECT count(*)::int AS n FROM ${table[stream]} WHERE connection_id = $1 AND deleted_at IS NULL`,
    [connection],
  );
  return rows[0].n;
}

/** Whether there is one: cheaper than their number where that is not told. */
export async function anyLiving(pool: Pool, connection: string, stream: Stream): Promise<boolean> {
  const { rowCount } = await pool.query(
    `SELECT 1 FROM ${table[stream]} WHERE connection_id = $1 AND deleted_at IS NULL LIMIT 1`,
    [connection],
  );
  return rowCount === 1;
}

/** Ids of living rows that the stage does not hold, at most `most` + 1 of them: by lot, so that a few speak for all. */
export async function missingIds(pool: Pool, plan: Plan, stream: Stream, most: number): Promise<string[]> {
  await knowRows(pool, table[stream], { connection_id: plan.claim.connection });
  const stage = stageTables(plan.id)[stream];
  // Materialized: with the LIMIT in sight the planner tried nested loops, for minutes.
  const { rows } = await pool.query(
    `WITH gone AS MATERIALIZED (
       SELECT o.id FROM ${table[stream]} o LEFT JOIN ${stage} s ON s.id = o.id
       WHERE o.connection_id = $1 AND o.deleted_at IS NULL AND s.id IS NULL)
     SELECT id FROM gone ORDER BY random() LIMIT $2`,
    [plan.claim.connection, most + 1],
  );
  return rows.map((r) => r.id);
}

/** Ids that the list of this pass has shown last, at most `most` of them; records that are handed back do not count. */
export async function shownIds(pool: Pool, plan: Plan, stream: Stream, most: number): Promise<string[]> {
  // The last ones had the least time to go meanwhile.
  const { rows } = await pool.query(
    `SELECT id FROM ${stageTables(plan.id)[stream]} WHERE reason IS NULL ORDER BY ctid DESC LIMIT $1`,
    [most],
  );
  return rows.map((r) => r.id);
}

/** Ids of living people of the connection but this one, at most `most` of them. */
export async function otherPeople(pool: Pool, connection: string, except: string, most: number): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT id FROM org.users WHERE connection_id = $1 AND id <> $2 AND deleted_at IS NULL ORDER BY id LIMIT $3`,
    [connection, except, most],
  );
  return rows.map((r) => r.id);
}

/** Whether we hold this person of the connection, living or deleted. */
export async function holdsPerson(pool: Pool, connection: string, id: string): Promise<boolean> {
  const { rowCount } = await pool.query('SELECT 1 FROM org.users WHERE connection_id = $1 AND id = $2', [
    connection,
    id,
  ]);
  return rowCount === 1;
}

/**
 * Why the read of a list proves nothing about who is missing, or null when it does. A person missing without proof stays.
 * @param ids different ids in the stage, where they are known already
 */
export async function doubtOf(
  client: Client | Pool,
  planId: number,
  stream: Stream,
  ids?: number,
): Promise<string | null> {
  const { rows } = await client.query('SELECT ended, unkeyed FROM org.stages WHERE plan_id = $1 AND stream = $2', [
    planId,
    stream,
  ]);
  const { ended, unkeyed } = rows[0] as { ended: ReadEnd | null; unkeyed: number };
  if (!ended) return 'the list was not read to its end';
  if (ended.doubt) return ended.doubt;
  if (unkeyed > 0) return `${unkeyed} records came without a usable id, and nobody can tell who they are`;
  if (ids !== undefined && ended.lastTotal !== null && ids < ended.lastTotal)
    return `${ids} different rows came of ${ended.lastTotal}`;
  return null;
}

/** What people are told of a list that proves nothing about who is missing. */
export function describeDoubt(list: Stream, withheld: number, doubt: string | null): string[] {
  if (doubt === null) return [];
  if (withheld > 0) return [`${withheld} ${list} are missing at the source and stay: ${doubt}`];
  return [`whoever goes missing among the ${list} would stay: ${doubt}`];
}

/** Records of a list that came without a usable id. */
export async function unkeyedOf(client: Client | Pool, planId: number, stream: Stream): Promise<number> {
  const { rows } = await client.query('SELECT unkeyed FROM org.stages WHERE plan_id = $1 AND stream = $2', [
    planId,
    stream,
  ]);
  return rows[0].unkeyed;
}
