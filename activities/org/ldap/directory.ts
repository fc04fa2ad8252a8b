import { EqualityFilter, type Filter, OrFilter, PresenceFilter } from 'ldapts';
import { DnIndex } from '../../../connectors/ldap/dnIndex.ts';
import { idValue, type LdapEntry } from '../../../connectors/ldap/entry.ts';
import { type LdapReader, ldapReader } from '../../../connectors/ldap/reader.ts';
import type { LdapOptions } from '../../../connectors/ldap.ts';
import type { Stream } from '../../../db/org/stageRows.ts';
import { SyncError } from '../../errors.ts';
import { allOf, anyEntry, parseFilter, type Query, readEntry, search } from './search.ts';
import type { Session } from './session.ts';

/** Attributes servers are known to keep a lasting id in, named when the configured one is not there. */
const knownIds = ['entryUUID', 'nsUniqueId', 'objectGUID', 'ipaUniqueID', 'GUID'];

/** Where the groups stand, read in one go. */
export interface Tree {
  index: DnIndex;
  /** By id: the name as the server wrote it, and the parent's id; null for the outermost. */
  places: Map<string, { dn: string; parent: string | null }>;
}

/** Ids of people by name and by uid, as group members name them. */
export interface People {
  byDn: DnIndex;
  byUid: Map<string, string>;
}

const isUidList = (attribute: string): boolean => attribute.toLowerCase() === 'memberuid';

/** True when no group was added, moved, renamed or deleted between two reads. */
export function sameTree(a: Tree, b: Tree): boolean {
  return a.places.size === b.places.size && [...a.places].every(([id, { dn }]) => b.places.get(id)?.dn === dn);
}

/** What the searches of one connection ask for, and how the answers hang together. */
export class Directory {
  readonly options: LdapOptions;
  readonly reader: LdapReader;
  readonly bases: Record<Stream, string>;
  private readonly filters: Record<Stream, Filter>;

  constructor(options: LdapOptions) {
    this.options = options;
    this.reader = ldapReader(options);
    this.bases = { users: options.userBaseDn ?? options.baseDn, groups: options.groupBaseDn ?? options.baseDn };
    this.filters = {
      users: parseFilter(this.reader.filters.users),
      groups: parseFilter(this.reader.filters.groups),
    };
  }

  get allBases(): Set<string> {
    return new Set([this.bases.groups, this.bases.users]);
  }

  /** A search of one of the lists, narrowed by `more`. */
  query(stream: Stream, attributes: string[], ...more: Filter[]): Query {
    const filter = more.length > 0 ? allOf(this.filters[stream], ...more) : this.filters[stream];
    return { base: this.bases[stream], filter, attributes, pageSize: this.options.pageSize };
  }

  /** Filter for one id; null when the text cannot be one, so that nobody has it. */
  idFilter(id: string): Filter | null {
    const value = idValue(this.options.idAttribute, id);
    return value === null ? null : new EqualityFilter({ attribute: this.options.idAttribute, value });
  }

  /** Groups that name this entry as a member; null when no member attribute could. */
  holding(entry: LdapEntry): Filter | null {
    const uids = (entry.values.get('uid') ?? []).filter((uid) => typeof uid === 'string');
    const filters = this.options.memberAttributes.flatMap((attribute) =>
      (isUidList(attribute) ? uids : [entry.dn]).map((value) => new EqualityFilter({ attribute, value })),
    );
    return filters.length === 0 ? null : new OrFilter({ filters });
  }

  /** Reads where all groups stand: two short texts a group. */
  async tree(session: Session): Promise<Tree> {
    const tree: Tree = { index: new DnIndex(), places: new Map() };
    for await (const page of search(session, this.query('groups', [this.options.idAttribute]))) {
      for (const { dn, id } of page.entries.map((entry) => ({ dn: entry.dn, id: this.reader.id(entry) }))) {
        if (id === undefined) continue;
        tree.index.add(dn, id);
        tree.places.set(id, { dn, parent: null });
      }
    }
    for (const place of tree.places.values()) place.parent = tree.index.nearest(place.dn);
    return tree;
  }

  /** Reads everybody's id, name and, where groups list uids, uid. Nothing else of 30,000 people is kept: about 9 MB. */
  async people(session: Session): Promise<People> {
    const byDn = new DnIndex();
    const byUid = new Map<string, string>();
    const listUids = this.options.memberAttributes.filter(isUidList);
    const withUids = await this.showsMembers(session, listUids);
    const attributes = withUids ? [this.options.idAttribute, 'uid'] : [this.options.idAttribute];
    for await (const page of search(session, this.query('users', attributes))) {
      for (const entry of page.entries) {
        const id = this.reader.id(entry);
        if (id === undefined) continue;
        byDn.add(entry.dn, id);
        if (withUids)
          for (const uid of entry.values.get('uid') ?? []) {
            const key = String(uid).toLowerCase();
            // Two people of one uid: nobody may guess who is meant, and the empty id is nobody.
            byUid.set(key, byUid.has(key) && byUid.get(key) !== id ? '' : id);
          }
      }
    }
    return { byDn, byUid };
  }

  /** Counts a list by reading ids only, to its end: a size limit of the server shows here. */
  async count(session: Session, stream: Stream): Promise<number> {
    let rows = 0;
    for await (const page of search(session, this.query(stream, [this.options.idAttribute])))
      rows += page.entries.length;
    return rows;
  }

  /** Whether any group shows a member to the bind user. */
  showsMembers(session: Session, attributes: string[] = this.options.memberAttributes): Promise<boolean> {
    if (attributes.length === 0) return Promise.resolve(false);
    const present = new OrFilter({ filters: attributes.map((attribute) => new PresenceFilter({ attribute })) });
    return anyEntry(session, this.bases.groups, this.query('groups', [], present).filter);
  }

  /** Throws when no entry of a page has the key attribute, and says which one the server has. */
  async requireIds(session: () => Promise<Session>, entries: LdapEntry[], stream: Stream): Promise<void> {
    const [first] = entries;
    if (first === undefined || entries.some((entry) => this.reader.id(entry) !== undefined)) return;
    const { entry } = await readEntry(await session(), first.dn, knownIds);
    const there = knownIds.filter((name) => entry?.values.has(name.toLowerCase()));
    throw new SyncError(
      'InvalidInput',
      `Option idAttribute: got "${this.options.idAttribute}", which is on none of the first ${entries.length} ${stream}; on them ${there.length > 0 ? `is ${there.join(', ')}` : `is none of ${knownIds.join(', ')} that the bind user may read`}. Correct it with: npx syncline connect NAME --option idAttribute=…`,
    );
  }
}
