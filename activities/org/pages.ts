import { type EncodedPage, encodePage, type StagePage, type Stream } from '../../db/org/stageRows.ts';
import type { OrgSource, SourcePage, StagedGroups } from './source.ts';
import { readInThread } from './thread.ts';

/** A page that is ready to be written. */
export interface ReadPage extends Omit<SourcePage, 'page'> {
  page: EncodedPage;
}

export interface Reading {
  stream: Stream;
  /** Cursor of the source; null = from the start of the list. */
  from: unknown;
  /** Source id of the one person whose memberships count; null = everybody's. */
  only: string | null;
  staged: StagedGroups;
  signal: AbortSignal;
}

/** Rows that are read before the thread is asked: most directories are over by then, and never start one. */
const rowsBefore = 4_000;

/** Reads a list. A long one is read and encoded in another thread, so that this one only writes what comes. */
export async function* readPages(source: OrgSource, reading: Reading): AsyncGenerator<ReadPage> {
  const { stream, only, staged, signal } = reading;
  const elsewhere = only === null ? source.elsewhere : undefined;
  let { from } = reading;
  for await (const read of source.pages(stream, from, signal, staged, elsewhere && rowsBefore)) {
    const page = only === null ? read.page : onlyMember(read.page, only);
    yield { ...read, page: encodePage(page, stream) };
    if (read.ended) return;
    from = read.cursor;
  }
  if (elsewhere) yield* readInThread({ source: elsewhere, stream, from }, signal);
}

/** One other member of each group stays: it shows that member lists are told, or nobody could leave the last group. */
function onlyMember(page: StagePage, id: string): StagePage {
  const shown = new Set<string>();
  const members = page.members.filter(({ groupId, memberId, isGroup }) => {
    if (memberId === id || isGroup !== false) return true;
    return !shown.has(groupId) && shown.add(groupId);
  });
  return { ...page, members };
}
