import type { Client, Pool } from '../client.ts';
import { type StreamTable, sqlName } from '../streams.ts';

/** What is known of a row before an event is applied to it. */
export interface Standing {
  id: string;
  /** ms; see activities/stripe/version.ts. */
  timeMs: number | null;
  /** When the request began that brought it, our clock, ms. */
  readMs: number;
  deleted: boolean;
}

/** Rows of these ids, those that there are. */
export async function standingsOf(
  pool: Pool | Client,
  table: StreamTable,
  connection: string,
  ids: readonly string[],
): Promise<Map<string, Standing>> {
  if (ids.length === 0) return new Map();
  const { rows } = await pool.query(
    `SELECT id, round(extract(epoch FROM source_time) * 1000)::float8 AS "timeMs",
       round(extract(epoch FROM synced_at) * 1000)::float8 AS "readMs", deleted_at IS NOT NULL AS deleted
     FROM ${sqlName(table)} WHERE connection_id = $1 AND id = ANY($2)`,
    [connection, ids],
  );
  return new Map(rows.map((r) => [r.id, r]));
}

/** A parent whose list was read whole, at its version. */
export interface WholeList {
  parent: string;
  timeMs: number;
  readMs: number;
}

/**
 * Items that are missing from a list that was read whole are marked deleted, unless they came by a newer state of the parent.
 * @param kept keys (`parent/item`) of the items that came
 */
export async function dropMissingItems(
  client: Client,
  table: StreamTable,
  connection: string,
  generation: number,
  lists: readonly WholeList[],
  kept: readonly string[],
): Promise<number> {
  if (lists.length === 0) return 0;
  const { rowCount } = await client.query(
    `UPDATE ${sqlName(table)} t SET deleted_at = to_timestamp((l->>'readMs')::float8 / 1000), source_time = to_timestamp((l->>'timeMs')::float8 / 1000), generation = $2
     FROM jsonb_array_elements($3::jsonb) l
     WHERE t.connection_id = $1 AND t.parent_id = l->>'parent' AND t.deleted_at IS NULL
       AND (t.source_time IS NULL OR t.source_time <= to_timestamp((l->>'timeMs')::float8 / 1000)) AND t.id <> ALL($4)`,
    [connection, generation, JSON.stringify(lists), kept],
  );
  return rowCount ?? 0;
}

/** Ids of living rows behind `after`, in their order. */
export async function livingIds(
  pool: Pool,
  table: StreamTable,
  connection: string,
  after: string,
  limit: number,
  where = 'true',
): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT id FROM ${sqlName(table)} WHERE connection_id = $1 AND deleted_at IS NULL AND id > $2 AND ${where} ORDER BY id LIMIT $3`,
    [connection, after, limit],
  );
  return rows.map((r) => r.id);
}

/** Living subscriptions of customers, by customer. */
export async function subscriptionsByCustomer(
  pool: Pool,
  connection: string,
  customers: readonly string[],
): Promise<Map<string, string[]>> {
  if (customers.length === 0) return new Map();
  const { rows } = await pool.query(
    `SELECT customer, array_agg(id) AS ids FROM stripe.subscriptions
     WHERE connection_id = $1 AND deleted_at IS NULL AND customer = ANY($2) GROUP BY 1`,
    [connection, customers],
  );
  return new Map(rows.map((r) => [r.customer, r.ids]));
}
