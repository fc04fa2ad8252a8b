import type { GroupList } from '../../../connectors/org.ts';
import { SyncError } from '../../errors.ts';
import type { Cursor, Page } from '../../http/paginate.ts';
import { Refused } from '../../http/refused.ts';
import { valueAt } from '../../http/values.ts';
import { emptyPage, type SourcePage, type StagedGroups } from '../source.ts';
import { inOrder } from './ahead.ts';
import { pagesOf, type Reader, readDirect, streamOf } from './calls.ts';
import { lastPage, type Place, startAt } from './place.ts';
import { type GroupAt, idsOf, putGroup } from './rows.ts';
import { readScope, type Scope } from './scope.ts';

/** Where a list of departments stands. Roots and departments are taken in the order of their ids, so the last ones say all. */
interface GroupPlace extends Place {
  /** Which list of the way is read. */
  list: number;
  /** Root that was read last, to its end. */
  done: string | null;
  /** Root whose chain is under way, and the page behind which it goes on. */
  root: string | null;
  page: Cursor | null;
  /** Level of the tree whose departments are asked for their children; 0 while the roots are read. */
  level: number;
  /** Department of that level that was asked last. */
  at: string;
  /** Departments that were asked. */
  asked: number;
}

/** What one list is read with. */
interface Reading {
  reader: Reader;
  scope: Scope;
  list: GroupList;
  place: GroupPlace;
  signal: AbortSignal;
}

const fresh = { list: 0, done: null, root: null, page: null, level: 0, at: '', asked: 0 };
/** Ids taken from the stage at once. */
const idsAtOnce = 500;
/** No company is that deep: a platform that sends its departments in a circle must not be read for ever. */
const deepest = 1_000;

/** Departments with the ones above them, on from a place. */
export async function* groupPages(
  reader: Reader,
  from: unknown,
  staged: StagedGroups,
  signal: AbortSignal,
): AsyncGenerator<SourcePage> {
  const scope = await readScope(reader, signal);
  const place = startAt<GroupPlace>(from as GroupPlace | null, scope, fresh);
  const lists = scope.way.groups;
  try {
    yield* readList({ reader, scope, list: lists[place.list] as GroupList, place, signal }, staged);
  } catch (error) {
    const next = lists[place.list + 1];
    if (!(error instanceof Refused && error.verdict === 'too-big' && next)) throw error;
    Object.assign(place, { ...fresh, list: place.list + 1 });
    yield* readList({ reader, scope, list: next, place, signal }, staged);
  }
}

async function* readList(reading: Reading, staged: StagedGroups): AsyncGenerator<SourcePage> {
  const { reader, scope, list, place, signal } = reading;
  yield* list.tree ? byLevels(reading, staged) : byChains(reading);
  yield await lastPage(reader, scope, place, list.tree ? 'every department was asked' : 'end of the list', signal);
}

/** One chain of pages a root, each with all that hangs below it. */
async function* byChains(reading: Reading): AsyncGenerator<SourcePage> {
  const { reader, scope, list, place, signal } = reading;
  const roots = scope.roots ?? [null];
  for (const root of roots) {
    if (root !== null && place.done !== null && root <= place.done) continue;
    const cursor = place.root === root ? place.page : null;
    if (!list.itself && root !== null && cursor === null) yield await rootPage(reading, root);
    const params = root === null ? {} : { [list.param]: root };
    for await (const page of pagesOf(reader, list, { params, cursor, signal })) {
      Object.assign(place, { root, page: page.cursor, doubt: place.doubt ?? page.ended?.doubt ?? null });
      if (page.ended) Object.assign(place, { done: root, root: null, page: null });
      yield pageOf(reading, page, { isTop: topsOf(reading, page.rows), position: `groups below ${root ?? 'all'}` });
    }
  }
}

