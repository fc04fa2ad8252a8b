import type { Client, Pool } from '../client.ts';
import { functionPrefix, logTable } from './functions.ts';
import { type Part, quotedIn } from './tables.ts';

/** By its name: to_regclass is an error where USAGE on our schema is missing, which `missingRights` tells. */
export async function hasLog(pool: Pool, { no }: { no: number }): Promise<boolean> {
  const { rows } = await pool.query(
    `SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'link' AND NOT a.attisdropped
       WHERE c.relnamespace = 'syncline_capture'::regnamespace AND 'syncline_capture.' || c.relname = $1) AS there`,
    [logTable(no)],
  );
  return rows[0].there;
}

/** Tables that have triggers of a connection. */
export async function tablesOf(pool: Pool | Client, no: number): Promise<Part[]> {
  const { rows } = await pool.query(
    `SELECT DISTINCT n.nspname || '.' || c.relname AS name, c.oid::int AS oid, ${quotedIn('n', 'c')} AS sql
     FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE p.pronamespace = 'syncline_capture'::regnamespace AND starts_with(p.proname, $1) ORDER BY 1`,
    [functionPrefix(no)],
  );
  return rows;
}
