import type { Stream } from './shape.ts';

/**
 * Whether a row counts as gone only once two full passes running have missed it. A list that is read part by part shows
 * nobody who moved to a part that was read already, or to one that came meanwhile. In a list by numbers whose rows may
 * enter in front of others, one that leaves and one that enters between two answers push a third one past the reader, and
 * no count tells.
 */
export function sweepsTwice({ deletes, over, instead, paging }: Stream): boolean {
  if (deletes.kind !== 'sweep') return false;
  if (over || instead) return true;
  const numbered = paging.kind === 'page' || paging.kind === 'offset';
  return numbered && (paging.order === 'unknown' || paging.order === 'descending');
}
