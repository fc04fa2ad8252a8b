import type { SliceState } from '../../db/passes.ts';

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
 * How to divide the work that is left among lanes that have none: the segment with most pages ahead is cut into equal spans
 * of time, one for its own reader and one for each idle lane. Spans that turn out empty cost a request each; the next cut
 * halves what is left, so that objects that stand close together in time are found in a few cuts.
 * @returns the segment and the ends of its lower spans, ascending from its own beginning; null when nothing is worth it
 */
export function planCut(segments: Iterable<Segment>, idle: number): { segment: Segment; bounds: number[] } | null {
  let best: Segment | undefined;
  for (const one of segments) if (!best || pagesLeft(one) > pagesLeft(best)) best = one;
  if (!best) return null;
  const pages = pagesLeft(best);
  if (pages < leastPages) return null;
  const from = best.state.fromMs as number;
  const at = placeOf(best.state)?.atMs as number;
  const parts = Math.min(idle + 1, Math.floor(pages));
  const bounds = [from];
  for (let i = 1; i < parts; i++) {
    const bound = Math.ceil((from + ((at - from) * i) / parts) / 1_000) * 1_000;
    if (bound > (bounds.at(-1) as number) && bound < at) bounds.push(bound);
  }
  return bounds.length > 1 ? { segment: best, bounds } : null;
}
