import type { ReadEnd } from '../../../db/org/stage.ts';
import type { StagePage, Stream } from '../../../db/org/stageRows.ts';
import { emptyPage, type SourcePage } from '../source.ts';
import { type Directory, sameTree } from './directory.ts';
import { putGroup, putUser, readRest } from './rows.ts';
import { search, sees } from './search.ts';
import type { Session } from './session.ts';

/** A connection for single questions, opened when the first is asked: a chain of pages wants its own to itself. */
export type Aside = () => Promise<Session>;

/**
 * Groups with parents and members. Three reads: where all groups stand, ids of all people (only when a group shows
 * members), then the groups themselves page by page.
 */
export async function* groupPages(directory: Directory, session: Session, aside: Aside): AsyncIterable<SourcePage> {
  const { reader, options } = directory;
  const tree = await directory.tree(session);
  const people = (await directory.showsMembers(session)) ? await directory.people(session) : null;
  const chain = new Chain(session, 'groups', tree.places.size);
  let moved = false;
  const query = directory.query('groups', [...reader.groupAttributes, ...options.memberAttributes]);
  for await (const found of search(session, query)) {
    await directory.requireIds(aside, found.entries, 'groups');
    const page = emptyPage();
    for (const entry of found.entries) {
      const position = chain.next();
      const names = reader.members(entry);
      if (names.more.length > 0) await readRest(await aside(), reader, entry.dn, names);
      const id = reader.id(entry);
      moved ||= id !== undefined && tree.places.get(id)?.dn !== entry.dn;
      putGroup(page, reader, entry, names, { tree, people, position });
    }
    const { sign } = found;
    chain.referrals += found.referrals;
    const changed = moved || chain.seen !== tree.places.size;
    yield chain.page(page, sign === null ? null : await endOf(directory, session, sign, chain.referrals, changed));
  }
}

/** People with the units they stand in. Where the groups stand is read before and, as a proof, after them. */
export async function* userPages(directory: Directory, session: Session, aside: Aside): AsyncIterable<SourcePage> {
  const { reader } = directory;
  const tree = await directory.tree(session);
  const chain = new Chain(session, 'users', null);
  for await (const found of search(session, directory.query('users', reader.userAttributes))) {
    await directory.requireIds(aside, found.entries, 'users');
    const page = emptyPage();
    for (const entry of found.entries) putUser(page, reader, entry, { tree, position: chain.next() });
    const { sign } = found;
    chain.referrals += found.referrals;
    const changed = sign !== null && !sameTree(tree, await directory.tree(session));
    yield chain.page(page, sign === null ? null : await endOf(directory, session, sign, chain.referrals, changed));
  }
}

/** A read proves who is missing only when nothing moved below it and the same sign-in still sees where it looked. */
async function endOf(
  directory: Directory,
  session: Session,
  sign: string,
  referrals: number,
  changed: boolean,
): Promise<ReadEnd> {
  const end = { sign, firstTotal: null, lastTotal: null };
  if (referrals > 0 && directory.options.referrals === 'doubt')
    return { ...end, doubt: `${referrals} referrals to other servers were not followed` };
  if (changed) return { ...end, doubt: 'groups were added, moved or deleted while the list was read' };
  for (const base of directory.allBases)
    if (!(await sees(session, base)).seen) return { ...end, doubt: `the bind user no longer sees "${base}"` };
  return { ...end, doubt: null };
}

/** Counts along a chain of pages. */
class Chain {
  seen = 0;
  referrals = 0;
  private pages = 1;
  private row = 0;
  private requests = 0;
  private readonly session: Session;
  private readonly stream: Stream;
  private readonly total: number | null;

  constructor(session: Session, stream: Stream, total: number | null) {
    this.session = session;
    this.stream = stream;
    this.total = total;
  }

  /** Place of the next row, for rejects. */
  next(): string {
    this.seen += 1;
    this.row += 1;
    return `${this.stream} page ${this.pages} row ${this.row}`;
  }

  page(page: StagePage, ended: ReadEnd | null): SourcePage {
    this.pages += 1;
    this.row = 0;
    const requests = this.session.requests - this.requests;
    this.requests = this.session.requests;
    return { page, cursor: { seen: this.seen, lastTotal: this.total }, requests, ended };
  }
}
