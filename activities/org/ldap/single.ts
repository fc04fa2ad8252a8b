import { DnIndex } from '../../../connectors/ldap/dnIndex.ts';
import type { StagePage, Stream } from '../../../db/org/stageRows.ts';
import { SyncError } from '../../errors.ts';
import { emptyPage } from '../source.ts';
import type { Directory, People, Tree } from './directory.ts';
import type { Aside } from './lists.ts';
import { putGroup, putUser, readRest } from './rows.ts';
import { type Query, requireBase, search } from './search.ts';
import type { Session } from './session.ts';

/** Reads single people and groups by id. Where the groups stand, and who is who, is read once for all of them. */
export class SingleReads {
  private readonly directory: Directory;
  private tree: Tree | null = null;
  private people: People | null = null;

  constructor(directory: Directory) {
    this.directory = directory;
  }

  /** Null only when the bind user sees the base entry and no entry of the list has this id. */
  async read(aside: Aside, stream: Stream, id: string): Promise<StagePage | null> {
    const { directory } = this;
    const { reader, options } = directory;
    const session = await aside();
    const filter = directory.idFilter(id);
    const attributes =
      stream === 'users' ? [...reader.userAttributes, 'uid'] : [...reader.groupAttributes, ...options.memberAttributes];
    const entries = filter === null ? [] : await readAll(session, directory.query(stream, attributes, filter));
    const [entry] = entries;
    if (entry === undefined) {
      await requireBase(session, directory.bases[stream]);
      return null;
    }
    if (entries.length > 1 || reader.id(entry) !== id)
      throw new SyncError('BadAnswer', `${session.target.url} answered with other ${stream} than the one asked for`);
    this.tree ??= await directory.tree(session);
    const at = { tree: this.tree, position: 'direct read' };
    const page = emptyPage();
    if (stream === 'users') {
      putUser(page, reader, entry, at);
      const holding = directory.holding(entry);
      const groups = holding ? await readAll(session, directory.query('groups', [options.idAttribute], holding)) : [];
      for (const group of groups)
        page.members.push({ groupId: String(reader.id(group)), memberId: id, isGroup: false, isPrimary: false });
      return page;
    }
    const names = reader.members(entry);
    await readRest(session, reader, entry.dn, names);
    // Everybody is read only for a group that names somebody: most units of a tree name nobody.
    if (names.dns.length + names.uids.length > 0) this.people ??= await directory.people(session);
    putGroup(page, reader, entry, names, { ...at, people: this.people ?? nobody() });
    return page;
  }
}

const nobody = (): People => ({ byDn: new DnIndex(), byUid: new Map() });

async function readAll(session: Session, query: Query) {
  const entries = [];
  for await (const page of search(session, query)) entries.push(...page.entries);
  return entries;
}
