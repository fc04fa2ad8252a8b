import pg from 'pg';
import type { Client, Pool } from '../client.ts';
import type { ReadTable } from './probe.ts';
import { quoted } from './probe.ts';

/** Something the database user may not do, and the statement that changes it. */
export interface MissingRight {
  what: string;
  grant: string;
}

/** `install`: making the triggers. `run`: reading mapped rows and emptying the log. */
export type Purpose = 'install' | 'run';

const id = pg.escapeIdentifier;

/** Of each table: what the user may do there. Oids, since a name in a schema without USAGE ends the question. */
const question = `
SELECT t.name, n.nspname AS schema, current_user AS me,
  has_schema_privilege(n.oid, 'USAGE') AS usage, has_table_privilege(c.oid, 'TRIGGER') AS trigger,
  has_table_privilege(c.oid, 'SELECT') OR (SELECT coalesce(bool_and(has_column_privilege(c.oid, column_name, 'SELECT')), false) FROM unnest(string_to_array(t.columns, ',')) column_name) AS reads,
  row_security_active(c.oid) AS hides, pg_has_role(c.relowner, 'USAGE') AS owns
FROM unnest($1::text[], $2::oid[], $3::text[]) AS t(name, oid, columns) JOIN pg_class c ON c.oid = t.oid
JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1`;

/**
 * The least rights, asked for one by one: USAGE and SELECT on what the mapping reads, past row-level security, to install
 * TRIGGER on its tables and CREATE in our own schema. Writers of the tables need none.
 */
export async function missingRights(
  db: Pool | Client,
  tables: readonly ReadTable[],
  purpose: Purpose,
): Promise<MissingRight[]> {
  const { rows } = await db.query(question, [
    tables.map(({ name }) => name),
    tables.map(({ oid }) => oid),
    tables.map(({ columns }) => columns.map(({ name }) => name).join(',')),
  ]);
  const own = await db.query(
    `SELECT current_user AS me, has_schema_privilege('syncline_capture', 'CREATE') AS creates`,
  );
  const missing = new Map<string, MissingRight>();
  const need = (has: boolean, right: string, on: string, me: string) => {
    if (!has)
      missing.set(`${right} ${on}`, { what: `${right} on ${on}`, grant: `GRANT ${right} ON ${on} TO ${id(me)}` });
  };
  for (const { name, schema, me, usage, trigger, reads, hides, owns } of rows) {
    const table = quoted(name);
    need(usage, 'USAGE', `SCHEMA ${id(schema)}`, me);
    need(reads, 'SELECT', table, me);
    // A user whom a policy hides reads as deleted, and would be archived.
    if (hides)
      missing.set(`rows ${table}`, {
        what: `the sight of every row of ${table}, which has row-level security`,
        grant: owns ? `ALTER TABLE ${table} NO FORCE ROW LEVEL SECURITY` : `ALTER ROLE ${id(me)} BYPASSRLS`,
      });
    if (purpose === 'install') need(trigger, 'TRIGGER', table, me);
  }
  const { me, creates } = own.rows[0];
  if (purpose === 'install') need(creates, 'CREATE', 'SCHEMA syncline_capture', me);
  return [...missing.values()];
}
