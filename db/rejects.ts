import type { Claim } from './claims.ts';
import type { Client, Pool } from './client.ts';

/** Pipelines whose records stand aside one by one. */
export type RejectPipeline = 'platform' | 'stripe' | 'hubspot';

/** Where records of one list stand aside. */
export interface RejectPlace {
  connection: string;
  pipeline: RejectPipeline;
  stream: string;
}

/** A claim may be for one stream of a pipeline (`platform/orders`); rejects are kept under the pipeline. */
export const rejectPipeline = (claim: Claim) => claim.pipeline.split('/')[0] as RejectPipeline;

/** Where the records of a list stand aside that a claim reads. */
export const rejectPlace = (claim: Claim, stream: string): RejectPlace => ({
  connection: claim.connection,
  pipeline: rejectPipeline(claim),
  stream,
});

/** A record that was set aside. */
export interface RejectRow {
  id: string;
  reason: string;
  field: string | null;
  record: string;
  position: string | null;
}

/** Keeps records that could not be written, one row each; a record that is met again is refreshed. */
export async function setAside(
  client: Client,
  claim: Claim,
  stream: string,
  rows: readonly RejectRow[],
): Promise<void> {
  if (rows.length === 0) return;
  await client.query(
    `INSERT INTO syncline.rejects AS r (connection_id, pipeline, stream, source_id, reason, field, record, position, epoch)
     SELECT DISTINCT ON (f->>'id') $1, $5, $2, f->>'id', f->>'reason', f->>'field', f->>'record', f->>'position', $3
     FROM unnest($4::text[]) AS t(one), LATERAL (SELECT one::json AS f) x ORDER BY f->>'id'
     ON CONFLICT (connection_id, pipeline, stream, source_id) DO UPDATE SET reason = excluded.reason, field = excluded.field,
       record = excluded.record, position = excluded.position, epoch = excluded.epoch, last_seen = now(), resolved_at = NULL`,
    [claim.connection, stream, claim.epoch, rows.map((row) => JSON.stringify(row)), rejectPipeline(claim)],
  );
}

/** Rejects of records that have landed since are settled. */
export async function settle(
  client: Client,
  { connection, pipeline, stream }: RejectPlace,
  ids: readonly string[],
): Promise<void> {
  await client.query(
    `UPDATE syncline.rejects SET resolved_at = now() WHERE connection_id = $1 AND pipeline = $4 AND stream = $2
       AND resolved_at IS NULL AND source_id = ANY($3)`,
    [connection, stream, ids, pipeline],
  );
}

/** True while some record of the stream stands aside: only then is a landing worth the look. */
export async function hasOpen(pool: Pool, { connection, pipeline, stream }: RejectPlace): Promise<boolean> {
  const { rows } = await pool.query(
    `SELECT EXISTS (SELECT 1 FROM syncline.rejects WHERE connection_id = $1 AND pipeline = $3 AND stream = $2 AND resolved_at IS NULL) AS open`,
    [connection, stream, pipeline],
  );
  return rows[0].open;
}

/** Records that stand aside, by id behind `after`, for replay. Ids that the platform refused have none. */
export async function openRejects(
  pool: Pool,
  connection: string,
  stream: string,
  after: string,
  limit: number,
): Promise<{ id: string; record: string; position: string; seenMs: number }[]> {
  const { rows } = await pool.query(
    `SELECT source_id AS id, record, coalesce(position, '') AS position, extract(epoch FROM last_seen)::float8 * 1000 AS "seenMs"
     FROM syncline.rejects WHERE connection_id = $1 AND pipeline = 'platform' AND stream = $2 AND resolved_at IS NULL
       AND record IS NOT NULL AND reason <> 'refused' AND source_id > $3 ORDER BY source_id LIMIT $4`,
    [connection, stream, after, limit],
  );
  return rows;
}
