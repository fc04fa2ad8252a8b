import { createHash } from 'node:crypto';
import pg from 'pg';
import type { Client } from './client.ts';
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

export interface Landed {
  inserted: number;
  updated: number;
  /** Unchanged, older than what we hold, or held back by a tombstone. */
  skipped: number;
}

/** Rows on their way to {@link landBatch}: encoded when their page came. */
export interface LandBatch {
  /** Source ids in the order they came, repeated ones too. */
  ids: string[];
  texts: Buffer[];
}

export const emptyLanding = (): LandBatch => ({ ids: [], texts: [] });

/**
 * Puts the rows of a page behind those that a batch holds, as text outside of the heap. Rows that waited as objects
 * outlived the young ones, and marking them was half of a worker's CPU time.
 */
export function addRows(batch: LandBatch, rows: readonly LandRow[]): void {
  if (rows.length === 0) return;
  for (const { id } of rows) batch.ids.push(id);
  batch.texts.push(encode(rows));
}

/** Prepared once a connection, under a name that is another one when the columns are. */
interface Statement {
  name: string;
  text: string;
}

const statements = new WeakMap<StreamTable, Statement>();

/**
 * The one upsert: 500-2,000 rows a call, one jsonb parameter (46,000 fresh rows/s, test/bench).
 * - newer wins: by the source's clock, and by the moment of reading where that is equal or unknown
 * - a tombstone resists every read whose request began before it, and yields to a later one
 * - an unchanged row is not rewritten
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
  { ids, texts }: LandBatch,
): Promise<Landed> {
  if (ids.length === 0) return { inserted: 0, updated: 0, skipped: 0 };
  const { name, text } = statement(table);
  const { rows: counts } = await client.query({ name, text, values: [connection, generation, binaryJson(texts)] });
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
): Promise<Landed> {
  const batch = emptyLanding();
  addRows(batch, rows);
  return landBatch(client, table, connection, generation, batch);
}

function statement(table: StreamTable): Statement {
  const known = statements.get(table);
  if (known !== undefined) return known;
  const names = table.columns.map((c) => pg.escapeIdentifier(c.name));
  const own = ['data', 'source_time', 'generation', 'synced_at', 'deleted_at', ...names];
  const text = `WITH put AS (
    INSERT INTO ${sqlName(table)} AS t (connection_id, id, ${own.join(', ')})
    SELECT DISTINCT ON (2) $1, r->>'i', r->'d', to_timestamp((r->>'t')::float8 / 1000), $2::bigint, to_timestamp((r->>'r')::float8 / 1000),
      CASE WHEN (r->>'x')::boolean THEN to_timestamp((r->>'r')::float8 / 1000) END
      ${table.columns.map((c, i) => `, ${castOf(`r->'c'`, i, c.type)}`).join('')}
    FROM jsonb_array_elements($3::jsonb) WITH ORDINALITY AS e(r, n)
    ORDER BY 2, coalesce((r->>'t')::float8, (r->>'r')::float8) DESC, n DESC
    ON CONFLICT (connection_id, id) DO UPDATE SET ${own.map((c) => `${c} = excluded.${c}`).join(', ')}
    WHERE (excluded.source_time > t.source_time OR excluded.synced_at >= t.synced_at
        AND (excluded.source_time >= t.source_time) IS NOT FALSE)
      AND (t.deleted_at IS NULL OR excluded.synced_at > t.deleted_at)
      AND (t.data IS DISTINCT FROM excluded.data OR (t.deleted_at IS NULL) <> (excluded.deleted_at IS NULL))
    RETURNING xmax = 0 AS fresh)
    SELECT count(*) FILTER (WHERE fresh)::int AS inserted, count(*) FILTER (WHERE NOT fresh)::int AS updated FROM put`;
  const made = { name: `land ${createHash('sha256').update(text).digest('hex').slice(0, 16)}`, text };
  statements.set(table, made);
  return made;
}

/** The records are JSON texts already: they are joined, not parsed and written again. */
function encode(rows: readonly LandRow[]): Buffer {
  const parts: string[] = [];
  for (const { id, data, timeMs, readMs, gone, columns } of rows)
    parts.push(
      `{"i":${JSON.stringify(id)},"t":${timeMs},"r":${readMs},"x":${gone},"c":${JSON.stringify(columns)},"d":${data}}`,
    );
  return Buffer.from(parts.join(','));
}

const [open, comma, close] = ['\u0001[', ',', ']'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer];

/** A list in the binary format of jsonb, which is its text behind the number of a version; a driver sends buffers so. */
function binaryJson(texts: readonly Buffer[]): Buffer {
  return Buffer.concat([open, ...texts.flatMap((text, i) => (i === 0 ? [text] : [comma, text])), close]);
}
