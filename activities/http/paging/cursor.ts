import type { Paging, Stream } from '../../../connectors/shape.ts';
import { SyncError } from '../../errors.ts';
import { valueAt } from '../values.ts';
import { digestsOf, short } from './keys.ts';
import { agrees } from './proof.ts';
import { type Got, moreOf, type Strategy } from './strategy.ts';
import { cameBefore, goOn, noTrail, type Trail } from './trail.ts';

type ByCursor = Extract<Paging, { kind: 'cursor' }>;

interface Position {
  /** Cursor to send; null = the first request. */
  at: string | number | null;
  /** Number of the page to ask for, from 1. */
  page: number;
  /** When the request before left, ms; 0 = none did. */
  sentMs: number;
  /** The last page had rows and neither a cursor nor the word that ends. */
  cut: boolean;
  cursors: Trail;
  pages: Trail;
}

/**
 * Opaque cursor: the platform keeps the place, so rows that move do not shift the others. The end is a flag, a word, or a
 * cursor that is missing or empty; an empty page with a cursor is not the end.
 */
export function byCursor(name: string, stream: Stream, paging: ByCursor): Strategy<Position> {
  const { param, size, first, total, pageParam, livesMs } = paging;
  const digest = digestsOf(stream);
  return {
    start: () => ({ at: null, page: 1, sentMs: 0, cut: false, cursors: noTrail, pages: noTrail }),
    total,
    counting: total === undefined ? 'nothing' : 'keys',
    // A scroll goes forward with each request: after a stop nobody knows how far it is.
    oneCall: livesMs !== undefined,
    isChain: (state) => state.at !== null,
    ask({ at, page }) {
      const value = at ?? first;
      return {
        params: {
          ...(value !== undefined && { [param]: value }),
          ...(size.param !== undefined && { [size.param]: size.rows }),
          ...(pageParam !== undefined && { [pageParam]: page }),
        },
      };
    },
    take(state, got) {
      const { rows, answer } = got;
      if (livesMs !== undefined && state.sentMs > 0 && answer.requestedAt - state.sentMs > livesMs)
        throw new SyncError(
          'ChainBroken',
          `${name}: ${answer.requestedAt - state.sentMs} ms passed between two requests of a scroll that lives ${livesMs} ms`,
        );
      const seen = digest(rows);
      if (cameBefore(state.pages, seen))
        throw new SyncError('BadAnswer', `${name}: page ${state.page} came before: the platform ignores "${param}"`);
      const { next, sign, cut } = nextOf(name, paging, got);
      const link = next === null ? '' : short(String(next));
      if (cameBefore(state.cursors, link))
        throw new SyncError(
          'BadAnswer',
          `${name}: the cursor does not advance after page ${state.page} (${got.counts.rows + rows.length} rows)`,
        );
      return {
        state: {
          at: next,
          page: state.page + 1,
          sentMs: answer.requestedAt,
          cut,
          cursors: goOn(state.cursors, link),
          pages: goOn(state.pages, seen),
        },
        position: `page ${state.page}`,
        sign,
      };
    },
    judge(state, counts) {
      if (!state.cut) return agrees(counts);
      const doubt = `the last page had rows and neither a cursor nor "${paging.sentinel}"`;
      return { doubt, again: true, owed: null };
    },
  };
}

interface Next {
  next: string | number | null;
  sign: string | null;
  cut: boolean;
}

function nextOf(name: string, paging: ByCursor, { answer, rows }: Got): Next {
  const told = valueAt(answer.data, paging.next);
  const end = (sign: string, cut = false): Next => ({ next: null, sign, cut });
  if (paging.sentinel !== undefined && String(told) === paging.sentinel) return end(`the word "${paging.sentinel}"`);
  const more = moreOf(name, answer.data, paging.more);
  if (more === false) return end(`"${paging.more}" is false`);
  if (isCursor(told)) return { next: told, sign: null, cut: false };
  if (more === true)
    throw new SyncError(
      'BadAnswer',
      `${name}: "${paging.more}" says that there is more, and "${paging.next}" holds no cursor`,
    );
  return end(`no cursor at "${paging.next}"`, paging.sentinel !== undefined && rows.length > 0);
}

/** 0 is where lists start, never where they go on. */
function isCursor(told: unknown): told is string | number {
  return (typeof told === 'string' && told !== '' && told !== '0') || (typeof told === 'number' && told !== 0);
}
