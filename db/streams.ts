import pg from 'pg';
import { type Client, type Pool, transaction } from './client.ts';

/** Types a typed column may have. */
export type ColumnType = 'text' | 'bigint' | 'numeric' | 'boolean' | 'timestamptz' | 'jsonb' | 'bigint[]' | 'text[]';

/** Where a stream lands: one table of the platform's schema. */
export interface StreamTable {
  schema: string;
  name: string;
  /** Typed columns beside `data`, in the order of `LandRow.columns`. */
  columns: readonly { name: string; type: ColumnType }[];
  /** Column by which rows of a connection are looked for. */
  index?: string;
}

/** The table's name as SQL wants it. */
export function sqlName(table: Pick<StreamTable, 'schema' | 'name'>): string {
  return `${pg.escapeIdentifier(table.schema)}.${pg.escapeIdentifier(table.name)}`;
}

/** Where the rows of full passes are kept (db/snapshots.ts). */
export const snapshotsOf = ({ schema, name }: StreamTable) => ({ schema, name: `${name}_snapshots` });

/** Command by which an operator frees a column. */
export const dropsColumn = (table: Pick<StreamTable, 'schema' | 'name'>, column: string) =>
  `ALTER TABLE ${sqlName(table)} DROP COLUMN ${pg.escapeIdentifier(column)}`;

/** Says that a column stands in the table and is not filled yet; taken away with the last row that was filled. */
const unfilled = 'syncline: fills from data';

/** A column stands there with another type than the connector says. */
export class ColumnConflict extends Error {
  override name = 'ColumnConflict';
}

/**
 * Makes the table of a stream, or adds the columns it lacks; never changes or drops one. Every row has `connection_id, id`
 * (key), `data` (the record as it came), `source_time` (the source's clock), `generation` (pass that wrote it), `synced_at`
 * (when the request that brought it began), `deleted_at` and `row_version` (transaction that wrote it last: what is read for
 * the row is asked for again when it is another one).
 * @returns columns that must still be filled from `data`
 * @throws ColumnConflict with the command that frees the column
 */
