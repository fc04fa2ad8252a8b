import pg from 'pg';
import type { Client, Pool } from '../client.ts';
import { sayClosed } from './closed.ts';
import { wrongLinks } from './links.ts';
import { quoted, type ReadTable, readTables } from './tables.ts';

export { type Column, type Part, quoted, type ReadTable } from './tables.ts';

/** A mapping as far as it decides what is captured (connectors/hubspot/mapping.ts has the whole). */
export interface CaptureMapping {
  /** `schema.table` of the users; its row is `u` in every expression. */
  from: string;
  key: string;
  where?: string;
  properties: Readonly<Record<string, { sql: string }>>;
  tables: Readonly<Record<string, { key: string; user?: string; columns: readonly string[] }>>;
  columns: readonly string[];
}

/** What Postgres itself says of a mapping. */
export interface Probe {
  /** Type of each expression, in the order of `properties`. */
  types: Record<string, string>;
  /** Type of the users' key. */
  keyType: string;
  /** What makes a key of a text: the type, and the collation where it has one, else its index would not be used. */
  keyCast: string;
  /** The users first. */
  tables: ReadTable[];
  /** Another one: rows came, went or changed without a statement that triggers see. */
  shape: string;
  /** Functions that the expressions call and the server did not come with; signatures as GRANT takes them: `app.score(n bigint)`. */
  functions: { oid: number; signature: string }[];
}

/** The mapping does not fit the database. Each problem is a sentence: place, value got, values accepted. */
export class MappingRefused extends Error {
  override name = 'MappingRefused';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.problems = problems;
  }
}

/** Schemas that are ours, or the server's. */
const reserved = /^(syncline|syncline_\w+|org|org_\w+|pg_\w+|information_schema)\./;

/**
 * Asks Postgres what a mapping reads: a temporary view is made of it and taken back, and the server's own book of
 * dependencies names every table and column. So nobody lists columns by hand, and none is forgotten.
 * @throws MappingRefused
 */
export async function probeMapping(pool: Pool, mapping: CaptureMapping): Promise<Probe> {
  const client = await pool.connect();
  let broken: Error | undefined;
  const onError = (error: Error) => {
    broken = error;
  };
  client.on('error', onError);
  try {
    await client.query('BEGIN');
    const { keyType, keyCast } = await readKey(client, mapping);
    await makeView(client, mapping);
    const types = await typesOf(client, mapping);
    if (mapping.where !== undefined) await requireCondition(client, mapping);
    const { tables, problems, shape } = await readTables(client, mapping, keyType, types);
    if (problems.length > 0) throw new MappingRefused(problems);
    const places = expressionsOf(mapping).map(([place]) => place);
    const wrong = await wrongLinks(client, mapping, tables, places);
    if (wrong.length > 0) throw new MappingRefused(wrong);
    return { types, keyType, keyCast, tables, shape, functions: await readFunctions(client) };
  } finally {
    await client.query('ROLLBACK').catch((error: Error) => {
      broken ??= error;
    });
    client.off('error', onError);
    client.release(broken);
  }
}

async function readKey(client: Client, mapping: CaptureMapping): Promise<Pick<Probe, 'keyType' | 'keyCast'>> {
  const { from, key } = mapping;
  if (reserved.test(from))
    throw new MappingRefused([
      `mapping.from: got "${from}", accepted a table in a schema of your own, not of Syncline or Postgres`,
    ]);
  const { rows } = await client
    .query(
      `SELECT c.relkind AS kind, format_type(a.atttypid, a.atttypmod) AS type, o.collation, a.attnotnull AS "notNull", current_database() AS database,
       EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL AND i.indimmediate
         AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum) AS single
     FROM (SELECT to_regclass($1) AS oid) t LEFT JOIN pg_class c ON c.oid = t.oid
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
     LEFT JOIN LATERAL (SELECT format('%I.%I', n.nspname, l.collname) AS collation
       FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = a.attcollation) o ON true`,
      [quoted(from), key],
    )
    .catch(async (error: Error & { code?: string }) => {
      if (error.code !== '42501') throw error;
      await client.query('ROLLBACK');
      throw new MappingRefused([await sayClosed(client, namesIn(mapping), error)]);
    });
  const found = rows[0];
  if (found.kind === null)
    throw new MappingRefused([
      `mapping.from: got "${from}", which database "${found.database}" does not have or the user may not see. The users' tables must stand in the database of Syncline (DATABASE_URL), in a schema of their own`,
    ]);
  if (!['r', 'p'].includes(found.kind))
    throw new MappingRefused([
      `mapping.from: got "${from}", which is no table (a view or foreign table has no triggers that see rows); accepted a table`,
    ]);
  if (found.type === null) throw new MappingRefused([`mapping.key: got "${key}", which is no column of ${from}`]);
  if (!found.single || !found.notNull)
    throw new MappingRefused([
      `mapping.key: got "${key}", accepted a column of ${from} that is NOT NULL and has a unique index of its own (the primary key)`,
    ]);
  const { type, collation } = found;
  return { keyType: type, keyCast: collation === null ? type : `${type} COLLATE ${collation}` };
}

