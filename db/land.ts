import { createHash } from 'node:crypto';
import pg from 'pg';
import type { Client } from './client.ts';
import { addRows, closeLanding, emptyLanding, type Landing, releaseLanding } from './landing.ts';
import { castOf, type StreamTable, sqlName } from './streams.ts';

/** A record that can be written. */
export interface LandRow {
  id: string;
  /** The record as JSON text, free of what jsonb refuses (U+0000, half surrogate pairs). */
  data: string;
  /** The source's clock, ms since 1970; null where it does not say. */
  timeMs: number | null;
  /** When the request that brought it began, ms since 1970. */
  readMs: number;
  /** True: the source says that it is gone. */
  gone: boolean;
  /** Values in the order of the table's columns; timestamps as ISO text. */
  columns: readonly unknown[];
}

export interface LandOptions {
  /**
   * Writes the source's time of an unchanged row when it is newer. Default false. For rows whose states come one by one and
   * not in order: without it an older state that comes late would look newer than the one it was followed by.
   */
  touch?: boolean;
  /**
   * Takes an older state for the source's word where ours was read more than ten minutes before: its clock went back (a
   * restored backup), or had run ahead. A list that lags behind its own changes lags for seconds. Default false.
   */
  repairs?: boolean;
}

export interface Landed {
  inserted: number;
  updated: number;
  /** Unchanged, older than what we hold, or held back by a tombstone. */
  skipped: number;
}

/** Prepared once a connection, under a name that is another one when the columns are. */
interface Statement {
  name: string;
  text: string;
}

const statements = {
  plain: new WeakMap<StreamTable, Statement>(),
  touch: new WeakMap<StreamTable, Statement>(),
  repairs: new WeakMap<StreamTable, Statement>(),
};

/**
 * The one upsert: 500-2,000 rows a call, the records as one array of jsonb.
 * - newer wins: by the source's clock, and by the moment of reading where that is equal or unknown (`repairs`: also where ours was read long before)
 * - a tombstone resists every read whose request began before it, and yields to a later one
 * - an unchanged row is not rewritten, unless `touch` says so
 * - one id twice in a call counts once, the newer; of two as new as each other the one that came later
 *
 * @example a row deleted at 10:05 stays deleted when a page requested at 10:04 lands at 10:06
 * @example two slices bring the same row at once: keys are sorted, so neither deadlocks
 */
export async function landBatch(
  client: Client,
  table: StreamTable,
  connection: string,
  generation: number,
  landing: Landing,
  { touch = false, repairs = false }: LandOptions = {},
): Promise<Landed> {
  const { ids } = landing;
  if (ids.length === 0) return { inserted: 0, updated: 0, skipped: 0 };
  const { name, text } = statement(table, touch ? 'touch' : repairs ? 'repairs' : 'plain');
  const values = [connection, generation, ...closeLanding(landing)];
  const { rows: counts } = await client.query({ name, text, values });
  releaseLanding(landing);
  const { inserted, updated } = counts[0];
  return { inserted, updated, skipped: ids.length - inserted - updated };
}

/** {@link landBatch} of rows that came at once. */
export async function land(
  client: Client,
  table: StreamTable,
  connection: string,
  generation: number,
  rows: readonly LandRow[],
  options: LandOptions = {},
): Promise<Landed> {
  const landing = emptyLanding();
  addRows(landing, rows);
  return landBatch(client, table, connection, generation, landing, options);
}

function statement(table: StreamTable, kind: keyof typeof statements): Statement {
  const made = statements[kind];
  const known = made.get(table);
  if (known !== undefined) return known;
  const names = table.columns.map((c) => pg.escapeIdentifier(c.name));
  const own = ['data', 'source_time', 'generation', 'synced_at', 'deleted_at', 'row_version', ...names];
  const text = `WITH put AS (
    INSERT INTO ${sqlName(table)} AS t (connection_id, id, ${own.join(', ')})
    SELECT DISTINCT ON (2) $1, e.id COLLATE "C", e.data, to_timestamp(e.time / 1000), $2::bigint, to_timestamp(e.read / 1000),
      CASE WHEN e.gone THEN to_timestamp(e.read / 1000) END, (SELECT pg_current_xact_id()::text::bigint)
      ${table.columns.map((c, i) => `, ${castOf('e.columns', i, c.type)}`).join('')}
    FROM unnest($3::text[], $4::float8[], $5::float8[], $6::boolean[], $7::jsonb[], $8::jsonb[])
      WITH ORDINALITY AS e(id, time, read, gone, columns, data, place)
    ORDER BY 2, coalesce(e.time, e.read) DESC, e.place DESC
    ON CONFLICT (connection_id, id) DO UPDATE SET ${own.map((c) => `${c} = excluded.${c}`).join(', ')}
    WHERE (excluded.source_time > t.source_time OR excluded.synced_at >= t.synced_at
        AND (excluded.source_time >= t.source_time) IS NOT FALSE${kind === 'repairs' ? ` OR excluded.synced_at > t.synced_at + interval '10 minutes'` : ''})
      AND (t.deleted_at IS NULL OR excluded.synced_at > t.deleted_at)
      AND (t.data IS DISTINCT FROM excluded.data OR (t.deleted_at IS NULL) <> (excluded.deleted_at IS NULL)
        ${kind === 'touch' ? 'OR excluded.source_time > t.source_time' : ''})
    RETURNING xmax = 0 AS fresh)
    SELECT count(*) FILTER (WHERE fresh)::int AS inserted, count(*) FILTER (WHERE NOT fresh)::int AS updated FROM put`;
  const one = { name: `land ${createHash('sha256').update(text).digest('hex').slice(0, 16)}`, text };
  made.set(table, one);
  return one;
}

/** An object that the source says is gone, of which it tells no more than the id. */
export interface Burial {
  id: string;
  /** The source's clock, ms since 1970. */
  timeMs: number;
  /** When the request began that told it, ms since 1970. */
  readMs: number;
}

/**
 * Marks rows deleted and keeps what they hold; an id that has no row gets one that is deleted from the start, so that a
 * page on its way does not bring it to life. A row that was read after that, or whose state is newer, stays.
 */
export async function bury(
  client: Client,
  table: StreamTable,
  connection: string,
  generation: number,
  gone: readonly Burial[],
): Promise<number> {
  if (gone.length === 0) return 0;
  const { rowCount } = await client.query(
    `INSERT INTO ${sqlName(table)} AS t (connection_id, id, data, source_time, generation, synced_at, deleted_at)
     SELECT DISTINCT ON (g->>'id') $1, g->>'id', jsonb_build_object('id', g->>'id', 'deleted', true),
       to_timestamp((g->>'timeMs')::float8 / 1000), $2::bigint, to_timestamp((g->>'readMs')::float8 / 1000), to_timestamp((g->>'readMs')::float8 / 1000)
     FROM jsonb_array_elements($3::jsonb) g ORDER BY g->>'id', (g->>'timeMs')::float8 DESC
     ON CONFLICT (connection_id, id) DO UPDATE SET deleted_at = excluded.deleted_at, source_time = greatest(t.source_time, excluded.source_time),
       generation = excluded.generation, synced_at = greatest(t.synced_at, excluded.synced_at)
     WHERE t.deleted_at IS NULL AND (t.source_time IS NULL OR t.source_time <= excluded.source_time) AND t.synced_at <= excluded.synced_at`,
    [connection, generation, JSON.stringify(gone)],
  );
  return rowCount ?? 0;
}
