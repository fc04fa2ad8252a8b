import pg from 'pg';
import { type CaptureMapping, quoted } from '../capture/probe.ts';
import type { Pool } from '../client.ts';

/** Data exceptions, several rows from a subquery, constraints, errors raised by functions: of one row's values, whatever the others do. */
const ofValues = /^(21|22|23|P0)/;
/**
 * Of no row: of the server, a connection, a lock or a limit of time, so that the same statement passes a moment later; and
 * collations that meet, which Postgres finds where it compares the first values.
 */
const ofNobody = /^(08|40|53|55006|55P03|57|58|42P21|42P22)/;

/** A statement over many rows failed, and one of them may be why. */
export interface RowFault {
  code: string;
  /** True: it is a row. False: a row or the statement: `u.path::jsonpath` ends with 42601, and a table that is gone with 42P01. */
  sure: boolean;
}

/** Null where no row is to blame. */
export function rowFault(error: unknown): RowFault | null {
  if (!(error instanceof pg.DatabaseError) || error.code === undefined || ofNobody.test(error.code)) return null;
  return { code: error.code, sure: ofValues.test(error.code) };
}

/** Users to compare one with: some whose rows were mapped before, and some of all. */
export async function otherUsers(
  pool: Pool,
  connection: string,
  { from, key }: Pick<CaptureMapping, 'from' | 'key'>,
  except: string | null,
): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT key FROM ((SELECT key, 1 AS place FROM syncline.hubspot_contacts WHERE connection_id = $1 AND sent_hash IS NOT NULL AND parked_hash IS NULL LIMIT 50)
       UNION ALL (SELECT u.${pg.escapeIdentifier(key)}::text, 2 FROM ${quoted(from)} u LIMIT 50)) o
     WHERE key IS DISTINCT FROM $2 ORDER BY place`,
    [connection, except],
  );
  return rows.map(({ key: other }) => other as string);
}
