import { createHash } from 'node:crypto';
import { type DirectoryMember, idLength } from '../../../connectors/directory.ts';
import { dnKey } from '../../../connectors/ldap/dn.ts';
import type { LdapEntry } from '../../../connectors/ldap/entry.ts';
import type { LdapReader, MemberNames } from '../../../connectors/ldap/reader.ts';
import type { StagePage } from '../../../db/org/stageRows.ts';
import { SyncError } from '../../errors.ts';
import { addGroup, addUser } from '../records.ts';
import type { People, Tree } from './directory.ts';
import { readEntry } from './search.ts';
import type { Session } from './session.ts';
import { refusal } from './verdict.ts';

/** Classes whose entries are lists of members; all other groups hold the people who stand below them. */
const listClasses = new Set(['groupofnames', 'groupofuniquenames', 'posixgroup', 'group']);

/**
 * Adds a group with its parent and members.
 * @param people null when no group of the directory shows any member
 */
export function putGroup(
  page: StagePage,
  reader: LdapReader,
  entry: LdapEntry,
  names: MemberNames,
  at: { tree: Tree; people: People | null; position: string },
): void {
  const id = reader.id(entry);
  const isList = entry.values.get('objectclass')?.some((c) => listClasses.has(String(c).toLowerCase())) ?? false;
  // Lists that are empty all over are more likely hidden from the bind user than empty: nobody is taken out of them.
  const members = at.people ? membersOf(names, at.people, at.tree) : isList ? undefined : [];
  const place = id === undefined ? undefined : at.tree.places.get(id);
  const parentId = place ? place.parent : at.tree.index.nearest(entry.dn);
  const name = reader.groupName(entry);
  addGroup(page, { id, name, parentId, members }, { dn: entry.dn, name }, at.position);
}

/** Adds a person and the unit it stands in, which is its primary group. */
export function putUser(
  page: StagePage,
  reader: LdapReader,
  entry: LdapEntry,
  at: { tree: Tree; position: string },
): void {
  const user = reader.user(entry);
  const before = page.users.length;
  addUser(page, user, entry, at.position);
  const unit = page.users.length > before ? at.tree.index.nearest(entry.dn) : null;
  if (unit !== null) page.members.push({ groupId: unit, memberId: String(user.id), isGroup: false, isPrimary: true });
}

/** Members by their lasting ids. A name that is nobody's stands as itself, so that the reject shows it. */
function membersOf(names: MemberNames, people: People, tree: Tree): DirectoryMember[] {
  const members: DirectoryMember[] = [];
  for (const dn of names.dns) {
    // Schemas that demand a member make people put the empty name into empty groups.
    if (dn.trim() === '') continue;
    const person = people.byDn.get(dn);
    const group = person === undefined ? tree.index.get(dn) : undefined;
    const isGroup = person !== undefined ? false : group !== undefined ? true : null;
    members.push({ id: person ?? group ?? dangling(dn), isGroup, isPrimary: false });
  }
  for (const uid of names.uids) {
    const id = people.byUid.get(uid.toLowerCase()) || dangling(`uid=${uid}`);
    members.push({ id, isGroup: false, isPrimary: false });
  }
  return members;
}

/** Reads the rest of a member list that the server cut (Active Directory after 1,500), part by part, into `names`. */
export async function readRest(session: Session, reader: LdapReader, dn: string, names: MemberNames): Promise<void> {
  for (let next = names.more.shift(); next !== undefined; next = names.more.shift()) {
    const { entry, code } = await readEntry(session, dn, [`${next.attribute};range=${next.from}-*`]);
    if (code !== 0) throw refusal(code, session.target.url, 'rest of a member list');
    const part = entry && reader.members(entry);
    if (!part || part.dns.length + part.uids.length === 0)
      throw new SyncError(
        'BadAnswer',
        `${session.target.url}: a member list ends after ${next.from} members although the server announced more`,
      );
    for (const member of part.dns) names.dns.push(member);
    for (const member of part.uids) names.uids.push(member);
    names.more.push(...part.more);
  }
}

/** Normal form of a name, short enough to be kept as an id. */
function dangling(dn: string): string {
  const key = dnKey(dn);
  if (key !== null && key.length <= idLength) return key;
  const digest = createHash('sha256')
    .update(key ?? dn)
    .digest('hex')
    .slice(0, 16);
  return key === null ? `unreadable name ${digest}` : `${key.slice(0, 200).toWellFormed()}… ${digest}`;
}
