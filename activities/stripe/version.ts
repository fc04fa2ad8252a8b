/*
 * When a state of an object is valid, as one number that Postgres can compare (`source_time`), ms by Stripe's clock.
 *
 * An event says the second of its change, no more; several changes share a second. A read says no time at all. So:
 * - a snapshot out of an event of second S is written as S
 * - a read that began in second A or later is written as one millisecond before A: it holds every change of the seconds
 *   before A, and of second A nobody can tell
 * - a read that was made because of an event of second S, and began not provably later, is written as one millisecond
 *   behind S: it holds that change, and may lack others of the same second
 * - a deletion told by an event of second S is written two milliseconds before the next second: behind all else of its own
 * The newer number wins (db/land.ts). What the numbers cannot decide is decided by another read, never by guessing.
 */

/** Milliseconds behind a read's second in which its true moment may be: rounding of the Date header, and the request itself. */
const unsureMs = 5_000;

/**
 * Beginning of a request by the source's clock, at the latest: the answer's Date (rounded down by the server) less the time
 * the request took. It needs no agreement of clocks.
 */
export function secondOf(dateMs: number, tookMs: number): number {
  return Math.floor((dateMs - tookMs) / 1_000) * 1_000;
}

/** Number of a read: of second `secondMs`, made because of events of second `becauseMs` at the latest. */
export function readTime(secondMs: number, becauseMs: number | null = null): number {
  return becauseMs !== null && becauseMs >= secondMs ? becauseMs + 1 : secondMs - 1;
}

/** Number of a deletion that an event of second `eventMs` tells. */
export const deletionTime = (eventMs: number) => eventMs + 998;

/**
 * Number of a read that began when the row stood at `rowMs`: whatever the row was made of had happened before, so that the
 * read is newer, also where its second does not say so.
 */
export function laterTime(secondMs: number, rowMs: number | null): number {
  const own = readTime(secondMs);
  if (rowMs === null) return own;
  const rest = restOf(rowMs);
  return Math.max(own, rest === 0 ? rowMs + 1 : rest === 998 ? rowMs + 1_003 : rowMs);
}

const restOf = (ms: number) => ((ms % 1_000) + 1_000) % 1_000;

/**
 * What an event of second `eventMs` is worth beside a row of number `rowMs` (null: no row).
 * - `apply`: its snapshot is newer
 * - `stale`: the row holds its change
 * - `read`: nobody can tell; the object is read
 */
export function judgeEvent(eventMs: number, rowMs: number | null): 'apply' | 'stale' | 'read' {
  if (rowMs === null) return 'apply';
  const rest = restOf(rowMs);
  if (rest === 0 || rest === 998) {
    const second = rowMs - rest;
    return eventMs > second ? 'apply' : eventMs < second ? 'stale' : 'read';
  }
  const secondMs = rest === 1 ? rowMs - 1 : rowMs + 1;
  if (eventMs < secondMs) return 'stale';
  // A snapshot of a change that the read may have seen could take the row back for a moment.
  return eventMs > secondMs + unsureMs ? 'apply' : 'read';
}
