import { readCursor, scopeOf, writeCursor } from './cursor.ts';
import type { Directory } from './directory.ts';
import type { Faults, Target } from './due.ts';
import type { PreparedPages } from './pages.ts';
import { filterGroups, filterPeople, kindOf, type ListQuery, readFilter, readQuery } from './query.ts';
import { type Group, type Person, Refused } from './registry.ts';
import { type Renderer, rowChange } from './render.ts';

/** Which paging a server has: by index, by cursor (then `startIndex` is ignored), or both (then index is the default). */
export type Paging = 'index' | 'cursor' | 'both';

/** What a list is answered from. */
export interface ListSource {
  directory: Directory;
  renderer: Renderer;
  /** Undefined when pages are rendered on request. */
  pages: PreparedPages | undefined;
  paging: Paging;
  pageSize: number;
  maxPageSize: number;
}

/** The rows a page is cut from, oldest first. */
interface Selection {
  items: readonly (Person | Group)[];
  /** The directory's own rows, all of them: only then are there prepared pages. */
  whole: boolean;
  /** All rows at once, whatever page was asked. */
  unpaged: boolean;
  newestFirst: boolean;
}

interface Window {
  from: number;
  count: number;
  page: number;
  nextCursor?: string;
}

const listSchema = 'urn:ietf:params:scim:api:messages:2.0:ListResponse';

/** Answers one list request with the pieces of its body. @throws Refused for parameters that cannot be served. */
export function answerList(
  source: ListSource,
  faults: Faults,
  target: Target,
  params: URLSearchParams,
): (string | Buffer)[] {
  refuseCursor(faults, target, params);
  const query = readQuery(params);
  const selection = select(source, faults, target, query);
  const window = place(source, faults, target, query, params, selection);
  if (faults.take('emptyList', target)) return envelope({ totalResults: 0, startIndex: 1, itemsPerPage: 0 }, []);
  const hidden = faults.take('noPermission', target) !== undefined;
  const shown = hidden ? { ...window, count: 0, nextCursor: undefined } : window;
  const { pieces, rows } = render(source, faults, target, query, selection, shown);
  const head = {
    totalResults: total(faults, target, selection.items.length),
    ...(isByCursor(source, query) ? {} : { startIndex: query.startIndex }),
    itemsPerPage: faults.take('itemsPerPageEchoesCount', target) ? (query.count ?? source.pageSize) : rows,
    nextCursor: shown.nextCursor,
  };
  afterPage(source.directory, faults, target, window.page);
  return envelope(head, pieces);
}

function refuseCursor(faults: Faults, target: Target, params: URLSearchParams): void {
  const fault = faults.take('cursorError', target, ({ scimType }) => {
    if (scimType === 'invalidCount') return params.has('count');
    return scimType === 'notImplemented' ? params.has('cursor') : Boolean(params.get('cursor'));
  });
  if (!fault) return;
  if (fault.scimType === 'notImplemented') throw new Refused(501, undefined, 'Paging by cursor is not implemented');
  throw new Refused(400, fault.scimType, `The request was refused with ${fault.scimType}`);
}

function select(source: ListSource, faults: Faults, target: Target, query: ListQuery): Selection {
  const { directory } = source;
  const people = kindOf(target.path) === 'User';
  const newestFirst = faults.take('newestFirst', target) !== undefined;
  const filter = query.filter === undefined ? undefined : applicable(faults, target, query.filter);
  if (filter) {
    const items = people ? filterPeople(directory, filter) : filterGroups(directory, filter);
    return { items, whole: false, unpaged: false, newestFirst };
  }
  const items = people ? directory.people.items : directory.groups.items;
  const capped = people ? undefined : faults.take('groupsCapped', target);
  return capped
    ? { items: items.slice(0, capped.groups), whole: false, unpaged: true, newestFirst }
    : { items, whole: true, unpaged: false, newestFirst };
}

function applicable(faults: Faults, target: Target, text: string) {
  const names = text.trim().toLowerCase();
  const concerned = (fault: { attribute?: string }) =>
    fault.attribute === undefined || names.startsWith(`${fault.attribute.toLowerCase()} `);
  if (faults.take('filterRefused', target, concerned)) {
    throw new Refused(400, 'invalidFilter', 'This server does not filter by this attribute');
  }
  return faults.take('filterIgnored', target, concerned) ? undefined : readFilter(text);
}

