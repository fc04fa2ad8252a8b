import { writeUnderClaim } from './claims.ts';
import type { Client, Pool } from './client.ts';
import { buryItems } from './items.ts';
import type { Pass } from './passes.ts';
import { rejectPipeline } from './rejects.ts';
import { dropSeen, seenOf } from './seen.ts';
import { undone } from './slices.ts';
import { ensureSnapshots, takeSnapshot } from './snapshots.ts';
import { knowRows } from './statistics.ts';
import { type StreamTable, sqlName } from './streams.ts';
import { type SweepRules, sweep } from './sweep.ts';

export interface CloseRules extends SweepRules {
  scope: string;
  /** Table whose rows name the ids that are gone. */
  listed: StreamTable | null;
  /** Tables of items that go with the rows that are marked deleted; they name them in `parent_id`. */
  items?: readonly StreamTable[];
  /** Keep the rows of this pass readable under its generation; so many generations, and the last whole one. 0: no snapshot. */
  snapshots: number;
}

/** What a pass did. */
export interface PassCounts {
  slices: number;
  pages: number;
  rows: number;
  written: number;
  rejected: number;
  requests: number;
  deleted: number;
  /** Living rows that the pass did not bring and that stay. */
  withheld: number;
  /** Living rows that this pass missed, the one before did not, and that stay until another one misses them too. */
  unsure: number;
  /** Why; also why rows may be missing. Null when the pass is proven whole. */
  doubt: string | null;
}

export type Closed = { undone: number[] } | { undone: null; counts: PassCounts };

/** Slice numbers that one answer may carry. */
const mostNumbers = 1_000;

/**
 * Ends a pass whose slices are all read: sweep, watermark, snapshot. When slices are left (a split whose answer was lost)
 * it returns their numbers and ends nothing. Asking again after the end (the answer was lost) returns the same counts.
 */
export async function closePass(pool: Pool, pass: Pass, table: StreamTable, rules: CloseRules): Promise<Closed> {
  const left = await undone(pool, pass.id, mostNumbers);
  if (left.length > 0) return { undone: left };
  const joined = [...(rules.listed ? [rules.listed] : []), ...(rules.items ?? [])];
  for (const one of joined.length > 0 ? [table, ...joined] : [])
    await knowRows(pool, sqlName(one), { connection_id: pass.claim.connection });
  const snapshots = pass.kind === 'full' ? rules.snapshots : 0;
  if (snapshots > 0) await ensureSnapshots(pool, table);
  return writeUnderClaim(pool, pass.claim, { name: 'closePass', heavy: true }, async (client) => {
    const ended = await client.query('SELECT counts FROM syncline.passes WHERE id = $1 AND counts IS NOT NULL', [
      pass.id,
    ]);
    if (ended.rows[0]) return { undone: null, counts: ended.rows[0].counts };
    const sums = await sumSlices(client, pass);
    const lost = pass.keepsSeen ? await seenLost(client, pass, sums.seen) : null;
    const doubt = sums.doubt ?? lost ?? placeLost(pass, sums.rows);
    const swept = await sweep(client, pass, table, rules, { doubt, cameEmpty: sums.rows === 0 });
    const deleted = swept.deleted + (await dropListed(client, pass, table, rules.listed));
    for (const items of rules.items ?? [])
      await buryItems(client, { items, parents: table }, pass.claim.connection, pass.id, null);
    await keepCoverage(client, pass, rules.scope, {
      doubt,
      doubtFrom: sums.doubtFrom,
      withheld: swept.withheld,
      version: versionAfter(pass, sums, doubt),
    });
    if (snapshots > 0) await takeSnapshot(client, pass, table, snapshots);
    if (pass.kind === 'full' && doubt === null) await resolveRejects(client, pass);
    const { seen: _seen, doubtFrom: _from, version: _version, ...sum } = sums;
    const counts: PassCounts = {
      ...sum,
      deleted,
      withheld: swept.withheld,
      unsure: swept.unsure,
      doubt: swept.why ?? doubt,
    };
    await client.query('UPDATE syncline.passes SET ended_at = now(), verdict = $2, counts = $3 WHERE id = $1', [
      pass.id,
      doubt === null ? 'whole' : 'doubtful',
      counts,
    ]);
    await dropSeen(client, pass);
    await client.query('DELETE FROM syncline.slices WHERE pass_id = $1', [pass.id]);
    return { undone: null, counts };
  });
}

