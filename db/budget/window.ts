/**
 * A rate whose window moves along (`window_s`, `window_most`): beside the bucket, which evens out, it is counted what left
 * within the window, so that the whole limit can be used and never more. `taken` holds pairs of moment (seconds since 1970)
 * and requests, oldest first, one for each thousandth of the window in which something was leased.
 */
const epoch = 'extract(epoch FROM statement_timestamp())::float8';
const slotsInWindow = 1000;
/** Entries from further ahead were written under another server's clock: they would block for as long as the clocks differ. */
const counts = (at: string) => `${at} > ${epoch} - b.window_s AND ${at} < ${epoch} + 5 + b.window_s / ${slotsInWindow}`;
const entries = `(SELECT b.taken[i][1] AS at, b.taken[i][2] AS n FROM generate_subscripts(b.taken, 1) i) e`;
const ofWindow = (sql: string) => `CASE WHEN b.window_s IS NOT NULL THEN ${sql} END`;

/** What may still leave within the window; null where a rate has none. `b` is the budget's row. */
export const windowRoom = ofWindow(
  `b.window_most - (SELECT coalesce(sum(e.n), 0) FROM ${entries} WHERE ${counts('e.at')})`,
);

/**
 * Who gives back leased at least so long ago, seconds (twice `leaseMs`). To take it from a later entry than its own would let
 * that many leave too early once its own is out of the window; from an earlier one is always safe.
 */
const old = (at: string) => `${at} <= ${epoch} - 0.5`;
/** The entries once `requests` more leave, `debt` seconds from now, and `back` of older ones do not: the newest of those. */
export const windowTaken = (requests: string, back: string, debt: string) =>
  ofWindow(`(
  SELECT array_agg(ARRAY[s.at, s.n] ORDER BY s.at) FROM (
    SELECT at, sum(n) AS n FROM (
      SELECT at, CASE WHEN ${old('at')} THEN n - least(n, greatest(0, ${back} - newer)) ELSE n END AS n
      FROM (SELECT e.at, e.n, coalesce(sum(e.n) FILTER (WHERE ${old('e.at')}) OVER (ORDER BY e.at DESC) - e.n, 0) AS newer
            FROM ${entries} WHERE ${counts('e.at')}) known
      UNION ALL
      SELECT ceil((${epoch} + ${debt}) * ${slotsInWindow} / b.window_s) * b.window_s / ${slotsInWindow}, ${requests}
    ) x GROUP BY at HAVING sum(n) > 0
  ) s)`);

/** Seconds until what was taken beyond the limit has room: workers that leased at the same moment. Null: nothing was. */
export const windowWait = ofWindow(`(
  SELECT min(s.at) + b.window_s - ${epoch} FROM (
    SELECT e.at, sum(e.n) OVER (ORDER BY e.at) AS gone, sum(e.n) OVER () AS all_taken FROM ${entries} WHERE ${counts('e.at')}
  ) s WHERE s.gone >= s.all_taken - b.window_most AND s.all_taken > b.window_most)`);
