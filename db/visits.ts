import pg from 'pg';
import type { Client, Pool } from './client.ts';
import type { Pass } from './passes.ts';
import { type StreamTable, sqlName } from './streams.ts';

/** What a batch says of ids: asked for, newly found (tree), or gone at the source. */
export interface Visits {
  /** Id and when the request for it began, ms. */
  visited: { id: string; atMs: number }[];
  /** Nodes to read in this pass. */
  found: string[];
  /** Rows of ids that the source says do not exist. */
  gone: { id: string; atMs: number }[];
}

/** Stores the visits of a batch, in the transaction that writes its rows. */
export async function keepVisits(client: Client, pass: Pass, table: StreamTable, visits: Visits): Promise<void> {
  const { connection } = pass.claim;
  if (visits.found.length > 0) await keepFound(client, pass, visits.found);
  if (visits.visited.length > 0)
    await client.query(
      `INSERT INTO syncline.visits AS v (connection_id, stream, over_id, visited_at, pass_id)
       SELECT DISTINCT ON (x->>'id') $1, $2, x->>'id', to_timestamp((x->>'atMs')::float8 / 1000), $3
       FROM jsonb_array_elements($4::jsonb) x ORDER BY x->>'id'
       ON CONFLICT (connection_id, stream, over_id) DO UPDATE SET visited_at = excluded.visited_at, pass_id = excluded.pass_id`,
      [connection, pass.stream, pass.id, JSON.stringify(visits.visited)],
    );
  if (visits.gone.length > 0)
    await client.query(
      `UPDATE ${sqlName(table)} t SET deleted_at = to_timestamp((x->>'atMs')::float8 / 1000), generation = $2
       FROM jsonb_array_elements($3::jsonb) x
       WHERE t.connection_id = $1 AND t.id = x->>'id' AND t.deleted_at IS NULL AND t.synced_at < to_timestamp((x->>'atMs')::float8 / 1000)`,
      [connection, pass.id, JSON.stringify(visits.gone)],
    );
}

/** Nodes of a tree to read in this pass; one that this pass met already is left alone, so that a cycle ends. */
export async function keepFound(client: Client, pass: Pass, ids: readonly string[]): Promise<void> {
  await client.query(
    `INSERT INTO syncline.visits AS v (connection_id, stream, over_id, visited_at, pass_id)
     SELECT $1, $2, id, NULL, $3 FROM (SELECT DISTINCT id FROM unnest($4::text[]) AS id) x ORDER BY id
     ON CONFLICT (connection_id, stream, over_id) DO UPDATE SET visited_at = NULL, pass_id = $3 WHERE v.pass_id <> $3`,
    [pass.claim.connection, pass.stream, pass.id, ids],
  );
}

/** Nodes of the tree that wait, at most `limit`. */
export async function waitingNodes(pool: Pool, pass: Pass, limit: number): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT over_id AS id FROM syncline.visits WHERE connection_id = $1 AND stream = $2 AND visited_at IS NULL AND pass_id = $3
     ORDER BY over_id LIMIT $4`,
    [pass.claim.connection, pass.stream, pass.id, limit],
  );
  return rows.map((r) => r.id);
}

/** Where the ids of a stream come from. */
export interface IdSource {
  parent: StreamTable;
  /** Keys in the parent's data; null: its id. */
  path: string[] | null;
  /** False: only ids whose row landed after they were last asked for. */
  all: boolean;
  /** True: a deleted row of the parent still exists at the source (its status says deleted) and is asked for. */
  withDeleted: boolean;
  /** Ids that are asked for besides, e.g. the root of a tree, which is nobody's child. */
  also: readonly string[];
  /** Only rows of this range by the source's clock, ms: a replay. Null: all. */
  range: { fromMs: number; toMs: number } | null;
}

/**
 * Ids still to be asked for in a pass, in the order of ids: rows of the parent that were never visited, or (`all`) not
 * in this pass, or (`changed`) not since the row was last written. Nothing is remembered but the visits, so ties and kills
 * lose nothing.
 */
export async function waitingIds(
  pool: Pool,
  pass: Pass,
  source: IdSource,
  range: { afterId: string | null; toId: string | null },
  limit: number,
): Promise<string[]> {
  const { rows } = await pool.query(`${idsQuery(source)} LIMIT $6`, [
    pass.claim.connection,
    pass.stream,
    pass.id,
    range.afterId,
    range.toId,
    limit,
    ...(source.path ? [source.path] : []),
  ]);
  return rows.map((r) => r.id);
}

/** Every `step`th of the ids to be asked for: the ends of a pass's slices. */
export async function idBounds(
  client: Client,
  pass: Omit<Pass, 'id'>,
  source: IdSource,
  step: number,
): Promise<string[]> {
  const { rows } = await client.query(
    `SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM (${idsQuery(source)} LIMIT $6) q) x WHERE n % ${step} = 0 ORDER BY id`,
    [pass.claim.connection, pass.stream, 0, null, null, null, ...(source.path ? [source.path] : [])],
  );
  return rows.map((r) => r.id);
}

function idsQuery({ parent, path, all, withDeleted, also, range }: IdSource): string {
  const time = 'coalesce(p.source_time, p.synced_at)';
  const within = range
    ? `AND ${time} >= to_timestamp(${Number(range.fromMs)}::float8 / 1000) AND ${time} < to_timestamp(${Number(range.toMs)}::float8 / 1000)`
    : '';
  const living = `${withDeleted ? '' : 'AND p.deleted_at IS NULL'} ${within}`;
  const value = 'p.data #> $7::text[]';
  const ids = path
    ? `SELECT e.id COLLATE "C" AS id, max(p.synced_at) AS at FROM ${sqlName(parent)} p
       CROSS JOIN LATERAL jsonb_array_elements_text(
         CASE jsonb_typeof(${value}) WHEN 'array' THEN ${value} WHEN 'string' THEN jsonb_build_array(${value}) WHEN 'number' THEN jsonb_build_array(${value}) ELSE '[]'::jsonb END) AS e(id)
       WHERE p.connection_id = $1 ${living} AND e.id <> '' GROUP BY 1`
    : `SELECT p.id, p.synced_at AS at FROM ${sqlName(parent)} p WHERE p.connection_id = $1 ${living}`;
  const known =
    also.length > 0 ? `SELECT id, max(at) AS at FROM (${ids} UNION ALL ${valuesOf(also)}) u GROUP BY 1` : ids;
  return `SELECT i.id FROM (${known}) i
    LEFT JOIN syncline.visits v ON v.connection_id = $1 AND v.stream = $2 AND v.over_id = i.id
    WHERE ($4::text IS NULL OR i.id > $4) AND ($5::text IS NULL OR i.id <= $5)
      AND (v.visited_at IS NULL OR ${all ? 'v.pass_id <> $3::bigint' : 'v.visited_at < i.at AND v.pass_id <> $3::bigint'})
    ORDER BY i.id`;
}

const valuesOf = (ids: readonly string[]) =>
  ids.map((id) => `SELECT ${pg.escapeLiteral(id)} COLLATE "C", to_timestamp(0)`).join(' UNION ALL ');
