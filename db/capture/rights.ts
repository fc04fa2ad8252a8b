import pg from 'pg';
import type { Client, Pool } from '../client.ts';
import { logTable } from './functions.ts';
import { type Probe, quoted } from './probe.ts';

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
SELECT t.name, n.nspname AS schema,
  has_schema_privilege(n.oid, 'USAGE') AS usage, has_table_privilege(c.oid, 'TRIGGER') AS trigger,
  has_table_privilege(c.oid, 'SELECT') OR (SELECT coalesce(bool_and(has_column_privilege(c.oid, column_name, 'SELECT')), false) FROM unnest(string_to_array(t.columns, ',')) column_name) AS reads,
  row_security_active(c.oid) AS hides, pg_has_role(c.relowner, 'USAGE') AS owns
FROM unnest($1::text[], $2::oid[], $3::text[]) AS t(name, oid, columns) JOIN pg_class c ON c.oid = t.oid
JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1`;

/** Of our own schema, and of the log of a connection where it is there. */
const ownQuestion = `
SELECT current_user AS me, has_schema_privilege(n.oid, 'CREATE') AS creates, has_schema_privilege(n.oid, 'USAGE') AS enters,
  l.oid IS NULL OR has_table_privilege(l.oid, 'SELECT') AND has_table_privilege(l.oid, 'INSERT') AND has_table_privilege(l.oid, 'DELETE') AS logs,
  l.oid IS NULL OR pg_has_role(l.relowner, 'USAGE') AS owns,
  ARRAY(SELECT f.signature FROM unnest($2::oid[], $3::text[]) AS f(oid, signature) WHERE NOT has_function_privilege(f.oid, 'EXECUTE')) AS closed
FROM pg_namespace n LEFT JOIN pg_class l ON l.relnamespace = n.oid AND 'syncline_capture.' || l.relname = $1 WHERE n.nspname = 'syncline_capture'`;

/**
 * The least rights, asked for one by one: USAGE, SELECT and EXECUTE on what the mapping reads, past row-level security, and
 * the connection's log; to install TRIGGER on its tables, CREATE in our own schema and the log as our own. Writers of the
 * tables need none.
 */
export async function missingRights(
  db: Pool | Client,
  no: number,
  { tables, functions }: Pick<Probe, 'tables' | 'functions'>,
  purpose: Purpose,
): Promise<MissingRight[]> {
  const { rows } = await db.query(question, [
    tables.map(({ name }) => name),
    tables.map(({ oid }) => oid),
    tables.map(({ columns }) => columns.map(({ name }) => name).join(',')),
  ]);
  const log = logTable(no);
  const own = await db.query(ownQuestion, [
    log,
    functions.map(({ oid }) => oid),
    functions.map(({ signature }) => signature),
  ]);
  const { me, creates, enters, logs, owns: ownsLog, closed } = own.rows[0];
  const missing = new Map<string, MissingRight>();
  const need = (has: boolean, right: string, on: string) => {
    if (!has)
      missing.set(`${right} ${on}`, { what: `${right} on ${on}`, grant: `GRANT ${right} ON ${on} TO ${id(me)}` });
  };
  for (const { name, schema, usage, trigger, reads, hides, owns } of rows) {
    const table = quoted(name);
    need(usage, 'USAGE', `SCHEMA ${id(schema)}`);
    need(reads, 'SELECT', table);
    // A user whom a policy hides reads as deleted, and would be archived.
    if (hides)
      missing.set(`rows ${table}`, {
        what: `the sight of every row of ${table}, which has row-level security`,
        grant: owns ? `ALTER TABLE ${table} NO FORCE ROW LEVEL SECURITY` : `ALTER ROLE ${id(me)} BYPASSRLS`,
      });
    if (purpose === 'install') need(trigger, 'TRIGGER', table);
  }
  for (const signature of closed) need(false, 'EXECUTE', `FUNCTION ${signature}`);
  need(enters, 'USAGE', 'SCHEMA syncline_capture');
  need(logs, 'SELECT, INSERT, DELETE', log);
  if (purpose === 'install') {
    need(creates, 'CREATE', 'SCHEMA syncline_capture');
    if (!ownsLog) missing.set('owner', { what: `ownership of ${log}`, grant: `ALTER TABLE ${log} OWNER TO ${id(me)}` });
  }
  return [...missing.values()];
}
