import { SyncError } from '../../errors.ts';
import type { Cursor, Page } from '../../http/paginate.ts';
import { Refused } from '../../http/refused.ts';
import { valueAt } from '../../http/values.ts';
import { emptyPage, type SourcePage, type StagedGroups } from '../source.ts';
import { inOrder } from './ahead.ts';
import { pagesOf, type Reader, streamOf } from './calls.ts';
import { unlessGone } from './groups.ts';
import { lastPage, type Place, startAt } from './place.ts';
import { idsOf, putUser } from './rows.ts';
import { readScope, type Scope } from './scope.ts';

/** Where a list of people stands. Departments are asked in the order of their ids. */
interface UserPlace extends Place {
  /** Department that was read last, to its end. */
  done: string;
  /** Department that is under way, and the page behind which it goes on; null for a list that is no department's. */
  group: string | null;
  page: Cursor | null;
  /** Everybody was read; only the proof is owed. */
  over: boolean;
}

interface Reading {
  reader: Reader;
  scope: Scope;
  place: UserPlace;
  staged: StagedGroups;
  signal: AbortSignal;
}

/** Ids taken from the stage at once. */
const idsAtOnce = 500;

/**
 * People with their departments, on from a place. Somebody in several departments is read in each of them: the stage keeps
 * the last record and every membership.
 */
export async function* userPages(
  reader: Reader,
  from: unknown,
  staged: StagedGroups,
  signal: AbortSignal,
): AsyncGenerator<SourcePage> {
  const scope = await readScope(reader, signal);
  const place = startAt<UserPlace>(from as UserPlace | null, scope, {
    done: '',
    group: null,
    page: null,
    over: false,
  });
  const reading = { reader, scope, place, staged, signal };
  const each = streamOf(reader, scope.way.users.stream).over?.kind === 'each';
  if (!place.over) yield* each ? byGroups(reading) : asList(reading);
  yield await lastPage(reader, scope, place, each ? 'every department was read' : 'end of the list', signal);
}

async function* byGroups(reading: Reading): AsyncGenerator<SourcePage> {
  const { place, signal, staged } = reading;
  const begun = place.group === null ? null : { group: place.group, page: place.page };
  const open = (group: string, both: AbortSignal) =>
    unlessGone(peopleOf(reading, group, begun?.group === group ? begun.page : null, both));
  for await (const { key, page } of inOrder(allIds(staged, place.done), open, signal)) {
    place.doubt ??= page.ended?.doubt ?? null;
    if (page.ended) Object.assign(place, { done: key, group: null, page: null });
    else Object.assign(place, { group: key, page: page.cursor ?? null });
    yield pageOf(reading, page.rows, page, key);
  }
}

/** People of one department; a cursor that the platform knows no longer begins the department anew. */
async function* peopleOf(
  { reader, scope }: Reading,
  group: string,
  cursor: Cursor | null,
  signal: AbortSignal,
): AsyncGenerator<Page> {
  const { users } = scope.way;
  const over = streamOf(reader, users.stream).over;
  const params = over?.kind === 'each' ? { [over.param]: group } : {};
  if (cursor === null) return yield* pagesOf(reader, users, { params, cursor, signal });
  try {
    yield* pagesOf(reader, users, { params, cursor, signal });
  } catch (error) {
    const dead =
      (error instanceof Refused && error.verdict === 'bad-request') ||
      (error instanceof SyncError && error.type === 'ChainBroken');
    if (!dead) throw error;
    yield* pagesOf(reader, users, { params, cursor: null, signal });
  }
}

/** Everybody in one chain. Where only some departments are read, who stands in none of them is nobody of ours. */
async function* asList(reading: Reading): AsyncGenerator<SourcePage> {
  const { reader, scope, place, staged, signal } = reading;
  const { users } = scope.way;
  const ours = reader.options.roots && (await everyId(staged));
  for await (const page of pagesOf(reader, users, { params: {}, cursor: place.page, signal })) {
    const { cursor, ended } = page;
    Object.assign(place, { page: cursor, over: ended !== null, doubt: place.doubt ?? ended?.doubt ?? null });
    const rows = ours
      ? page.rows.filter((row) => idsOf(valueAt(row, users.groups)).some((id) => ours.has(id)))
      : page.rows;
    yield pageOf(reading, rows, page, null);
  }
}

function pageOf(
  { reader, scope, place }: Reading,
  rows: unknown[],
  { requests, position }: Pick<Page, 'requests' | 'position'>,
  group: string | null,
): SourcePage {
  const page = emptyPage();
  const where = group === null ? position : `of department ${group} ${position}`;
  for (const [index, record] of rows.entries())
    putUser(page, scope.way.users, reader.options, record, { group, position: `users ${where} row ${index + 1}` });
  return { page, cursor: { ...place }, requests, ended: null };
}

async function* allIds(staged: StagedGroups, after: string): AsyncGenerator<string> {
  for (let ids = await staged.ids(after, idsAtOnce); ids.length > 0; ) {
    yield* ids;
    ids = await staged.ids(ids.at(-1) as string, idsAtOnce);
  }
}

async function everyId(staged: StagedGroups): Promise<Set<string>> {
  const ids = new Set<string>();
  for await (const id of allIds(staged, '')) ids.add(id);
  return ids;
}
