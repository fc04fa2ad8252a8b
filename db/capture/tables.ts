import { createHash } from 'node:crypto';
import pg from 'pg';
import type { Client } from '../client.ts';
import type { CaptureMapping } from './probe.ts';

/** A table that has triggers. */
export interface Part {
  /** `schema.table`. */
  name: string;
  oid: number;
  /** `"schema"."table"`. */
  sql: string;
  /** Its rows stand in partitions, and an UPDATE may move them. */
  partitioned: boolean;
}

/** A table that a mapping reads. */
export interface ReadTable extends Part {
  /** Its partitions and inheriting tables, of all levels: a statement that names one fires the triggers of that one alone. */
  parts: Part[];
  /** Columns whose change may change a mapped row. */
  columns: Column[];
  /** Columns that a run reads: of the users also the key and those that other tables lead to. */
  reads: string[];
  /** Type of the users' key; of another table the type of its column that leads to users. */
  key: string;
  /** Columns of its primary key; empty without one. */
  identity: Column[];
}

export interface Column {
  name: string;
  /** As Postgres writes it, e.g. `bigint`. */
  type: string;
}

/** `"schema"."table"`. */
export const quoted = (name: string): string => name.split('.').map(pg.escapeIdentifier).join('.');

/** The same by the server, of a pg_namespace and a pg_class: names of parts are not ours to choose. */
export const quotedIn = (namespace: string, table: string) =>
  `format('"%s"."%s"', replace(${namespace}.nspname, '"', '""'), replace(${table}.relname, '"', '""'))`;

/** Columns that a generated one is made of. */
const bases = `(SELECT json_agg(DISTINCT b.attname) FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
  JOIN pg_attribute b ON b.attrelid = d.refobjid AND b.attnum = d.refobjsubid
  WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum AND d.refobjid = a.attrelid AND b.attnum <> a.attnum)`;

/** A column as the catalog has it. */
interface Known extends Column {
  no: number;
  collation: number;
  used: boolean;
  /** Worked out when it is read, and so not in the rows that triggers get. */
  virtual: boolean;
  from: string[] | null;
  /** Its expression, where it is virtual. */
  made: string | null;
}

/** Partitions and inheriting tables below one, of all levels. */
const parts = `(WITH RECURSIVE below AS (SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN below b ON i.inhparent = b.inhrelid)
  SELECT coalesce(json_agg(json_build_object('name', s.nspname || '.' || p.relname, 'oid', p.oid::bigint, 'sql', ${quotedIn('s', 'p')},
    'kind', p.relkind, 'file', pg_relation_filenode(p.oid)) ORDER BY p.oid), '[]')
  FROM below JOIN pg_class p ON p.oid = inhrelid JOIN pg_namespace s ON s.oid = p.relnamespace)`;

/** Tables that one is a partition of, or inherits from. */
const above = `(SELECT coalesce(json_agg(s.nspname || '.' || p.relname ORDER BY i.inhseqno), '[]')
  FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace s ON s.oid = p.relnamespace WHERE i.inhrelid = c.oid)`;

const dependencies = `
WITH used AS (
  SELECT d.refobjid AS oid, array_remove(array_agg(DISTINCT nullif(d.refobjsubid, 0)), NULL) AS columns
  FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
  WHERE r.ev_class = 'pg_temp.syncline_probe'::regclass AND d.refobjid <> r.ev_class GROUP BY 1)
SELECT u.oid, n.nspname || '.' || c.relname AS name, ${quotedIn('n', 'c')} AS sql, c.relkind AS kind,
  pg_relation_filenode(c.oid) AS file, ${parts} AS parts, ${above} AS above,
  (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'no', a.attnum, 'collation', a.attcollation::bigint, 'used', a.attnum = ANY (u.columns),
     'virtual', a.attgenerated = 'v', 'from', CASE WHEN a.attgenerated = 'v' THEN ${bases} END,
     'made', (SELECT pg_get_expr(f.adbin, f.adrelid) FROM pg_attrdef f WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum AND a.attgenerated = 'v')) ORDER BY a.attnum), '[]')
   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum), '[]') FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
   WHERE i.indrelid = c.oid AND i.indisprimary) AS identity,
  pg_get_viewdef('pg_temp.syncline_probe'::regclass) ~ '\\.\\*' AS whole
FROM used u JOIN pg_class c ON c.oid = u.oid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 2`;

/**
 * What lies behind the expressions and the columns they count, by the server's book of dependencies: the bodies of
 * functions, those of their own operators and types as well, and the labels of enums.
 */
const meanings = `
WITH RECURSIVE behind AS (
  SELECT 'pg_rewrite'::regclass::oid AS class, oid, 0 AS sub FROM pg_rewrite WHERE ev_class = 'pg_temp.syncline_probe'::regclass
  UNION SELECT 'pg_class'::regclass::oid, oid, sub FROM unnest($1::oid[], $2::int[]) AS counted(oid, sub)
  UNION SELECT d.refclassid, d.refobjid, d.refobjsubid
  FROM behind b JOIN pg_depend d ON d.classid = b.class AND d.objid = b.oid AND d.objsubid = b.sub)
SELECT 'function' AS kind, p.oid::text, concat_ws(' ', p.prosrc, p.probin, p.proconfig, pg_get_function_sqlbody(p.oid)) AS text
FROM pg_proc p JOIN behind b ON b.class = 'pg_proc'::regclass AND b.oid = p.oid
UNION SELECT 'enum', e.oid::text, e.enumlabel FROM pg_enum e JOIN behind b ON b.class = 'pg_type'::regclass AND b.oid = e.enumtypid ORDER BY 1, 2`;