async function makeView(client: Client, mapping: CaptureMapping): Promise<void> {
  const all = expressionsOf(mapping);
  const create = (list: readonly [string, string][]) => ({
    text: `CREATE TEMP VIEW syncline_probe AS SELECT ${list.map(([, sql], i) => `(${sql}) AS p${i}`).join(', ')} FROM ${quoted(mapping.from)} u`,
    // One statement: the server takes two only in the simple protocol.
    queryMode: 'extended',
  });
  await client.query('SAVEPOINT probe');
  try {
    await client.query(create(all));
    return;
  } catch (error) {
    await client.query('ROLLBACK TO probe');
    if ((error as { code?: string }).code === '42501')
      throw new MappingRefused([await sayClosed(client, namesIn(mapping), error as Error)]);
  }
  // One after the other, so that every wrong one is named.
  const problems: string[] = [];
  for (const one of all) {
    try {
      // Beside the key, so that an aggregate, which alone is taken for all rows, is named as well.
      await client.query(create([one, ['mapping.key', `u.${pg.escapeIdentifier(mapping.key)}`]]));
    } catch (error) {
      problems.push(`${one[0]}: Postgres does not take it (${(error as Error).message})`);
    }
    await client.query('ROLLBACK TO probe');
  }
  throw new MappingRefused(
    problems.length > 0 ? problems : ['mapping: Postgres does not take its expressions together'],
  );
}

/** Every text of a mapping that may name a schema. */
const namesIn = (mapping: CaptureMapping) =>
  [mapping.from, ...Object.keys(mapping.tables), ...expressionsOf(mapping).map(([, sql]) => sql)].join('\n');

/** Every expression with its place. The last one is the condition. */
function expressionsOf({ properties, where }: CaptureMapping): [place: string, sql: string][] {
  const list = Object.entries(properties).map(([name, { sql }]): [string, string] => [
    `mapping.properties.${name}.sql`,
    sql,
  ]);
  return [...list, ['mapping.where', `(${where ?? 'true'})::boolean`]];
}

/** A text is cast row by row, and one that is no condition would set each user aside. */
async function requireCondition(client: Client, { from, where }: CaptureMapping): Promise<void> {
  const text = `CREATE TEMP VIEW syncline_where AS SELECT (${where}) AS p FROM ${quoted(from)} u`;
  await client.query({ text, queryMode: 'extended' } as pg.QueryConfig);
  const { rows } = await client.query(
    `SELECT format_type(atttypid, NULL) AS type FROM pg_attribute WHERE attrelid = 'pg_temp.syncline_where'::regclass AND attnum = 1`,
  );
  await client.query('DROP VIEW pg_temp.syncline_where');
  const { type } = rows[0];
  if (type !== 'boolean') throw new MappingRefused([`mapping.where: got ${type}, accepted boolean`]);
}

async function typesOf(client: Client, { properties }: CaptureMapping): Promise<Record<string, string>> {
  const { rows } = await client.query(
    `SELECT format_type(atttypid, NULL) AS type FROM pg_attribute WHERE attrelid = 'pg_temp.syncline_probe'::regclass AND attnum > 0 ORDER BY attnum`,
  );
  return Object.fromEntries(Object.keys(properties).map((name, i) => [name, rows[i].type as string]));
}

async function readFunctions(client: Client): Promise<Probe['functions']> {
  const { rows } = await client.query(
    `SELECT DISTINCT p.oid, format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS signature
     FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_proc'::regclass
     JOIN pg_proc p ON p.oid = d.refobjid JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE r.ev_class = 'pg_temp.syncline_probe'::regclass ORDER BY 2`,
  );
  return rows;
}
