import pg from 'pg';
import type { Client, Pool } from './client.ts';
import type { Pass } from './passes.ts';
import { type StreamTable, sqlName } from './streams.ts';

/** What a batch says of ids: asked for, newly found (tree), or gone at the source. */
export interface Visits {
  /** Id, when the request for it began, ms, and the version it had then; a node of a tree has none. */
  visited: { id: string; atMs: number; version?: string }[];
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
      `INSERT INTO syncline.visits AS v (connection_id, stream, over_id, visited_at, version, pass_id)
       SELECT DISTINCT ON (x->>'id') $1, $2, x->>'id', to_timestamp((x->>'atMs')::float8 / 1000), (x->>'version')::bigint, $3
       FROM jsonb_array_elements($4::jsonb) x ORDER BY x->>'id'
       ON CONFLICT (connection_id, stream, over_id) DO UPDATE
         SET visited_at = excluded.visited_at, version = excluded.version, pass_id = excluded.pass_id`,
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
  /** False: only ids whose rows are not what they were when the id was last asked for. */
  all: boolean;
  /** True: a deleted row of the parent still exists at the source (its status says deleted) and is asked for. */
  withDeleted: boolean;
  /** Ids that are asked for besides, e.g. the root of a tree, which is nobody's child. */
  also: readonly string[];
  /** Only rows of this range by the source's clock, ms: a replay. Null: all. */
  range: { fromMs: number; toMs: number } | null;
}

/**
 * Cuts a pass into batches of at most `size` ids, in order of time and id of the rows that name them. Each batch holds its
 * ids, so that ties at an edge, rows that change their time and kills lose nothing. Rows that come or change later differ
 * from the version that is noted here: the next pass asks for them.
 * @returns how many batches there are
 */
export async function cutIds(
  client: Client,
  pass: Omit<Pass, 'id'>,
  passId: number,
  source: IdSource,
  size: number,
): Promise<number> {
  // Both sides are whole sets. Of one that came after its table was analysed the planner expects a single row, and a nested
  // loop walks 20,000 visits for each of 20,000 rows.
  await client.query('SET LOCAL enable_nestloop = off');
  const { rowCount } = await client.query(
    `INSERT INTO syncline.slices (pass_id, no, ids, versions)
     SELECT $3, 1 + (n - 1) / $4, array_agg(id ORDER BY n), array_agg(version ORDER BY n)
     FROM (SELECT i.id, i.version, row_number() OVER (ORDER BY i.at, i.id) AS n FROM (${idsQuery(source)}) i
       LEFT JOIN syncline.visits v ON v.connection_id = $1 AND v.stream = $2 AND v.over_id = i.id
       WHERE ${source.all ? 'true' : 'v.visited_at IS NULL OR v.version IS DISTINCT FROM i.version'}) x
     GROUP BY 2`,
    [pass.claim.connection, pass.stream, passId, size, ...(source.path ? [source.path] : [])],
  );
  return rowCount ?? 0;
}

/** Ids with the time and the version of the rows that name them. */
function idsQuery({ parent, path, withDeleted, also, range }: IdSource): string {
  const time = 'coalesce(p.source_time, p.synced_at)';
  const within = range
    ? `AND ${time} >= to_timestamp(${Number(range.fromMs)}::float8 / 1000) AND ${time} < to_timestamp(${Number(range.toMs)}::float8 / 1000)`
    : '';
  const living = `${withDeleted ? '' : 'AND p.deleted_at IS NULL'} ${within}`;
  const value = 'p.data #> $5::text[]';
  // Of several rows that name an id one may change while another one goes: a digest of all tells either.
  const ids = path
    ? `SELECT e.id COLLATE "C" AS id, max(${time}) AS at, bit_xor(hashtextextended(p.id, p.row_version)) AS version FROM ${sqlName(parent)} p
       CROSS JOIN LATERAL jsonb_array_elements_text(
         CASE jsonb_typeof(${value}) WHEN 'array' THEN ${value} WHEN 'string' THEN jsonb_build_array(${value}) WHEN 'number' THEN jsonb_build_array(${value}) ELSE '[]'::jsonb END) AS e(id)
       WHERE p.connection_id = $1 ${living} AND e.id <> '' GROUP BY 1`
    : `SELECT p.id, ${time} AS at, p.row_version AS version FROM ${sqlName(parent)} p WHERE p.connection_id = $1 ${living}`;
  return also.length > 0
    ? `SELECT id, max(at) AS at, bit_xor(version) AS version FROM (${ids} UNION ALL ${valuesOf(also)}) u GROUP BY 1`
    : ids;
}

/** Named by no row, they are the first and never change. */
const valuesOf = (ids: readonly string[]) =>
  ids.map((id) => `SELECT ${pg.escapeLiteral(id)} COLLATE "C", to_timestamp(0), 0::bigint`).join(' UNION ALL ');

/**
 * Ids of a batch that this pass has not asked for yet, in the order of the batch, with their versions. OFFSET 0 keeps each
 * look-up by key its own: the planner, who does not know how the visits grow, walks all of them for each id else.
 */
export async function waitingIds(
  pool: Pool,
  pass: Pass,
  no: number,
  limit: number,
): Promise<{ id: string; version: string }[]> {
  const { rows } = await pool.query(
    `SELECT b.id, b.version::text FROM syncline.slices s, unnest(s.ids, s.versions) WITH ORDINALITY AS b(id, version, n)
     LEFT JOIN LATERAL (SELECT pass_id FROM syncline.visits
       WHERE connection_id = $1 AND stream = $2 AND over_id = b.id COLLATE "C" OFFSET 0) v ON true
     WHERE s.pass_id = $3 AND s.no = $4 AND v.pass_id IS DISTINCT FROM $3::bigint
     ORDER BY b.n LIMIT $5`,
    [pass.claim.connection, pass.stream, pass.id, no, limit],
  );
  return rows;
}
