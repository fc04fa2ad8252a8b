import type { Pool } from '../client.ts';

/** An object that the source failed to show, as `syncline.rejects` keeps it. */
export interface Unread {
  /** Resource, or `upcoming_invoices`. */
  stream: string;
  id: string;
  becauseMs: number;
  later: boolean;
  /** Between the first time and the last, and since the last. */
  stoodMs: number;
  agoMs: number;
}

/** Objects of a connection that are still to be read. */
export async function unreadObjects(pool: Pool, connection: string): Promise<Unread[]> {
  const { rows } = await pool.query(
    `SELECT stream, source_id AS id, (record::json->>'becauseMs')::float8 AS "becauseMs", (record::json->>'later')::boolean AS later,
       extract(epoch FROM last_seen - first_seen)::float8 * 1000 AS "stoodMs",
       extract(epoch FROM now() - last_seen)::float8 * 1000 AS "agoMs"
     FROM syncline.rejects WHERE connection_id = $1 AND pipeline = 'stripe' AND reason = 'unread' AND resolved_at IS NULL`,
    [connection],
  );
  return rows;
}
