import type { Pool } from './client.ts';
import type { RejectPipeline } from './rejects.ts';

/** What is known of a stream's data; see syncline.streams. */
export interface Coverage {
  stream: string;
  watermarkMs: number | null;
  coveredFromMs: number | null;
  fullMs: number | null;
  /** Row version with which an incremental pass begins. */
  version: string | number | null;
  scope: string;
  doubt: string | null;
  withheld: number;
}

const columns = `stream, extract(epoch FROM watermark)::float8 * 1000 AS "watermarkMs", extract(epoch FROM covered_from)::float8 * 1000 AS "coveredFromMs",
  extract(epoch FROM full_at)::float8 * 1000 AS "fullMs", version, scope, doubt, withheld`;

/** Null before the first pass has ended. */
export async function coverageOf(pool: Pool, connection: string, stream: string): Promise<Coverage | null> {
  const { rows } = await pool.query(
    `SELECT ${columns} FROM syncline.streams WHERE connection_id = $1 AND stream = $2`,
    [connection, stream],
  );
  return rows[0] ?? null;
}

/** What is known of each stream of a connection, by name. */
export async function coveragesByStream(pool: Pool, connection: string): Promise<Map<string, Coverage>> {
  const { rows } = await pool.query(`SELECT ${columns} FROM syncline.streams WHERE connection_id = $1`, [connection]);
  return new Map(rows.map((row) => [row.stream, row]));
}

/** A stream counts as never read whole: what changed in it since may be missing. */
export async function uncover(pool: Pool, connection: string, stream: string): Promise<void> {
  await pool.query(
    'UPDATE syncline.streams SET full_at = NULL WHERE connection_id = $1 AND stream = $2 AND full_at IS NOT NULL',
    [connection, stream],
  );
}

/** A stream as people look at it: what is known of its data, and how many of its records stand aside. */
export type StreamStanding = Omit<Coverage, 'scope' | 'version'> & { rejects: number };

/** All streams of a connection of which anything is known, by name; those whose first pass goes on have rejects at most. */
export async function coverages(
  pool: Pool,
  connection: string,
  pipeline: RejectPipeline = 'platform',
): Promise<StreamStanding[]> {
  const { rows } = await pool.query(
    `SELECT ${columns}, coalesce(r.n, 0) AS rejects
     FROM (SELECT * FROM syncline.streams WHERE connection_id = $1) s
     FULL JOIN (SELECT stream, count(*)::int AS n FROM syncline.rejects
       WHERE connection_id = $1 AND pipeline = $2 AND resolved_at IS NULL GROUP BY stream) r USING (stream)
     ORDER BY stream`,
    [connection, pipeline],
  );
  return rows.map(({ scope: _scope, version: _version, withheld, ...row }) => ({ ...row, withheld: withheld ?? 0 }));
}
