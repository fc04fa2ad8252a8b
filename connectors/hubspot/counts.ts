/**
 * What a slice did, row by row and call by call; the run adds them up. Attempts that failed count too. Of one whose worker
 * was killed the last second may be missing, and rows whose outcome was not written yet are sent and counted again.
 */
export interface Counts {
  /** Rows of the log that were moved into the dirty set. */
  drained: number;
  /** Users that were marked because everybody was. */
  marked: number;
  /** Dirty users that were looked at; those read ahead when a slice ended count again. */
  looked: number;
  /** Of them: HubSpot had the mapped row already, or needs nothing. */
  unchanged: number;
  /** Written at HubSpot, row by row as its answers say. */
  written: number;
  archived: number;
  /** Contacts that heard for the first time that their user left (`leave: update`); they count as written or passed too. */
  toldLeft: number;
  /** Mode update: no such contact. Mode insert: the contact was there. */
  passed: number;
  /** Refused by the check against the catalog, before any call. */
  refusedHere: number;
  /** Refused by HubSpot. */
  refusedThere: number;
  /** Of those refused, here or there: set aside before. */
  refusedAgain: number;
  /** Refused for a value that another contact had; tried again behind the others, whose values may move. */
  again: number;
  /** Sent in a call that ended without an answer, or whose answer leaves the row out; sent again later. */
  unanswered: number;
  /** Batch calls that left. */
  calls: number;
  /** Of them: to find out which rows of a refused batch are bad. */
  isolation: number;
  /** Answers that asked to wait (429, 423, 477). */
  waits: number;
}

export const noCounts: Counts = {
  drained: 0,
  marked: 0,
  looked: 0,
  unchanged: 0,
  written: 0,
  archived: 0,
  toldLeft: 0,
  passed: 0,
  refusedHere: 0,
  refusedThere: 0,
  refusedAgain: 0,
  again: 0,
  unanswered: 0,
  calls: 0,
  isolation: 0,
  waits: 0,
};

/** Adds what another part of the run counted; it may know fewer numbers. */
export function addCounts(counts: Counts, more: Readonly<Partial<Counts>>): Counts {
  const names = Object.keys(noCounts) as (keyof Counts)[];
  return Object.fromEntries(names.map((name) => [name, counts[name] + (more[name] ?? 0)])) as unknown as Counts;
}
