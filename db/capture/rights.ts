import pg from 'pg';
import type { Client, Pool } from '../client.ts';
import { functionPrefix, logTable } from './functions.ts';
import type { Probe } from './probe.ts';

/** Something the database user may not do, and the statement that changes it. */
export interface MissingRight {
  what: string;
  grant: string;
  /** The triggers need it, and write nothing until then: what is changed meanwhile is lost. */
  lost?: true;
}

/** `install`: making the triggers. `remove`: dropping them. `run`: reading mapped rows and emptying the log. */
export type Purpose = 'install' | 'remove' | 'run';

const id = pg.escapeIdentifier;

/** Of each table: what the user may do there. Oids, since a name in a schema without USAGE ends the question. */
const question = `
SELECT t.name, n.nspname AS schema,
  has_schema_privilege(n.oid, 'USAGE') AS usage, has_table_privilege(c.oid, 'TRIGGER') AS trigger,
  t.columns IS NULL OR has_table_privilege(c.oid, 'SELECT') OR (SELECT coalesce(bool_and(has_column_privilege(c.oid, column_name, 'SELECT')), false) FROM json_array_elements_text(t.columns::json) column_name) AS reads,
  t.columns IS NOT NULL AND row_security_active(c.oid) AS hides, pg_has_role(c.relowner, 'USAGE') AS owns
FROM unnest($1::text[], $2::oid[], $3::text[]) AS t(name, oid, columns) JOIN pg_class c ON c.oid = t.oid
JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1`;

/** Of our own schema, and of the log of a connection where it is there. */
const ownQuestion = `
SELECT current_user AS me, has_schema_privilege(n.oid, 'CREATE') AS creates, has_schema_privilege(n.oid, 'USAGE') AS enters,
  l.oid IS NULL OR has_table_privilege(l.oid, 'SELECT') AND has_table_privilege(l.oid, 'INSERT') AND has_table_privilege(l.oid, 'DELETE') AS logs,
  l.oid IS NULL OR pg_has_role(l.relowner, 'USAGE') AS owns,
  ARRAY(SELECT f.signature FROM unnest($2::oid[], $3::text[]) AS f(oid, signature) WHERE NOT has_function_privilege(f.oid, 'EXECUTE')) AS closed,
  ARRAY(SELECT p.proname::text FROM pg_proc p WHERE p.pronamespace = n.oid AND starts_with(p.proname, $4) AND NOT pg_has_role(p.proowner, 'USAGE') ORDER BY 1) AS others,
  (SELECT coalesce(json_agg(w), '[]') FROM (SELECT r.rolname AS name, has_schema_privilege(r.oid, n.oid, 'USAGE') AS enters,
     l.oid IS NULL OR has_table_privilege(r.oid, l.oid, 'INSERT') AS inserts
     FROM pg_roles r WHERE r.oid IN (SELECT p.proowner FROM pg_proc p WHERE p.pronamespace = n.oid AND starts_with(p.proname, $4))) w) AS writers
FROM pg_namespace n LEFT JOIN pg_class l ON l.relnamespace = n.oid AND 'syncline_capture.' || l.relname = $1 WHERE n.nspname = 'syncline_capture'`;

/**
 * The least rights, asked for one by one: USAGE, SELECT and EXECUTE on what the mapping reads, past row-level security, and
 * the connection's log, which those who made the triggers must still be able to write; to install TRIGGER on its tables and CREATE in our own schema, and to install or remove log and
 * functions as our own. Writers of the tables need none.
 */
export async function missingRights(
  db: Pool | Client,
  { id: connection, no }: { id: string; no: number },
  { tables, functions }: Pick<Probe, 'tables' | 'functions'>,
  purpose: Purpose,
): Promise<MissingRight[]> {
  // Parts are read by way of their table, with its rights.
  const parts = purpose === 'install' ? tables.flatMap((table) => table.parts) : [];
  const { rows } = await db.query(question, [
    [...tables, ...parts].map(({ sql }) => sql),
    [...tables, ...parts].map(({ oid }) => oid),
    [...tables.map(({ reads }) => JSON.stringify(reads)), ...parts.map(() => null)],
  ]);
  const log = logTable(no);
  const own = await db.query(ownQuestion, [
    log,
    functions.map(({ oid }) => oid),
    functions.map(({ signature }) => signature),
    functionPrefix(no),
  ]);
  const { me, creates, enters, logs, owns: ownsLog, closed, others, writers } = own.rows[0];
  const missing = new Map<string, MissingRight>();
  const need = (has: boolean, right: string, on: string) => {
    if (!has)
      missing.set(`${right} ${on}`, { what: `${right} on ${on}`, grant: `GRANT ${right} ON ${on} TO ${id(me)}` });
  };
  for (const { name: table, schema, usage, trigger, reads, hides, owns } of rows) {
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
  if (purpose !== 'remove') need(logs, 'SELECT, INSERT, DELETE', log);
  const writes = (has: boolean, right: string, on: string, name: string) => {
    if (has) return;
    const what = `${right} on ${on} for ${id(name)}, as whom the triggers write (changes are lost until then; afterwards: npx syncline capture install ${connection})`;
    missing.set(name === me ? `${right} ${on}` : `${right} ${on} ${name}`, {
      what,
      grant: `GRANT ${right} ON ${on} TO ${id(name)}`,
      lost: true,
    });
  };
  for (const { name, enters, inserts } of purpose === 'remove' ? [] : writers) {
    writes(enters, 'USAGE', 'SCHEMA syncline_capture', name);
    writes(inserts, name === me ? 'SELECT, INSERT, DELETE' : 'INSERT', log, name);
  }
  if (purpose === 'install') need(creates, 'CREATE', 'SCHEMA syncline_capture');
  if (purpose !== 'run') {
    const own = (kind: 'TABLE' | 'FUNCTION', name: string) =>
      missing.set(name, { what: `ownership of ${name}`, grant: `ALTER ${kind} ${name} OWNER TO ${id(me)}` });
    if (!ownsLog) own('TABLE', log);
    for (const name of others) own('FUNCTION', `syncline_capture.${id(name)}()`);
  }
  return [...missing.values()];
}