export async function ensureTable(pool: Pool, table: StreamTable): Promise<string[]> {
  const where = sqlName(table);
  return transaction(pool, { name: `tables ${table.schema}` }, async (client) => {
    await lockTable(client, table);
    const known = await columnsOf(client, table);
    if (known.size === 0) {
      // Two that make one schema at once would meet in the catalog.
      await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('syncline tables', 0))`);
      await client.query(`CREATE SCHEMA IF NOT EXISTS ${pg.escapeIdentifier(table.schema)}`);
      await client.query(`CREATE TABLE ${where} (
        connection_id text NOT NULL, id text COLLATE "C" NOT NULL, data jsonb NOT NULL, source_time timestamptz,
        generation bigint NOT NULL, synced_at timestamptz NOT NULL, deleted_at timestamptz, row_version bigint NOT NULL DEFAULT 0,
        ${table.columns.map((c) => `${pg.escapeIdentifier(c.name)} ${c.type},`).join(' ')}
        PRIMARY KEY (connection_id, id))`);
      if (table.index)
        await client.query(`CREATE INDEX ON ${where} (connection_id, ${pg.escapeIdentifier(table.index)})`);
      return [];
    }
    if (!known.has('row_version'))
      await client.query(`ALTER TABLE ${where} ADD COLUMN row_version bigint NOT NULL DEFAULT 0`);
    for (const column of table.columns) await ensureColumn(client, table, column, known.get(column.name));
    const marked = await columnsOf(client, table);
    return table.columns.flatMap((c) => (marked.get(c.name)?.comment === unfilled ? [c.name] : []));
  });
}

/** Who makes a table or its columns waits for others that do, of this table alone: a column may wait for a long reading of it. */
export async function lockTable(client: Client, table: Pick<StreamTable, 'schema' | 'name'>): Promise<void> {
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, [`syncline tables ${sqlName(table)}`]);
}

async function ensureColumn(
  client: Client,
  table: StreamTable,
  { name, type }: StreamTable['columns'][number],
  known: { type: string } | undefined,
): Promise<void> {
  const where = sqlName(table);
  const column = pg.escapeIdentifier(name);
  if (known === undefined) {
    await client.query(`ALTER TABLE ${where} ADD COLUMN ${column} ${type}`);
    await client.query(`COMMENT ON COLUMN ${where}.${column} IS ${pg.escapeLiteral(unfilled)}`);
  } else if (known.type !== type) {
    const kept = (await columnsOf(client, snapshotsOf(table))).get(name)?.type;
    const commands = [
      dropsColumn(table, name),
      ...(kept === undefined || kept === type ? [] : [dropsColumn(snapshotsOf(table), name)]),
    ];
    throw new ColumnConflict(
      `Column ${table.schema}.${table.name}.${name} is ${known.type}, the connector says ${type}. It fills again from data after: ${commands.join('; ')}`,
    );
  }
}

/** Empty where there is no such table. */
export async function columnsOf(
  client: Pick<Client, 'query'>,
  { schema, name }: Pick<StreamTable, 'schema' | 'name'>,
): Promise<Map<string, { type: string; comment: string | null }>> {
  const { rows } = await client.query(
    `SELECT a.attname AS name, CASE WHEN t.typname = 'bool' THEN 'boolean' WHEN t.typname = 'int8' THEN 'bigint'
              WHEN t.typname = '_int8' THEN 'bigint[]' WHEN t.typname = '_text' THEN 'text[]' ELSE t.typname END AS type,
            col_description(c.oid, a.attnum) AS comment
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     JOIN pg_type t ON t.oid = a.atttypid WHERE n.nspname = $1 AND c.relname = $2`,
    [schema, name],
  );
  return new Map(rows.map((r) => [r.name, r]));
}

/** A row whose columns are filled: its key and the record, of the version that was read. */
export interface RowToFill {
  connection: string;
  id: string;
  /** Null where it need not be looked at. */
  data: unknown;
  /** `row_version`, which may be beyond what a number holds. */
  version: string;
  /** It landed with the version that was asked for, or a later one. */
  due: boolean;
}

/** A moment: rows that land from here on have this `row_version` or a later one. */
export async function nextRowVersion(pool: Pool): Promise<string> {
  const { rows } = await pool.query('SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS version');
  return rows[0].version;
}

/** Rows behind `after` in the order of (connection, id), for filling columns; `since`: those of an earlier version are not due. */
export async function rowsToFill(
  pool: Pool,
  table: StreamTable,
  after: { connection: string; id: string } | null,
  limit: number,
  since = '0',
): Promise<RowToFill[]> {
  const { rows } = await pool.query(
    `SELECT connection_id AS connection, id, CASE WHEN row_version >= $4 THEN data END AS data, row_version::text AS version,
            row_version >= $4 AS due FROM ${sqlName(table)}
     WHERE (connection_id, id) > ($1, $2) ORDER BY connection_id, id LIMIT $3`,
    [after?.connection ?? '', after?.id ?? '', limit, since],
  );
  return rows;
}

/** Writes values of new columns, `values` in the order of `columns`, but not over a row that has landed anew since it was read. */
export async function fillRows(
  pool: Pool,
  table: StreamTable,
  columns: readonly string[],
  rows: readonly (Pick<RowToFill, 'connection' | 'id' | 'version'> & { values: readonly unknown[] })[],
): Promise<void> {
  if (rows.length === 0) return;
  const types = new Map(table.columns.map((c) => [c.name, c.type]));
  const set = columns.map((name, i) => `${pg.escapeIdentifier(name)} = ${castOf(`r->'c'`, i, types.get(name))}`);
  await pool.query(
    `UPDATE ${sqlName(table)} t SET ${set.join(', ')} FROM jsonb_array_elements($1::jsonb) r
     WHERE t.connection_id = r->>'k' AND t.id = r->>'i' AND t.row_version = (r->>'v')::bigint`,
    [JSON.stringify(rows.map((r) => ({ k: r.connection, i: r.id, v: r.version, c: r.values })))],
  );
}

/** The columns are filled in every row. */
export async function markFilled(pool: Pool, table: StreamTable, columns: readonly string[]): Promise<void> {
  for (const name of columns)
    await pool.query(`COMMENT ON COLUMN ${sqlName(table)}.${pg.escapeIdentifier(name)} IS NULL`);
}

/** SQL of the `i`th value of a jsonb list as the column's type; the values were checked before (activities/platform/extract.ts). */
export function castOf(list: string, i: number, type: ColumnType | undefined): string {
  if (type === 'jsonb') return `NULLIF(${list}->${i}, 'null'::jsonb)`;
  // Lists travel as Postgres writes arrays.
  return `(${list}->>${i})::${type}`;
}
