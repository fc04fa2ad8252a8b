import { anchorsOf, type Ended, hasAnchor, type List, lastPage, type Numbered, type Tail } from './numbered.ts';
import type { Got, Turn } from './strategy.ts';

/** An end that moves faster than so many looks at it is left to the next read. */
const roundsMost = 8;

/**
 * Finds what went to the end of the list while it was read. All that was there before the way down and never moved stands
 * before all that came or moved later; so reading back from the end to a row that has not changed since (an anchor) shows
 * the rest. Rows may move again meanwhile: a round that took several answers is followed by another one, from the end to
 * the rows that its first answer showed. A round of one answer is a proof.
 */
export function readTail(list: List, state: Tail, got: Got): Turn<Numbered> {
  const { rows, total } = got;
  const { page, perPage, width } = state;
  const position = `page ${page}`;
  if (total === null)
    return { state: ended(page, 'the platform told no total at the end of the read'), position, sign: 'no total' };
  const end = lastPage(list, total, perPage);
  if (width === 0 && page !== end) {
    // The end is elsewhere by now; a page beyond it says nothing.
    return again(list, { ...state, page: end, round: state.round + 1 }, position, page > end);
  }
  const next = width === 0 ? anchorsOf(list, got) : state.next;
  const reached = page === list.paging.first || hasAnchor(list, rows, state.anchors);
  if (!reached) return { state: { ...state, page: page - 1, width: width + 1, next }, position, sign: null };
  if (width === 0) return { state: ended(page, null), position, sign: 'nothing behind the rows that were read first' };
  return again(
    list,
    { ...state, page: end, anchors: next, round: state.round + 1, width: 0, next: null },
    position,
    false,
  );
}

function again(list: List, state: Tail, position: string, silent: boolean): Turn<Numbered> {
  if (state.round <= roundsMost) return { state, position, sign: null, silent };
  const doubt = `the end of the list moved on ${roundsMost} times while it was read`;
  return { state: ended(list.paging.first, doubt), position, sign: 'the end moves', silent };
}

function ended(page: number, doubt: string | null): Ended {
  return { phase: 'ended', page, read: 'tail', doubt };
}