/** The children of every department, level by level; which departments a level has stands in the stage. */
async function* byLevels(reading: Reading, staged: StagedGroups): AsyncGenerator<SourcePage> {
  const { reader, scope, list, place, signal } = reading;
  if (place.level === 0) {
    for (const root of scope.roots ?? [reader.map.root]) {
      if (place.done !== null && root <= place.done) continue;
      place.done = root;
      yield await rootPage(reading, root);
    }
    place.level = 1;
  }
  for (; place.level <= deepest; Object.assign(place, { level: place.level + 1, at: '' })) {
    let any = place.at !== '';
    const open = (id: string, both: AbortSignal) =>
      unlessGone(pagesOf(reader, list, { params: { [list.param]: id }, cursor: null, signal: both }));
    for await (const { key, page } of inOrder(levelOf(staged, place.level, place.at), open, signal)) {
      any = true;
      place.doubt ??= page.ended?.doubt ?? null;
      if (page.ended) Object.assign(place, { at: key, asked: place.asked + 1 });
      yield pageOf(reading, page, { below: key, isTop: () => false, position: `groups below ${key}` });
    }
    if (any) continue;
    const known = await staged.count();
    if (known !== place.asked) place.doubt ??= `${place.asked} of ${known} departments were asked for theirs`;
    return;
  }
  throw new SyncError('BadAnswer', `${reader.map.connector.title} shows departments on more than ${deepest} levels`);
}

async function* levelOf(staged: StagedGroups, level: number, after: string): AsyncGenerator<string> {
  for (let ids = await staged.level(level, after, idsAtOnce); ids.length > 0; ) {
    yield* ids;
    ids = await staged.level(level, ids.at(-1) as string, idsAtOnce);
  }
}

/** A department that went since it was listed has no children; whom it left behind stands elsewhere. */
export async function* unlessGone(
  pages: AsyncGenerator<Page>,
): AsyncGenerator<Pick<Page, 'rows' | 'requests' | 'position' | 'ended'> & Partial<Page>> {
  try {
    yield* pages;
  } catch (error) {
    if (!(error instanceof Refused && error.verdict === 'gone')) throw error;
    yield { rows: [], requests: 1, position: 'gone', ended: { sign: 'gone', doubt: null, again: false, owed: null } };
  }
}

/** A root as a group of its own. */
async function rootPage({ reader, scope, list, place, signal }: Reading, root: string): Promise<SourcePage> {
  const direct = scope.way.direct?.group;
  if (!direct) throw new SyncError('Defect', 'A list without its roots needs a direct read of a group');
  const read = await readDirect(reader, direct, root, signal);
  const page = emptyPage();
  if (typeof read === 'object') {
    const isTop = (id: string, parent: string) => id === root && !(scope.roots ?? []).includes(parent);
    putGroup(page, list, read.record, { root, isTop, position: `group ${root}` });
  } else if (read === 'hidden' || reader.options.roots?.includes(root)) {
    const why = read === 'hidden' ? 'the credential may not see it' : 'it does not exist';
    throw new SyncError(
      read === 'hidden' ? 'Forbidden' : 'InvalidInput',
      `Department ${root}, where the read begins: ${why}. Widen the scope of the app at the platform, or set the option roots: npx syncline connect NAME --option roots='["ID"]'`,
    );
  }
  return { page, cursor: { ...place }, requests: 1, ended: null };
}

function pageOf(
  { list, place }: Reading,
  { rows, requests, position }: Pick<Page, 'rows' | 'requests' | 'position'>,
  at: GroupAt,
): SourcePage {
  const page = emptyPage();
  for (const [index, record] of rows.entries())
    putGroup(page, list, record, { ...at, position: `${at.position} ${position} row ${index + 1}` });
  return { page, cursor: { ...place }, requests, ended: null };
}

/** An answer that holds everything shows its tops: departments whose parent is not in it, for the credential may not see it. */
function topsOf({ reader, scope, list }: Reading, rows: unknown[]): GroupAt['isTop'] {
  if (streamOf(reader, list.stream).paging.kind === 'whole') {
    const shown = new Set(rows.flatMap((row) => idsOf(valueAt(row, list.id))));
    return (_id, parent) => !shown.has(parent);
  }
  const roots = new Set(scope.roots);
  return (id) => roots.has(id);
}
