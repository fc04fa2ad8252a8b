import { SyncError } from '../../errors.ts';
import type { List, Numbered, Up } from './numbered.ts';
import { type Got, moreOf, type Turn } from './strategy.ts';

/**
 * One page upwards, where no total tells which page is the last one. A flag ends the list, or an empty page, or a page that
 * is shorter than one before it, or the first page again behind a short one (some platforms wrap). Nothing is handed out
 * on the way: a row that is removed meanwhile shifts others to pages that were read already, so the rows are read from
 * the last page to the first, as where a total is known.
 */
export function readUp({ name, paging, digest: digestOf }: List, state: Up, { answer, rows }: Got): Turn<Numbered> {
  const { page, fullest } = state;
  const digest = digestOf(rows);
  const position = `page ${page}`;
  const end = (sign: string, last = page): Turn<Numbered> => {
    // Of one page nothing can leave unseen.
    if (page === paging.first) return { state: { phase: 'ended', page, read: 'at once', doubt: null }, position, sign };
    const perPage = Math.max(fullest, rows.length);
    const told = (last - paging.first + 1) * perPage;
    const down = { page: last, perPage, probe: '', before: '', told, anchors: null };
    return { state: { phase: 'down', ...down }, position, sign: null, silent: true };
  };
  if (digest !== '' && (digest === state.first || digest === state.before)) {
    if (digest === state.first && !state.wasFull) return end('the first page again', page - 1);
    throw new SyncError('BadAnswer', `${name}: page ${page} came before: the platform ignores "${paging.param}"`);
  }
  const more = moreOf(name, answer.data, paging.more);
  if (more === false) return end(`"${paging.more}" is false`);
  if (more === undefined && rows.length === 0) return end('an empty page', page - 1);
  if (more === undefined && rows.length < fullest) return end('a short page');
  if (more === true && rows.length === 0 && state.before === '' && page > paging.first)
    throw new SyncError('BadAnswer', `${name}: two empty pages, and "${paging.more}" says that there is more`);
  return {
    state: {
      phase: 'up',
      page: page + 1,
      fullest: Math.max(fullest, rows.length),
      first: state.first || digest,
      before: digest,
      wasFull: rows.length >= Math.max(fullest, paging.size.rows),
    },
    position,
    sign: null,
    silent: true,
  };
}