/**
 * The tables that the expressions read, the users first, and what is wrong with them, each a sentence. `shape` is another
 * one when rows came, went or changed without a statement that triggers see: a partition was attached or taken away, a
 * table was written anew (ALTER COLUMN TYPE … USING, but also VACUUM FULL), a virtual column is made of something else, a
 * column or an expression is of another type, a function has another body, an enum other labels.
 */
export async function readTables(
  client: Client,
  mapping: CaptureMapping,
  keyType: string,
  types: Readonly<Record<string, string>>,
): Promise<{ tables: ReadTable[]; problems: string[]; shape: string }> {
  const { rows } = await client.query(dependencies);
  const problems: string[] = [];
  const tables: ReadTable[] = [];
  const shape = createHash('sha256').update(JSON.stringify(types));
  const behind: { oid: number; no: number }[] = [];
  const named = new Map(Object.entries(mapping.tables));
  if (named.delete(mapping.from))
    problems.push(`mapping.tables."${mapping.from}": it is the table of "from", which is u; take it out`);
  for (const { name, oid, sql, kind, columns, identity, whole, file, parts, above } of rows) {
    const related = named.get(name);
    named.delete(name);
    if (!['r', 'p'].includes(kind)) {
      problems.push(
        `mapping reads "${name}", which is no table and has no triggers that see rows; read its tables instead`,
      );
      continue;
    }
    for (const table of above)
      problems.push(
        `mapping reads "${name}", a part of "${table}", and a statement that names "${table}" fires no trigger of its parts; read "${table}" instead`,
      );
    if (name === mapping.from && kind === 'r' && parts.length > 0)
      problems.push(
        `mapping.from: got "${name}", from which "${parts[0].name}" inherits, and Postgres lets both have one key; accepted a table by itself or a partitioned one`,
      );
    for (const part of parts)
      if (!['r', 'p'].includes(part.kind))
        problems.push(
          `mapping reads "${name}", whose part "${part.name}" is a foreign table and has no triggers that see rows; read tables alone`,
        );
    if (name !== mapping.from && !related) {
      problems.push(
        `mapping.tables: got nothing for "${name}", which the expressions read; accepted {"key": its column that leads to the user}`,
      );
      continue;
    }
    const extra = name === mapping.from ? mapping.columns : (related?.columns ?? []);
    const links =
      name === mapping.from ? Object.values(mapping.tables).flatMap(({ user }) => user ?? []) : [related?.key];
    for (const column of [...extra, ...links])
      if (!columns.some((one: Known) => one.name === column))
        problems.push(`mapping: got the column "${column}", which ${name} does not have`);
    if (name !== mapping.from && columns.some((one: Known) => one.virtual && one.name === related?.key))
      problems.push(
        `mapping.tables."${name}".key: got "${related?.key}", a virtual generated column, which triggers do not see; accepted a column that is stored (GENERATED ALWAYS AS (…) STORED)`,
      );
    // A row that is read whole names no column.
    const counts = (column: Known) => whole || column.used || extra.includes(column.name);
    const counted = new Set((columns as Known[]).filter(counts).flatMap((one) => one.from ?? one.name));
    const shown = (columns as Known[]).filter(counts);
    behind.push(...shown.map(({ no }) => ({ oid, no })));
    shape.update(
      JSON.stringify([
        [oid, file, parts.map((part: { oid: number; file: unknown }) => [part.oid, part.file])],
        shown.map((one) => [one.no, one.name, one.type, one.collation, one.made]),
      ]),
    );
    tables.push({
      name,
      oid,
      sql,
      partitioned: kind === 'p',
      parts: parts.map(({ name, oid, sql, kind }: Part & { kind: string }) => ({
        name,
        oid,
        sql,
        partitioned: kind === 'p',
      })),
      reads: [
        ...columns.filter(counts).map((one: Known) => one.name),
        ...(name === mapping.from ? [mapping.key, ...links] : []),
      ],
      key: name === mapping.from ? keyType : (columns.find((one: Column) => one.name === related?.key)?.type ?? ''),
      identity,
      columns: (columns as Known[])
        .filter((one) => !one.virtual && counted.has(one.name))
        .map(({ name, type }) => ({ name, type })),
    });
  }
  const meant = await client.query(meanings, [behind.map(({ oid }) => oid), behind.map(({ no }) => no)]);
  shape.update(JSON.stringify(meant.rows));
  for (const { name, parts } of tables)
    for (const part of parts)
      if (tables.some(({ oid }) => oid === part.oid))
        problems.push(`mapping reads "${part.name}" as well as "${name}", of which it is a part; read "${name}" alone`);
  // A function may read it, which the server does not see.
  for (const [name, { columns }] of named)
    problems.push(
      columns.length > 0
        ? `mapping.tables."${name}": no expression reads it. Where a function does, name it in an expression too, such as (SELECT … FROM ${name} …)`
        : `mapping.tables."${name}": no expression reads it; take it out`,
    );
  return {
    tables: tables.sort((a, b) => Number(b.name === mapping.from) - Number(a.name === mapping.from)),
    problems,
    shape: shape.digest('hex').slice(0, 16),
  };
}
