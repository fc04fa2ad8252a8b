import { SyncError } from '../../errors.ts';
import { isTooDeep, type List, type Numbered, type Up } from './numbered.ts';
import { type Got, moreOf, type Turn } from './strategy.ts';

/**
 * One page upwards, where no total tells which page is the last one. A flag ends the list, or an empty page, or, behind a
 * short one, the first page again or the last one (some platforms wrap or stay). A short page does not: a filter behind it
 * takes rows out of any page. Nothing is handed out on the way: a row that is removed meanwhile shifts others to pages that
 * were read already, so the rows are read from the last page to the first, as where a total is known.
 */
export function readUp(list: List, state: Up, { answer, rows }: Got): Turn<Numbered> {
  const { name, paging } = list;
  const { page, fullest } = state;
  const digest = list.digest(rows);
  const position = `page ${page}`;
  const end = (sign: string, last = page, doubt: string | null = null): Turn<Numbered> => {
    // Of one page nothing can leave unseen.
    if (page === paging.first) return { state: { phase: 'ended', page, read: 'at once', doubt }, position, sign };
    const perPage = Math.max(fullest, rows.length);
    const told = (last - paging.first + 1) * perPage;
    const down = { page: last, perPage, probe: '', before: '', told, anchors: null, doubt };
    return { state: { phase: 'down', ...down }, position, sign: null, silent: true };
  };
  if (digest !== '' && (digest === state.first || digest === state.before)) {
    if (!state.wasFull) return end(`the ${digest === state.first ? 'first' : 'last'} page again`, page - 1);
    throw new SyncError('BadAnswer', `${name}: page ${page} came before: the platform ignores "${paging.param}"`);
  }
  const more = moreOf(name, answer.data, paging.more);
  if (more === false) return end(`"${paging.more}" is false`);
  if (more === undefined && rows.length === 0) return end('an empty page', page - 1);
  if (more === undefined && rows.length < fullest && isTooDeep(list, page + 1))
    return end('a short page', page, `page ${page} is short, and the platform serves none behind it`);
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
