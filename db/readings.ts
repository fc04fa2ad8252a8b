import type { Pool } from './client.ts';
import type { PassKind } from './passes.ts';

/** How far an open pass is, from what is committed: it moves with every batch of rows, whoever reads and whoever looks. */
export interface Reading {
  stream: string;
  kind: PassKind;
  /** Parts that are read, and all there are so far. */
  done: number;
  slices: number;
  rows: number;
  written: number;
  rejected: number;
  requests: number;
  /** Length of the range, and of what is read of it, ms; 0 without a window. */
  spanMs: number;
  coveredMs: number;
  /** Rows that open parts have and will have, of those whose source tells; 0 where none does. */
  known: { parts: number; read: number; total: number };
}

/** The open passes of a connection, of one stream or of all. A pass that nobody reads was left open by a run that ended early. */
export async function openReadings(pool: Pool, connection: string, stream: string | null = null): Promise<Reading[]> {
  const { rows } = await pool.query(
    `SELECT p.stream, p.kind, p.span AS "spanMs", p.span - s.left AS "coveredMs", s.done, s.slices, s.rows, s.written, s.rejected,
       s.requests, json_build_object('parts', s.parts, 'read', s.read, 'total', s.total) AS known
     FROM (SELECT id, stream, kind, coalesce(extract(epoch FROM to_time - from_time)::float8 * 1000, 0) AS span
       FROM syncline.passes WHERE connection_id = $1 AND ended_at IS NULL AND ($2::text IS NULL OR stream = $2)) p
     CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE done)::int AS done, count(*)::int AS slices, coalesce(sum(rows), 0)::int AS rows,
         coalesce(sum(written), 0)::int AS written, coalesce(sum(rejected), 0)::int AS rejected, coalesce(sum(requests), 0)::int AS requests,
         -- What is not done is the rest of the range, whether a part was split or not.
         coalesce(sum((to_ms - from_ms) * (1 - ${share})) FILTER (WHERE NOT done), 0)::float8 AS left,
         count(*) FILTER (WHERE NOT done AND total IS NOT NULL)::int AS parts,
         coalesce(sum(least(rows, total)) FILTER (WHERE NOT done), 0)::int AS read,
         coalesce(sum(total) FILTER (WHERE NOT done), 0)::int AS total
       FROM syncline.slices WHERE pass_id = p.id) s
     ORDER BY p.id`,
    [connection, stream],
  );
  return rows;
}

/** Of an open part whose source tells how many rows it holds. */
const share = 'coalesce(least(1, rows::float8 / nullif(total, 0)), 0)';

/** What the parts of a pass that are done brought. */
export type DoneSums = Pick<Reading, 'done' | 'rows' | 'written' | 'rejected' | 'requests' | 'coveredMs'>;

/** @param spanMs length of the pass's range, 0 without one */
export async function doneSums(pool: Pool, passId: number, spanMs: number): Promise<DoneSums> {
  const { rows } = await pool.query(
    `SELECT count(*) FILTER (WHERE done)::int AS done, coalesce(sum(rows) FILTER (WHERE done), 0)::int AS rows,
       coalesce(sum(written) FILTER (WHERE done), 0)::int AS written, coalesce(sum(rejected) FILTER (WHERE done), 0)::int AS rejected,
       coalesce(sum(requests) FILTER (WHERE done), 0)::int AS requests,
       $2::float8 - coalesce(sum(to_ms - from_ms) FILTER (WHERE NOT done), 0)::float8 AS "coveredMs"
     FROM syncline.slices WHERE pass_id = $1`,
    [passId, spanMs],
  );
  return rows[0];
}
