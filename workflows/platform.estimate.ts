/*
 * How far a stream is and how long it still takes, from the same numbers wherever they come from: the results that a run has
 * (platform.view.ts), or what is committed (db/readings.ts). Pure.
 */

/** What is read of a stream's pass, and what is known of the rest. */
export interface Standing {
  rows: number;
  /** Parts that are read, and all there are so far. */
  done: number;
  slices: number;
  /** Length of the range, and of what is read of it, ms; 0 without a window. */
  spanMs: number;
  coveredMs: number;
  /** Of open parts whose source tells how many rows they hold: how many parts, rows that came, and rows in all. */
  known: { parts: number; read: number; total: number };
}

/** Where a run began, and what its budget allows. */
export interface Start {
  startedMs: number;
  /** What an earlier run had read of the same pass. */
  before: { rows: number; covered: number };
  requestsPerSecond: number | null;
  /** Rows of a full page. */
  pageRows: number;
}

/** Share of the rows where all of them are known, else of the range, else of the parts; below 1 until the pass has ended. */
export function coveredOf({ rows, done, slices, spanMs, coveredMs, known }: Standing): number {
  const most = (share: number) => Math.max(0, Math.min(0.99, share));
  if (known.total > 0 && slices - done <= known.parts) return most(rows / (rows - known.read + known.total));
  if (spanMs > 0) return most(coveredMs / spanMs);
  return most(done / Math.max(1, slices));
}

/** Least share of the way that says anything about the rest. */
const leastShare = 0.005;

/** Rows a second since the run began, and seconds to go: at the pace so far and within the budget; null while nobody can tell. */
export function paceOf(
  now: Pick<Standing, 'rows' | 'known'> & { covered: number },
  { startedMs, before, requestsPerSecond, pageRows }: Start,
  nowMs: number,
): { rowsPerSecond: number; etaSeconds: number | null } {
  const seconds = Math.max(1, (nowMs - startedMs) / 1000);
  const rowsPerSecond = Math.max(0, Math.round((now.rows - before.rows) / seconds));
  const way = now.covered - before.covered;
  if (way <= leastShare || now.covered >= 1) return { rowsPerSecond, etaSeconds: null };
  const budgetSeconds =
    requestsPerSecond === null ? 0 : (now.known.total - now.known.read) / pageRows / requestsPerSecond;
  return { rowsPerSecond, etaSeconds: Math.ceil(Math.max((seconds * (1 - now.covered)) / way, budgetSeconds)) };
}
