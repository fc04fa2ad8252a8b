import { SyncError } from '../../errors.ts';
import { anchorsOf, type Down, type List, lastPage, type Numbered, type Probe, requireDepth } from './numbered.ts';
import type { Got, Turn } from './strategy.ts';

/** A first page of fewer rows than asked shows the platform's own size; more pages than this many times the plan do not. */
const morePages = 20;

/** Reads the total off the first page; a list of one page ends here. */
export function probe(list: List, { page }: Probe, { rows, total }: Got): Turn<Numbered> {
  const { name, paging } = list;
  const { size } = paging;
  if (total === null)
    throw new SyncError(
      'BadAnswer',
      `${name}: the first answer tells no total at "${paging.total}", accepted a whole number`,
    );
  if (rows.length >= total && (rows.length > 0 || total === 0))
    return {
      state: { phase: 'ended', page, read: 'at once', doubt: null },
      position: `page ${page}`,
      sign: 'one page',
    };
  if (rows.length === 0)
    throw new SyncError(
      'BadAnswer',
      `${name}: the platform names ${total} rows and shows none: the credential may not see them, or "rows" of the connector is wrong`,
    );
  const perPage = Math.min(rows.length, size.rows);
  if (Math.ceil(total / perPage) > morePages * Math.ceil(total / size.rows))
    throw new SyncError(
      'BadAnswer',
      `${name}: ${rows.length} of ${total} rows came where ${size.rows} were asked for: "size" of the connector is wrong`,
    );
  const last = lastPage(list, total, perPage);
  requireDepth(list, last);
  const state: Down = {
    phase: 'down',
    page: last,
    perPage,
    probe: list.digest(rows),
    before: '',
    told: total,
    anchors: null,
  };
  return { state, position: `page ${page}`, sign: null, silent: true };
}

/** One page on the way from the last to the first. */
export function readDown(list: List, state: Down, got: Got): Turn<Numbered> {
  const { rows, total } = got;
  const { page, perPage } = state;
  const { first } = list.paging;
  const told = total ?? state.told;
  const position = `page ${page}`;
  if (page > lastPage(list, told, perPage)) {
    // The list grew shorter: what platforms answer beyond its end (nothing, or the first page again) means nothing.
    return { state: { ...state, page: lastPage(list, told, perPage), told }, position, sign: null, silent: true };
  }
  const digest = list.digest(rows);
  // Where no total tells how many rows left, a page may have moved here whole; the way up has seen that pages differ.
  if (list.paging.total !== undefined) requireNew(list, state, digest, rows.length, told);
  const anchors = state.anchors ?? anchorsOf(list, got);
  if (page > first)
    return { state: { ...state, page: page - 1, probe: '', before: digest, told, anchors }, position, sign: null };
  if (!list.growsAtEnd)
    return {
      state: { phase: 'ended', page, read: 'down', doubt: state.doubt ?? null },
      position,
      sign: `page ${page} reached`,
    };
  const end = lastPage(list, told, perPage);
  return {
    state: { phase: 'tail', page: end, perPage, anchors, round: 1, width: 0, next: null },
    position,
    sign: null,
  };
}

/** @throws BadAnswer for the first page again, or the page before, unless so many rows left that it may have moved here */
function requireNew({ name, paging }: List, state: Down, digest: string, rows: number, told: number): void {
  if (digest === '' || state.page === paging.first) return;
  if (digest === state.probe)
    throw new SyncError(
      'BadAnswer',
      `${name}: page ${state.page} is the first page again: the platform ignores "${paging.param}"`,
    );
  if (digest === state.before && state.told - told < rows)
    throw new SyncError('BadAnswer', `${name}: page ${state.page} came before: the platform ignores "${paging.param}"`);
}
