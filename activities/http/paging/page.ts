import type { Stream } from '../../../connectors/shape.ts';
import { SyncError } from '../../errors.ts';
import type { ReadAt } from '../paginate.ts';
import { probe, readDown } from './down.ts';
import { digestsOf } from './keys.ts';
import { type ByPage, type List, type Numbered, requireDepth } from './numbered.ts';
import { agrees, leavesOnly, sameAsAtStart } from './proof.ts';
import { proven, type Strategy } from './strategy.ts';
import { readTail } from './tail.ts';
import { readUp } from './up.ts';

/**
 * Page numbers. With a total the list is read from its last page to its first: a row that leaves the set shifts others to
 * pages that are not read yet. What entered an open list at its end, or moved there, is read afterwards. Without a total
 * (only where rows do not move) its last page is looked for upwards before.
 */
export function byPage(name: string, stream: Stream, paging: ByPage, at: ReadAt): Strategy<Numbered> {
  const { param, first, size, total, order } = paging;
  const closed = isClosed(stream, at);
  // Without a total nobody knows where the end is by now: what entered meanwhile is left to the next read.
  const growsAtEnd = total !== undefined && !closed && (order === 'ascending' || order === 'fixed');
  const list: List = { name, stream, paging, digest: digestsOf(stream), growsAtEnd };
  return {
    start: () =>
      total === undefined
        ? { phase: 'up', page: first, fullest: 0, first: '', before: '', wasFull: false }
        : { phase: 'probe', page: first },
    total,
    counting: total === undefined ? 'nothing' : closed || growsAtEnd ? 'keys' : 'keys and times',
    ask({ page }) {
      requireDepth(list, page);
      return { params: { [param]: page, ...(size.param !== undefined && { [size.param]: size.rows }) } };
    },
    take(state, got) {
      switch (state.phase) {
        case 'probe':
          return probe(list, state, got);
        case 'down':
          return readDown(list, state, got);
        case 'tail':
          return readTail(list, state, got);
        case 'up':
          return readUp(list, state, got);
        case 'ended':
          throw new SyncError('Defect', `${name}: asked beyond the end of the list`);
      }
    },
    judge(state, counts) {
      if (state.phase !== 'ended' || state.read === 'at once') return proven;
      if (state.doubt !== null) return { doubt: state.doubt, again: true, owed: null };
      // Rows that do not move can only leave, and the way down walks against that.
      if (total === undefined) return proven;
      if (state.read === 'tail') return agrees(counts);
      if (closed && order !== 'unknown') return leavesOnly(counts);
      return sameAsAtStart(counts, { closed, dated: stream.time !== undefined });
    },
  };
}

/** A window with its end in the request: the reader of windows keeps its end behind the platform's lag, so nothing enters. */
export function isClosed({ window }: Stream, { params }: ReadAt): boolean {
  return window !== undefined && window.to in params;
}
