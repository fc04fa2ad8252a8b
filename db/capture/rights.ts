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

/**
 * The least rights, asked for one by one: USAGE and SELECT on what the mapping reads, to install TRIGGER on its tables and
 * CREATE in our own schema. Writers of the tables need none.
 */
export async function missingRights(
  db: Pool | Client,
  tables: readonly ReadTable[],
  purpose: Purpose,
): Promise<MissingRight[]> {
  const { rows } = await db.query(
    `SELECT t.name, n.nspname AS schema, current_user AS me,
       has_schema_privilege(n.oid, 'USAGE') AS usage, has_table_privilege(c.oid, 'TRIGGER') AS trigger,
       has_table_privilege(c.oid, 'SELECT') OR (SELECT coalesce(bool_and(has_column_privilege(c.oid, column_name, 'SELECT')), false) FROM unnest(string_to_array(t.columns, ',')) column_name) AS reads,
       has_schema_privilege('syncline_capture', 'CREATE') AS own
     FROM unnest($1::text[], $2::text[], $3::text[]) AS t(name, sql_name, columns) JOIN pg_class c ON c.oid = to_regclass(t.sql_name)
     JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1`,
    [
      tables.map(({ name }) => name),
      tables.map(({ name }) => quoted(name)),
      tables.map(({ columns }) => columns.map(({ name }) => name).join(',')),
    ],
  );
  const missing = new Map<string, MissingRight>();
  const need = (has: boolean, right: string, on: string, me: string) => {
    if (!has)
      missing.set(`${right} ${on}`, { what: `${right} on ${on}`, grant: `GRANT ${right} ON ${on} TO ${id(me)}` });
  };
  for (const { name, schema, me, usage, trigger, reads, own } of rows) {
    need(usage, 'USAGE', `SCHEMA ${id(schema)}`, me);
    need(reads, 'SELECT', quoted(name), me);
    if (purpose === 'install') need(trigger, 'TRIGGER', quoted(name), me);
    if (purpose === 'install') need(own, 'CREATE', 'SCHEMA syncline_capture', me);
  }
  return [...missing.values()];
}
