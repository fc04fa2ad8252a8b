import type { Paging, Stream } from '../../../connectors/shape.ts';
import { SyncError } from '../../errors.ts';
import type { ReadAt } from '../paginate.ts';
import { digestsOf, markOf } from './keys.ts';
import { isClosed } from './page.ts';
import { agrees, sameAsAtStart } from './proof.ts';
import { type Got, moreOf, proven, type Strategy, type Turn } from './strategy.ts';

type ByOffset = Extract<Paging, { kind: 'offset' }>;

interface Position {
  /** Row to ask for, counted as the platform counts. */
  at: number;
  /** Marks of the last rows that were read: one of them, unchanged, on the next page proves that nothing fell between. */
  edge: string[];
  /** Rows to step back by when none is found; doubled each time. */
  back: number;
  backs: number;
  /** No anchor was found as often as we step back. */
  torn: boolean;
  before: string;
  /** The list came in one answer. */
  atOnce: boolean;
}

/** Rows whose marks are kept of a page. */
const edgeRows = 20;
/** One row in so many is asked for twice: 2 % more requests. */
const overlapShare = 50;
/** Steps back that a read may take: so many, and one in so many requests more. */
const backsMost = 20;
const backsShare = 20;

/**
 * Row offset. Each page begins with the last rows of the one before: while one of them stands there unchanged, no row that
 * stayed in its place can have fallen between the two. Where none does, the reader steps back until one does.
 */
export function byOffset(name: string, stream: Stream, paging: ByOffset, at: ReadAt): Strategy<Position> {
  const { param, first, size, total, order } = paging;
  const closed = isClosed(stream, at);
  const list: List = { name, paging, digest: digestsOf(stream) };
  return {
    start: () => ({ at: first, edge: [], back: 0, backs: 0, torn: false, before: '', atOnce: false }),
    total,
    counting: total === undefined ? 'nothing' : order === 'fixed' || closed ? 'keys' : 'keys and times',
    ask: (state) => ({
      params: { [param]: state.at, ...(size.param !== undefined && { [size.param]: size.rows }) },
    }),
    take: (state, got) => take(list, state, got),
    judge({ torn, atOnce }, counts) {
      if (atOnce) return proven;
      if (torn) return { doubt: 'the list moved faster than it could be read', again: true, owed: null };
      if (order === 'fixed') return agrees(counts);
      return sameAsAtStart(counts, { closed, dated: stream.time !== undefined });
    },
  };
}

interface List {
  name: string;
  paging: ByOffset;
  digest(rows: readonly unknown[]): string;
}

function take(list: List, state: Position, got: Got): Turn<Position> {
  const { name, paging } = list;
  const { rows } = got;
  const position = `offset ${state.at}`;
  const before = list.digest(rows);
  if (before !== '' && before === state.before && state.back === 0)
    throw new SyncError(
      'BadAnswer',
      `${name}: offset ${state.at} brings the page before: the platform ignores "${paging.param}"`,
    );
  const marks = rows.map(markOf);
  const edge = new Set(state.edge);
  const joins = state.at === paging.first || edge.size === 0 || marks.some((mark) => edge.has(mark));
  if (!joins && state.backs < backsMost + got.counts.requests / backsShare)
    return stepBack(paging, state, before, position);
  const fresh = rows.filter((_, index) => !edge.has(marks[index] as string));
  const sign = signOf(list, state, got, fresh.length);
  const overlap = Math.min(rows.length - 1, Math.max(1, Math.floor(rows.length / overlapShare)));
  return {
    state: {
      at: state.at + Math.max(1, rows.length - Math.max(0, overlap)),
      edge: marks.length > 0 ? marks.slice(-edgeRows) : state.edge,
      back: 0,
      backs: state.backs,
      torn: state.torn || !joins,
      before,
      atOnce: sign !== null && state.at === paging.first && state.edge.length === 0,
    },
    position,
    sign,
    rows: fresh,
  };
}

/** The rows of a page that does not join are kept for later: they come again on the way up. */
function stepBack({ first, size }: ByOffset, state: Position, before: string, position: string): Turn<Position> {
  const back = state.back === 0 ? Math.max(1, size.rows - 1) : state.back * 2;
  return {
    state: { ...state, at: Math.max(first, state.at - back), back, backs: state.backs + 1, before },
    position,
    sign: null,
    silent: true,
  };
}

function signOf({ name, paging }: List, state: Position, { answer, rows, total }: Got, fresh: number): string | null {
  const more = moreOf(name, answer.data, paging.more);
  if (more === false) return `"${paging.more}" is false`;
  if (total !== null && state.at - paging.first + rows.length >= total) return 'the total is reached';
  if (rows.length === 0) return 'an empty page';
  // Behind the last row there is the overlap alone.
  return more === undefined && total === null && fresh === 0 ? 'nothing behind the rows before' : null;
}
