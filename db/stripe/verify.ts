import type { Pool } from '../client.ts';
import { knowRows } from '../statistics.ts';
import { type StreamTable, sqlName } from '../streams.ts';

/** Objects of one span of time: how many, and a sum over the hashes of what they hold. */
export interface Bucket {
  /** Its beginning, seconds since 1970. */
  second: number;
  count: number;
  hash: string;
}

/** Postgres writes the same jsonb in the same way, wherever it came from. */
const hash = (data: string) => `('x' || substr(md5(${data}::text), 1, 15))::bit(60)::bigint`;

/** Buckets of objects as the source gave them, JSON texts that Postgres can keep. */
export async function sourceBuckets(pool: Pool, objects: readonly string[], seconds: number): Promise<Bucket[]> {
  if (objects.length === 0) return [];
  const { rows } = await pool.query(
    `SELECT floor((o->>'created')::float8 / $2) * $2 AS second, count(*)::int AS count, sum(${hash('o')})::text AS hash
     FROM jsonb_array_elements($1::jsonb) o GROUP BY 1`,
    [`[${objects.join(',')}]`, seconds],
  );
  return rows;
}

/** Rows of a table that are compared at once. */
export interface Within {
  /** Made in this range, seconds since 1970; `unknown`: nobody knows when; null: whenever. */
  range: { fromSecond: number; toSecond: number } | 'unknown' | null;
  /** `only` those under test clocks, or all `without` them; null: the objects have none. */
  clocks: 'only' | 'without' | null;
}

const clocked = { only: 'AND test_clock IS NOT NULL', without: 'AND test_clock IS NULL' };

/** Condition for what was made in a range, whose two bounds are the parameters from a number on, and those parameters. */
function madeIn(range: Within['range'], from: number): { sql: string; values: number[] } {
  if (range === null) return { sql: '', values: [] };
  if (range === 'unknown') return { sql: 'AND created IS NULL', values: [] };
  return {
    sql: `AND created >= to_timestamp($${from}) AND created < to_timestamp($${from + 1})`,
    values: [range.fromSecond, range.toSecond],
  };
}

/** Buckets of living rows. */
export async function copyBuckets(
  pool: Pool,
  table: StreamTable,
  connection: string,
  { range, clocks }: Within,
  seconds: number,
): Promise<Bucket[]> {
  const made = madeIn(range, 3);
  const { rows } = await pool.query(
    `SELECT floor(extract(epoch FROM created)::float8 / $2) * $2 AS second, count(*)::int AS count, sum(${hash('data')})::text AS hash
     FROM ${sqlName(table)}
     WHERE connection_id = $1 AND deleted_at IS NULL ${made.sql}
       ${clocks ? clocked[clocks] : ''} GROUP BY 1`,
    [connection, seconds, ...made.values],
  );
  return rows;
}

/** Of objects as the source gave them, as JSON texts that Postgres can keep: those that the copy lacks or holds otherwise, unless it holds a newer state. */
export async function differing(
  pool: Pool,
  table: StreamTable,
  connection: string,
  objects: readonly { id: string; timeMs: number; text: string }[],
): Promise<{ id: string; missing: boolean }[]> {
  if (objects.length === 0) return [];
  const told = objects.map(({ id, timeMs, text }) => `{"id":${JSON.stringify(id)},"timeMs":${timeMs},"data":${text}}`);
  const { rows } = await pool.query(
    `SELECT o->>'id' AS id, t.id IS NULL OR t.deleted_at IS NOT NULL AS missing FROM jsonb_array_elements($2::jsonb) o
     LEFT JOIN ${sqlName(table)} t ON t.connection_id = $1 AND t.id = o->>'id'
     WHERE (t.id IS NULL OR t.deleted_at IS NOT NULL OR t.data <> o->'data')
       AND (t.source_time IS NULL OR t.source_time <= to_timestamp((o->>'timeMs')::float8 / 1000))`,
    [connection, `[${told.join(',')}]`],
  );
  return rows;
}

/** Living rows that were read before a moment and are not among these ids. */
export async function extraIds(
  pool: Pool,
  table: StreamTable,
  connection: string,
  { range, clocks }: Within,
  known: { ids: readonly string[]; beforeMs: number },
): Promise<string[]> {
  const made = madeIn(range, 4);
  const { rows } = await pool.query(
    `SELECT id FROM ${sqlName(table)} WHERE connection_id = $1 AND deleted_at IS NULL AND id <> ALL($2)
       AND synced_at < to_timestamp($3::float8 / 1000) ${made.sql} ${clocks ? clocked[clocks] : ''} ORDER BY id`,
    [connection, known.ids, known.beforeMs, ...made.values],
  );
  return rows.map((r) => r.id);
}

/** Test clocks that living rows name. */
export async function clocksNamed(pool: Pool, table: StreamTable, connection: string): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT DISTINCT test_clock AS id FROM ${sqlName(table)} WHERE connection_id = $1 AND deleted_at IS NULL AND test_clock IS NOT NULL`,
    [connection],
  );
  return rows.map((r) => r.id);
}

/**
 * Objects whose list came whole inside of them while the table of its items holds another number: their ids. The id takes the
 * collation of the column that names it, else the index on that is of no use, and each object walks all items.
 */
export async function brokenLists(
  pool: Pool,
  parents: StreamTable,
  items: StreamTable,
  connection: string,
  field: string,
  ids: readonly string[],
): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT p.id FROM ${sqlName(parents)} p
     WHERE p.connection_id = $1 AND p.id = ANY($3) AND p.deleted_at IS NULL AND p.data #>> ARRAY[$2, 'has_more'] = 'false'
       AND jsonb_array_length(p.data #> ARRAY[$2, 'data']) <> (
         SELECT count(*) FROM ${sqlName(items)} i WHERE i.connection_id = $1 AND i.parent_id = p.id COLLATE "default" AND i.deleted_at IS NULL)`,
    [connection, field, ids],
  );
  return rows.map((r) => r.id);
}

/** Parents that are deleted while items of theirs are living, and how many. */
export async function orphanedLists(
  pool: Pool,
  parents: StreamTable,
  items: StreamTable,
  connection: string,
): Promise<{ parent: string; items: number }[]> {
  for (const table of [parents, items]) await knowRows(pool, sqlName(table), { connection_id: connection });
  const { rows } = await pool.query(
    `SELECT i.parent_id AS parent, count(*)::int AS items FROM ${sqlName(items)} i
     JOIN ${sqlName(parents)} p ON p.connection_id = i.connection_id AND p.id = i.parent_id
     WHERE i.connection_id = $1 AND i.deleted_at IS NULL AND p.deleted_at IS NOT NULL GROUP BY 1`,
    [connection],
  );
  return rows;
}
