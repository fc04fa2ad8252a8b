import { createHash } from 'node:crypto';
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

/**
 * Tables that have triggers of a connection, parts before the tables that have them. What a partition has of its table's
 * row triggers does not count: it comes and goes with the table's.
 */
export async function tablesOf(pool: Pool | Client, no: number): Promise<Part[]> {
  const { rows } = await pool.query(
    `SELECT DISTINCT n.nspname || '.' || c.relname AS name, c.oid, ${quotedIn('n', 'c')} AS sql, c.relkind = 'p' AS partitioned
     FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE p.pronamespace = 'syncline_capture'::regnamespace AND starts_with(p.proname, $1) AND t.tgparentid = 0 ORDER BY 4, 1`,
    [functionPrefix(no)],
  );
  return rows;
}

/** Functions of a connection that a table's triggers call, those of its row triggers last. */
export async function functionsOn(
  pool: Pool,
  { no }: { no: number },
  table: number,
): Promise<{ name: string; spreads: boolean }[]> {
  const { rows } = await pool.query(
    `SELECT p.proname AS name, bool_or(t.tgtype & 1 = 1) AS spreads FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
     WHERE t.tgrelid = $1 AND t.tgparentid = 0 AND p.pronamespace = 'syncline_capture'::regnamespace AND starts_with(p.proname, $2)
     GROUP BY 1 ORDER BY 2, 1`,
    [table, functionPrefix(no)],
  );
  return rows;
}

/** A trigger that is there. */
export interface Installed {
  /** Of its table. */
  oid: number;
  name: string;
  body: string;
  /** Somebody disabled it, on one of the partitions at least. */
  off: boolean;
}

export async function triggersOf(pool: Pool, { no }: { no: number }): Promise<Installed[]> {
  const { rows } = await pool.query(
    `SELECT t.tgrelid AS oid, t.tgname AS name, p.prosrc AS body,
       EXISTS (SELECT 1 FROM pg_trigger k WHERE k.tgfoid = t.tgfoid AND k.tgenabled NOT IN ('O', 'A')) AS off
     FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
     WHERE t.tgparentid = 0 AND p.pronamespace = 'syncline_capture'::regnamespace AND starts_with(p.proname, $1)`,
    [functionPrefix(no)],
  );
  return rows;
}

/**
 * Digest of the transactions that last wrote the catalog's rows of schema, log, functions and triggers. DISABLE and ENABLE
 * TRIGGER leave the same trigger, REVOKE and GRANT the same rights, but other transactions; VACUUM keeps them.
 */
export async function lastTouch(pool: Pool, { no }: { no: number }): Promise<string> {
  const { rows } = await pool.query(
    `SELECT 'schema' AS what, n.oid::text, n.xmin::text FROM pg_namespace n WHERE n.nspname = 'syncline_capture'
     UNION ALL
     SELECT 'log', c.oid::text, c.xmin::text FROM pg_class c
     WHERE c.relnamespace = 'syncline_capture'::regnamespace AND 'syncline_capture.' || c.relname = $1
     UNION ALL
     SELECT 'function', p.oid::text, p.xmin::text FROM pg_proc p
     WHERE p.pronamespace = 'syncline_capture'::regnamespace AND starts_with(p.proname, $2)
     UNION ALL
     SELECT 'trigger', t.oid::text, t.xmin::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
     WHERE p.pronamespace = 'syncline_capture'::regnamespace AND starts_with(p.proname, $2)
     ORDER BY 1, 2`,
    [logTable(no), functionPrefix(no)],
  );
  return createHash('sha256').update(JSON.stringify(rows)).digest('hex').slice(0, 16);
}
