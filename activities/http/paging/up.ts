import { SyncError } from '../../errors.ts';
import type { List, Numbered, Up } from './numbered.ts';
import { type Got, moreOf, type Turn } from './strategy.ts';

/**
 * One page upwards, where rows do not move and no total is known. A flag ends the list, or an empty page, or a page that is
 * shorter than one before it, or the first page again behind a short one (some platforms wrap).
 */
export function readUp({ name, paging, digest: digestOf }: List, state: Up, { answer, rows }: Got): Turn<Numbered> {
  const { page } = state;
  const digest = digestOf(rows);
  const position = `page ${page}`;
  const end = (sign: string, silent = false): Turn<Numbered> => ({
    state: { phase: 'ended', page, read: 'up', doubt: null },
    position,
    sign,
    silent,
  });
  if (digest !== '' && (digest === state.first || digest === state.before)) {
    if (digest === state.first && !state.wasFull) return end('the first page again', true);
    throw new SyncError('BadAnswer', `${name}: page ${page} came before: the platform ignores "${paging.param}"`);
  }
  const more = moreOf(name, answer.data, paging.more);
  if (more === false) return end(`"${paging.more}" is false`);
  if (more === undefined && rows.length === 0) return end('an empty page');
  if (more === undefined && rows.length < state.fullest) return end('a short page');
  if (more === true && rows.length === 0 && state.before === '' && page > paging.first)
    throw new SyncError('BadAnswer', `${name}: two empty pages, and "${paging.more}" says that there is more`);
  return {
    state: {
      phase: 'up',
      page: page + 1,
      fullest: Math.max(state.fullest, rows.length),
      first: state.first || digest,
      before: digest,
      wasFull: rows.length >= Math.max(state.fullest, paging.size.rows),
    },
    position,
    sign: null,
  };
}