const isByCursor = (source: ListSource, query: ListQuery) =>
  source.paging === 'cursor' || (source.paging === 'both' && query.cursor !== undefined);

function place(
  source: ListSource,
  faults: Faults,
  target: Target,
  query: ListQuery,
  params: URLSearchParams,
  { items, unpaged, newestFirst }: Selection,
): Window {
  if (unpaged) return { from: 0, count: items.length, page: 1 };
  const cap = faults.take('pageCap', target)?.rows ?? source.maxPageSize;
  const size = Math.min(query.count ?? source.pageSize, source.maxPageSize, cap);
  const again = faults.take('repeatPage', target) !== undefined;
  if (!isByCursor(source, query)) {
    const page = Math.floor((query.startIndex - 1) / Math.max(1, size)) + 1;
    const beyond = query.startIndex > items.length && faults.take('wrapAround', target);
    const from = again || beyond ? 0 : query.startIndex - 1;
    return { from, count: Math.max(0, Math.min(size, items.length - from)), page };
  }
  const scope = scopeOf(target.path, params);
  const position = readCursor(scope, again ? '' : (query.cursor ?? ''));
  const from = behind(items, position.after, newestFirst);
  const count = Math.min(size, items.length - from);
  const end = from + count;
  const last = count === 0 ? position.after : items[newestFirst ? items.length - end : end - 1]!.serial;
  const next = { after: last, page: position.page + 1 };
  return { from, count, page: position.page, nextCursor: end < items.length ? writeCursor(scope, next) : undefined };
}

/** The position of the first row behind row number `after`, in the order of the list. */
function behind(items: Selection['items'], after: number, newestFirst: boolean): number {
  if (after === 0) return 0;
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { serial } = items[newestFirst ? items.length - 1 - middle : middle]!;
    if (newestFirst ? serial >= after : serial <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}

function render(
  source: ListSource,
  faults: Faults,
  target: Target,
  query: ListQuery,
  { items, whole, newestFirst }: Selection,
  { from, count, page }: Window,
): { pieces: (string | Buffer)[]; rows: number } {
  const kind = kindOf(target.path);
  const rows = newestFirst
    ? items.slice(Math.max(0, items.length - from - count), items.length - from).reverse()
    : items.slice(from, from + count);
  const extra = faults
    .takeAll('duplicateRow', target, (fault) => page === (fault.page ?? 2))
    .map(({ id }) => (kind === 'User' ? source.directory.findPerson(id) : source.directory.findGroup(id)))
    .filter((row) => row !== undefined);
  const all = [...rows, ...extra];
  const change = rowChange(faults, target, () => new Set(all.map((row) => source.directory.id(kind, row.serial))));
  const plain = change.edits.length === 0 && change.raw.size === 0 && extra.length === 0;
  if (source.pages && whole && !newestFirst && plain) {
    return { pieces: source.pages.pieces(kind, query.projection, from, count), rows: count };
  }
  const texts = all.map((row) => source.renderer.text(kind, row, query.projection, change));
  return { pieces: [texts.join(',')], rows: all.length };
}

function total(faults: Faults, target: Target, truth: number): number | undefined {
  if (faults.take('totalAbsent', target)) return undefined;
  return faults.take('totalLies', target)?.total ?? truth;
}

function afterPage(directory: Directory, faults: Faults, target: Target, page: number): void {
  const shrinks = target.path === '/Users';
  for (const fault of faults.takeAll('shrinkWhileReading', target, (one) => shrinks && one.afterPage === page)) {
    const first = directory.people.items.slice(0, fault.first ?? 0);
    const ids = fault.ids?.filter((id) => directory.findPerson(id));
    directory.removeUsers(ids ?? first.map((person) => directory.id('User', person.serial)));
  }
  for (const fault of faults.takeAll('between', target, (candidate) => candidate.page === page)) fault.run(directory);
}

function envelope(head: Record<string, unknown>, pieces: (string | Buffer)[]): (string | Buffer)[] {
  const open = JSON.stringify({ schemas: [listSchema], ...head }).slice(0, -1);
  return [`${open},"Resources":[`, ...pieces, ']}'];
}