async function sumSlices(client: Client, pass: Pass) {
  const { rows } = await client.query(
    `SELECT count(*)::int AS slices, coalesce(sum(pages), 0)::int AS pages, coalesce(sum(rows), 0)::int AS rows, coalesce(sum(seen), 0)::int AS seen,
            coalesce(sum(written), 0)::int AS written, coalesce(sum(rejected), 0)::int AS rejected, coalesce(sum(requests), 0)::int AS requests,
            min(doubt) AS doubt, (array_agg(version))[1] AS version, min(from_ms) FILTER (WHERE doubt IS NOT NULL)::float8 AS "doubtFrom"
     FROM syncline.slices WHERE pass_id = $1`,
    [pass.id],
  );
  return rows[0] as Omit<PassCounts, 'deleted' | 'withheld' | 'unsure'> & Known;
}

interface Known {
  seen: number;
  doubtFrom: number | null;
  /** Of the only slice that a list by row version has. */
  version: string | number | null;
}

/** A pass by row version begins where rows stand, and a row that changes moves on: something always comes. */
function placeLost({ fromVersion = null }: Pass, rows: number): string | null {
  return fromVersion === null || rows > 0
    ? null
    : 'nothing came from the row version on behind which rows stood: the next run reads everything';
}

/** Row version with which the next pass begins: a doubtful one is read again from where it began, or all is where its place is lost. */
function versionAfter(
  { kind, fromVersion = null }: Pass,
  { rows, version }: Known & { rows: number },
  doubt: string | null,
) {
  if (doubt === null) return version;
  return kind === 'incremental' && rows > 0 ? fromVersion : null;
}

/** An unlogged set is empty after a crash of the server: then nobody knows who is missing. */
async function seenLost(client: Client, pass: Pass, committed: number): Promise<string | null> {
  const { rows } = await client.query(`SELECT count(*)::int AS n FROM ${seenOf(pass)} s`);
  return rows[0].n === committed
    ? null
    : `the set of ids seen holds ${rows[0].n} of ${committed}: the database restarted during the pass`;
}

async function dropListed(client: Client, pass: Pass, table: StreamTable, listed: StreamTable | null): Promise<number> {
  if (listed === null) return 0;
  const { rowCount } = await client.query(
    `UPDATE ${sqlName(table)} t SET deleted_at = l.synced_at, generation = $2 FROM ${sqlName(listed)} l
     WHERE t.connection_id = $1 AND l.connection_id = $1 AND l.id = t.id AND l.deleted_at IS NULL AND t.deleted_at IS NULL
       AND l.synced_at > t.synced_at`,
    [pass.claim.connection, pass.id],
  );
  return rowCount ?? 0;
}

/**
 * The watermark never passes a doubtful range: the next run reads it again, and the lag shows it. A replay moves nothing.
 * The beginning of a pass may have moved while it was read (db/slices.ts); behind the watermark, it leaves a hole.
 */
async function keepCoverage(
  client: Client,
  pass: Pass,
  scope: string,
  at: { doubt: string | null; doubtFrom: number | null; withheld: number; version: string | number | null },
): Promise<void> {
  if (pass.kind === 'replay') return;
  const whole = at.doubt === null;
  const reached = pass.toMs === null ? (whole ? pass.startedMs : null) : whole ? pass.toMs : at.doubtFrom;
  await client.query(
    `INSERT INTO syncline.streams AS s (connection_id, stream, watermark, covered_from, full_at, full_pass, scope, doubt, withheld, version)
     VALUES ($1, $2, to_timestamp($3::float8 / 1000), (SELECT from_time FROM syncline.passes WHERE id = $9), CASE WHEN $4 AND $5 THEN now() END,
       CASE WHEN $4 AND $5 THEN $9::bigint END, $6, $7, $8, $10)
     ON CONFLICT (connection_id, stream) DO UPDATE SET
       watermark = CASE WHEN $4 THEN excluded.watermark ELSE greatest(s.watermark, excluded.watermark) END,
       covered_from = CASE WHEN $4 OR s.watermark < excluded.covered_from THEN excluded.covered_from ELSE coalesce(s.covered_from, excluded.covered_from) END,
       full_at = coalesce(excluded.full_at, s.full_at), full_pass = coalesce(excluded.full_pass, s.full_pass), scope = excluded.scope, doubt = excluded.doubt, version = excluded.version,
       withheld = CASE WHEN $4 THEN excluded.withheld ELSE s.withheld END`,
    [
      pass.claim.connection,
      pass.stream,
      reached,
      pass.kind === 'full',
      whole,
      scope,
      at.doubt,
      at.withheld,
      pass.id,
      at.version === null ? null : JSON.stringify(at.version),
    ],
  );
}

/** Rejects that a whole pass no longer brought are settled. */
async function resolveRejects(client: Client, pass: Pass): Promise<void> {
  await client.query(
    `UPDATE syncline.rejects SET resolved_at = now()
     WHERE connection_id = $1 AND pipeline = $4 AND stream = $2 AND resolved_at IS NULL AND last_seen < to_timestamp($3::float8 / 1000)`,
    [pass.claim.connection, pass.stream, pass.startedMs, rejectPipeline(pass.claim)],
  );
}
