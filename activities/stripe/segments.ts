import type { SliceState } from '../../db/slices.ts';
import type { StripeObject } from './rows.ts';

/** Where a reader stands in its part of a list. */
export interface Place {
  /** Ids behind which the next page begins, the last of the page first: an object that is deleted is no place any more. */
  after: string[];
  /** `created` of the last object, ms. */
  atMs: number | null;
}

/** A part of a list that is read from its newest object to its oldest. */
export interface Segment {
  state: SliceState;
  busy: boolean;
  /** How much time its last page of 100 covered, ms; null before the first. */
  pageMs: number | null;
  /** Pages as they stand in the database. */
  committed: number;
}

export const placeOf = (state: SliceState) => state.cursor as Place | null;

/** Fewer pages are read faster than they are divided. */
const leastPages = 2;

/** Pages that a segment still has, as its density of late says; 0 where nobody can tell. */
function pagesLeft({ state, pageMs }: Segment): number {
  const at = placeOf(state)?.atMs;
  if (pageMs === null || at === null || at === undefined || typeof state.fromMs !== 'number') return 0;
  return Math.max(0, at - state.fromMs) / Math.max(1_000, pageMs);
}

/**
 * A lane gets so many pages at first, and more as the list turns out to be long. Each part ends with a page that is not full:
 * with 16, 20,000 clustered objects took 214 requests, with 40 they take 206.
 */
const leastShare = 40;

/**
 * How to divide the work that is left among lanes that have none. The segment with most pages ahead keeps a share of them,
 * each idle lane but one gets as much right behind it, the last one the rest. Shares are measured by the density where the
 * reader stands, and are small while little is known: objects that stand close together in time are all near by, where equal
 * spans of time would be empty but for one.
 * @param pagesRead of the whole list so far
 * @returns the segment and the ends of its lower spans, ascending from its own beginning; null when nothing is worth it
 */
export function planCut(
  segments: Iterable<Segment>,
  idle: number,
  pagesRead: number,
): { segment: Segment; bounds: number[] } | null {
  let best: Segment | undefined;
  for (const one of segments) if (!best || pagesLeft(one) > pagesLeft(best)) best = one;
  if (!best) return null;
  const pages = pagesLeft(best);
  if (pages < leastPages) return null;
  const from = best.state.fromMs as number;
  const at = placeOf(best.state)?.atMs as number;
  const parts = Math.min(idle + 1, Math.floor(pages));
  const share = Math.min(pages / parts, Math.max(leastShare, pagesRead / 4));
  const bounds = [from];
  for (let part = parts - 1; part >= 1; part--) {
    const bound = Math.ceil((at - (at - from) * ((share * part) / pages)) / 1_000) * 1_000;
    if (bound > (bounds.at(-1) as number) && bound < at) bounds.push(bound);
  }
  return bounds.length > 1 ? { segment: best, bounds } : null;
}

/**
 * How many readers side by side use up a limit: requests on their way at once are rate times latency (Little's law), and one
 * more is ready when a permit comes. Further ones would only queue, and each leaves a last page behind that is not full:
 * 20,000 clustered rows at 25 requests a second and 100 ms took 217 requests with eight readers and 210 with four.
 * @param perSecond requests that the limits allow
 * @param tookMs of late from the permit to the page in hand; null before the first page
 * @param most readers that the connection's options allow
 */
export function lanesWorth(perSecond: number, tookMs: number | null, most: number): number {
  if (tookMs === null) return most;
  return Math.min(most, Math.ceil((perSecond * tookMs) / 1_000) + 1);
}

/** When an object was made, ms; null where it does not say. */
export function createdOf(object: StripeObject | undefined): number | null {
  return typeof object?.created === 'number' ? object.created * 1_000 : null;
}

/** State of a part of which nothing was read yet. */
export const fresh: Omit<SliceState, 'no'> = {
  cursor: null,
  done: false,
  pages: 0,
  rows: 0,
  seen: 0,
  written: 0,
  rejected: 0,
  requests: 0,
  rereads: 0,
  total: null,
  doubt: null,
};
