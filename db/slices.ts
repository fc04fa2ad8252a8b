import { writeUnderClaim } from './claims.ts';
import type { Client, Pool } from './client.ts';
import type { Pass } from './passes.ts';
import { clearSeen, windowSeen } from './seen.ts';

/** A part to read: a window, a range of ids, or everything. Batches of ids are cut by db/visits.ts. */
export interface Range {
  fromMs?: number;
  toMs?: number;
  afterId?: string | null;
  toId?: string | null;
}

/** Where a slice stands; committed with its rows. */
export interface SliceState extends Range {
  no: number;
  cursor: unknown;
  done: boolean;
  pages: number;
  rows: number;
  seen: number;
  written: number;
  rejected: number;
  requests: number;
  rereads: number;
  total: number | null;
  doubt: string | null;
  /** Where the next pass may begin, once it is done. */
  version?: string | number | null;
}

/** As a jsonb parameter. */
export const jsonOf = (value: unknown) => (value === null || value === undefined ? null : JSON.stringify(value));

/** Appends parts to a pass; returns the number of the first. Two slices that split at once take turns. */
export async function addSlices(client: Client, passId: number, ranges: readonly Range[]): Promise<number> {
  await client.query('SELECT 1 FROM syncline.passes WHERE id = $1 FOR UPDATE', [passId]);
  const { rows } = await client.query(
    `WITH top AS (SELECT coalesce(max(no), 0) AS no FROM syncline.slices WHERE pass_id = $1),
     added AS (
       INSERT INTO syncline.slices (pass_id, no, from_ms, to_ms, after_id, to_id)
       SELECT $1, top.no + r.n, (r.v->>'fromMs')::bigint, (r.v->>'toMs')::bigint, r.v->>'afterId', r.v->>'toId'
       FROM top, jsonb_array_elements($2::jsonb) WITH ORDINALITY AS r(v, n))
     SELECT no + 1 AS first FROM top`,
    [passId, JSON.stringify(ranges)],
  );
  return rows[0].first;
}

/** Parts that are not read yet, in order, at most `limit`. */
export async function undone(pool: Pool, passId: number, limit: number): Promise<number[]> {
  const { rows } = await pool.query(
    'SELECT no FROM syncline.slices WHERE pass_id = $1 AND NOT done ORDER BY no LIMIT $2',
    [passId, limit],
  );
  return rows.map((r) => r.no);
}

export async function readSliceState(pool: Pool, passId: number, no: number): Promise<SliceState | null> {
  const { rows } = await pool.query(
    `SELECT no, from_ms::float8 AS "fromMs", to_ms::float8 AS "toMs", after_id AS "afterId", to_id AS "toId", cursor, done, pages, rows,
            seen, written, rejected, requests, rereads, total, doubt, version
     FROM syncline.slices WHERE pass_id = $1 AND no = $2`,
    [passId, no],
  );
  return rows[0] ?? null;
}

/**
 * Rows that a pass has still to read. Slices that nobody began are taken for as large as the one that asks, beside which they
 * were cut.
 */
export async function rowsLeft(pool: Pool, passId: number, { no, rows, total }: SliceState): Promise<number> {
  const own = total ?? 0;
  const { rows: others } = await pool.query(
    `SELECT coalesce(sum(greatest(coalesce(total, $3) - rows, 0)), 0)::float8 AS n FROM syncline.slices
     WHERE pass_id = $1 AND no <> $2 AND NOT done`,
    [passId, no, own],
  );
  return own - rows + others[0].n;
}

/**
 * Stores where a slice stands. Inside the transaction that writes its rows.
 * @param before pages when this reader last stored it
 * @returns false when another reader moved it on meanwhile, or the pass has ended: the transaction must be rolled back
 */
export async function saveSlice(client: Client, passId: number, s: SliceState, before: number): Promise<boolean> {
  const { rowCount } = await client.query({
    name: 'save slice',
    text: `UPDATE syncline.slices SET cursor = $3, done = $4, pages = $5, rows = $6, seen = $7, written = $8, rejected = $9,
             requests = $10, rereads = $11, total = $12, doubt = $13, version = $15 WHERE pass_id = $1 AND no = $2 AND pages = $14`,
    values: [
      passId,
      s.no,
      jsonOf(s.cursor),
      s.done,
      s.pages,
      s.rows,
      s.seen,
      s.written,
      s.rejected,
      s.requests,
      s.rereads,
      s.total,
      s.doubt,
      before,
      jsonOf(s.version),
    ],
  });
  return rowCount === 1;
}

/**
 * The slice begins later, since what lies before is served no more; one that ends before is done. Its place was one of the
 * longer window: it is read anew, and what an earlier call still holds of that is not stored any more. What the pass makes
 * complete begins there at the earliest.
 */
export async function shortenSlice(pool: Pool, pass: Pass, { no, pages }: SliceState, fromMs: number): Promise<void> {
  await writeUnderClaim(pool, pass.claim, { name: 'shorten' }, async (client) => {
    const { rowCount } = await client.query(
      `UPDATE syncline.slices SET from_ms = least($3, to_ms), done = $3 >= to_ms, cursor = NULL, total = NULL, seen = 0,
         pages = pages + (pages > 0)::int
       WHERE pass_id = $1 AND no = $2 AND pages = $4 AND NOT done`,
      [pass.id, no, fromMs, pages],
    );
    if (rowCount === 0) return;
    if (pass.keepsSeen) await clearSeen(client, pass, windowSeen(no));
    await client.query(
      'UPDATE syncline.passes SET from_time = least(greatest(from_time, to_timestamp($2::float8 / 1000)), to_time) WHERE id = $1',
      [pass.id, fromMs],
    );
  });
}

/**
 * The slice becomes parts of its window that are read in its place; what it landed stays, and is met again unchanged.
 * @returns numbers of the parts: `count` from `first` on
 */
export async function splitSlice(
  pool: Pool,
  pass: Pass,
  state: SliceState,
  parts: readonly Range[],
): Promise<{ first: number; count: number }> {
  return writeUnderClaim(pool, pass.claim, { name: 'split' }, async (client) => {
    // A split whose answer was lost is found done: its parts are read as undone ones.
    const { rowCount } = await client.query(
      'SELECT 1 FROM syncline.slices WHERE pass_id = $1 AND no = $2 AND NOT done FOR UPDATE',
      [pass.id, state.no],
    );
    if (rowCount === 0) return { first: 0, count: 0 };
    const first = await addSlices(client, pass.id, parts);
    await saveSlice(
      client,
      pass.id,
      { ...state, cursor: null, done: true, rows: 0, total: null, doubt: null },
      state.pages,
    );
    return { first, count: parts.length };
  });
}
