import type { Pool } from '../../db/client.ts';
import type { OwnedTable } from '../../db/disconnect/tables.ts';
import { sqlName } from '../../db/streams.ts';

/** Every row of every table of a database, by table: whoever is not to touch something is compared by it. */
export async function everyRow(pool: Pool): Promise<Map<string, Record<string, unknown>[]>> {
  const { rows: tables } = await pool.query(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'drizzle') ORDER BY 1, 2`,
  );
  const found = new Map<string, Record<string, unknown>[]>();
  for (const { schema, name } of tables) {
    const where = sqlName({ schema, name });
    const { rows } = await pool.query(`SELECT to_jsonb(t) AS row FROM ${where} t ORDER BY to_jsonb(t)::text`);
    found.set(
      `${schema}.${name}`,
      rows.map(({ row }) => row),
    );
  }
  return found;
}

const values: Record<string, string> = {
  text: `'planted'`,
  bigint: '1',
  integer: '1',
  smallint: '1',
  boolean: 'true',
  jsonb: `'{}'`,
  ARRAY: `'{}'`,
  'timestamp with time zone': 'now()',
};

/** Gives a connection one row in each of these tables where it has none, whatever the columns mean. */
export async function plant(pool: Pool, connection: string, tables: readonly OwnedTable[]): Promise<void> {
  const parents = { plan: 'org.plans', pass: 'syncline.passes' };
  // Owners first.
  for (const table of [...tables].reverse()) {
    const owner =
      table.by === 'connection' ? '$1' : `(SELECT max(id) FROM ${parents[table.by]} WHERE connection_id = $1)`;
    const where = sqlName(table);
    const there = await pool.query(`SELECT 1 FROM ${where} WHERE ${table.owner} = ${owner} LIMIT 1`, [connection]);
    if (there.rows[0]) continue;
    const { rows } = await pool.query(
      `SELECT column_name AS name, data_type AS type FROM information_schema.columns
       WHERE table_schema = $1 AND table_name = $2 AND column_name <> $3 AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'`,
      [table.schema, table.name, table.owner],
    );
    const columns = rows.map(({ name, type }) => ({ name, value: values[type] ?? `no value for ${type}` }));
    await pool.query(
      `INSERT INTO ${where} (${[table.owner, ...columns.map(({ name }) => name)].join(', ')}) SELECT ${[owner, ...columns.map(({ value }) => value)].join(', ')}`,
      [connection],
    );
  }
}
