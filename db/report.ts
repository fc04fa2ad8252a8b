import type { Execution } from './claims.ts';
import type { Client, Pool } from './client.ts';
import type { RejectPipeline } from './rejects.ts';

/** Read-only questions of people that every pipeline answers alike. */

/** Run that holds, or held last, a claim of a connection. */
export interface Holder extends Execution {
  /** `org`, or `platform/<stream>`. */
  pipeline: string;
}

/** Holders of all claims of a connection, whatever ids their runs were started under. */
export async function readHolders(pool: Pool | Client, connection: string): Promise<Holder[]> {
  const { rows } = await pool.query(
    `SELECT pipeline, workflow_id AS "workflowId", run_id AS "runId" FROM syncline.claims WHERE connection_id = $1 ORDER BY pipeline`,
    [connection],
  );
  return rows;
}

export interface HandedBack {
  id: number;
  connection: string;
  pipeline: 'org' | RejectPipeline;
  stream: string;
  sourceId: string;
  reason: string;
  field: string | null;
  position: string | null;
  firstSeen: Date;
  lastSeen: Date;
  /** When it was repaired or accepted; null while it stands. */
  resolvedAt: Date | null;
  /** The raw record, only when asked for: it is personal data. */
  record?: string | null;
}

export interface HandedBackFilter {
  connection?: string;
  pipeline?: HandedBack['pipeline'];
  stream?: string;
  /** True: records without an id that a person has accepted, in place of those that stand aside. Default false. */
  accepted?: boolean;
  limit: number;
}

/** Records handed back and not repaired yet, the latest first, and how many there are in all. */
export async function listRejects(
  pool: Pool,
  filter: HandedBackFilter & { records: boolean },
): Promise<{ rows: HandedBack[]; total: number }> {
  const where = `${filter.accepted ? 'accepted_at IS NOT NULL' : 'resolved_at IS NULL'} AND ($1::text IS NULL OR connection_id = $1) AND ($2::text IS NULL OR stream = $2) AND ($3::text IS NULL OR pipeline = $3)`;
  const values = [filter.connection ?? null, filter.stream ?? null, filter.pipeline ?? null];
  const { rows } = await pool.query(
    `SELECT id::int, connection_id AS connection, pipeline, stream, source_id AS "sourceId", reason, field, position,
            first_seen AS "firstSeen", last_seen AS "lastSeen", resolved_at AS "resolvedAt" ${filter.records ? ', record' : ''}
     FROM syncline.rejects WHERE ${where} ORDER BY last_seen DESC, rejects.id LIMIT $4`,
    [...values, filter.limit],
  );
  const total = await pool.query(`SELECT count(*)::int AS n FROM syncline.rejects WHERE ${where}`, values);
  return { rows, total: total.rows[0].n };
}
