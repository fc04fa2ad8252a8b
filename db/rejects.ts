import { createHash } from 'node:crypto';
import type { Claim } from './claims.ts';
import type { Client, Pool } from './client.ts';

/**
 * Reasons for which orgSync hands back a record whatever the others are:
 * - missing_field: id, userName or group name absent, null or empty
 * - wrong_type: an object or list where text belongs; of active: neither true nor false, also as text
 * - too_long: longer than connectors/directory.ts allows
 * - control_character: U+0000–U+001F, U+007F–U+009F or half a surrogate pair; Postgres cannot store U+0000
 * - bad_mail: no `local@domain`
 * - out_of_scope: missing from the list, and the direct read of it is refused or fails: nobody knows whether it still exists
 */
export const recordReasons = [
  'missing_field',
  'wrong_type',
  'too_long',
  'control_character',
  'bad_mail',
  'out_of_scope',
] as const;
export type RecordReason = (typeof recordReasons)[number];

/** Reasons that show only in the whole directory; SQL in db/org/ finds them. */
export const directoryReasons = [
  'duplicate_id',
  'duplicate_name',
  'no_group',
  'orphan_parent',
  'several_parents',
  'cycle',
  'below_cycle',
  'too_deep',
  'parent_parked',
  'dangling_member',
] as const;
export type OrgReason = RecordReason | (typeof directoryReasons)[number];

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

const nobody = 'no id ';

/** Under what a record without an id is kept: the same record has the same name, wherever it stands. */
export const nameOfNobody = (record: string) =>
  nobody + createHash('sha256').update(record).digest('base64url').slice(0, 16);

/** Keeps records that could not be written, one row each; a record that is met again is refreshed, one that had landed stands aside anew. */
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
       record = excluded.record, position = excluded.position, epoch = excluded.epoch, last_seen = now(),
       first_seen = CASE WHEN r.resolved_at IS NULL OR r.accepted_at IS NOT NULL THEN r.first_seen ELSE now() END,
       resolved_at = CASE WHEN r.accepted_at IS NULL THEN NULL ELSE r.resolved_at END`,
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

/** What landed so long ago, or went away at the source, is nobody's work any more, and its record may be personal. */
const settledDays = 30;

/** Deletes settled rejects once they are a month old; what a person has accepted stays, so that it is not told anew. */
export async function forgetSettled(pool: Pool, { connection, pipeline }: Claim): Promise<void> {
  await pool.query(
    `DELETE FROM syncline.rejects WHERE connection_id = $1 AND pipeline = $2 AND accepted_at IS NULL
       AND resolved_at < now() - make_interval(days => $3)`,
    [connection, pipeline.split('/')[0], settledDays],
  );
}

export interface KnownRejects {
  /** Some record of the stream stands aside: only then is a landing worth the look. */
  open: boolean;
  /** Names of records without an id that a person has accepted. */
  accepted: ReadonlySet<string>;
}

export async function knownRejects(pool: Pool, { connection, pipeline, stream }: RejectPlace): Promise<KnownRejects> {
  const { rows } = await pool.query(
    `SELECT coalesce(bool_or(resolved_at IS NULL), false) AS open,
       coalesce(array_agg(source_id) FILTER (WHERE accepted_at IS NOT NULL), '{}') AS accepted
     FROM syncline.rejects WHERE connection_id = $1 AND pipeline = $3 AND stream = $2 AND (resolved_at IS NULL OR accepted_at IS NOT NULL)`,
    [connection, stream, pipeline],
  );
  return { open: rows[0].open, accepted: new Set(rows[0].accepted) };
}

/**
 * Settles a record without an id, or takes that back.
 * @returns its stream; null where the connection has no such record of that number
 */
export async function acceptNobody(
  pool: Pool,
  connection: string,
  id: number,
  accepted: boolean,
): Promise<string | null> {
  const moment = accepted ? 'now()' : 'NULL';
  const { rows } = await pool.query(
    `UPDATE syncline.rejects SET accepted_at = ${moment}, resolved_at = ${moment}
     WHERE connection_id = $1 AND pipeline = 'platform' AND id = $2 AND starts_with(source_id, $3) AND (accepted_at IS NULL) = $4
     RETURNING stream`,
    [connection, id, nobody, accepted],
  );
  return rows[0]?.stream ?? null;
}

/** Numbers of records without an id that can be accepted, or whose acceptance can be taken back; the latest 20. */
export async function nobodies(pool: Pool, connection: string, accepted: boolean): Promise<number[]> {
  const { rows } = await pool.query(
    `SELECT id::int FROM syncline.rejects WHERE connection_id = $1 AND pipeline = 'platform' AND starts_with(source_id, $2)
       AND CASE WHEN $3 THEN accepted_at IS NOT NULL ELSE resolved_at IS NULL END ORDER BY last_seen DESC LIMIT 20`,
    [connection, nobody, accepted],
  );
  return rows.map((row) => row.id);
}

/** Whether a reject is a record without an id. */
export const isNobody = (sourceId: string) => sourceId.startsWith(nobody);

/** Reasons of ids that were asked for, and of which no record came. */
const recordless = ['refused', 'left_out'];

/** Whether a reject of an open platform holds a record that can be tried again. */
export const hasRecord = (reason: string) => !recordless.includes(reason);

/** Records that stand aside, by id behind `after`, for replay. */
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
       AND record IS NOT NULL AND reason <> ALL ($5) AND source_id > $3 ORDER BY source_id LIMIT $4`,
    [connection, stream, after, limit, recordless],
  );
  return rows;
}
