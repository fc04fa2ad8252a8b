import type { ScimOptions } from '../../connectors/scim.ts';
import type { ReadEnd } from '../../db/org/stage.ts';
import type { StagePage, Stream } from '../../db/org/stageRows.ts';
import type { RecordReason } from '../../db/rejects.ts';
import { SyncError } from '../errors.ts';

const unseen: RecordReason = 'out_of_scope';

/** One page of a list as read from a source, checked and mapped, with the cursor that stands behind it. */
export interface SourcePage {
  page: StagePage;
  /** Position after this page, for `pages(stream, cursor)`. Plain JSON, kept in Postgres with the rows. */
  cursor: unknown;
  /** Requests made for it. */
  requests: number;
  /** Set on the last page: how the source said that the list is over. */
  ended: ReadEnd | null;
}

/** Groups of this run that stand in the stage already, by id; each is given once. What was read before is written first. */
export interface StagedGroups {
  /** Ids behind `after` ('' = from the start), at most `most` of them. @throws StageLost */
  ids(after: string, most: number): Promise<string[]>;
  /** The same of one level of the tree; level 1 hangs below nothing. @throws StageLost */
  level(level: number, after: string, most: number): Promise<string[]>;
  /** Different ids. @throws StageLost */
  count(): Promise<number>;
}

/** A company directory that can be read. A new platform implements this and nothing else (one file, one line in sources.ts). */
export interface OrgSource {
  /** False: a page chain that broke must start over (LDAP); the stage of the list is emptied first. */
  readonly resumable: boolean;
  /**
   * True: a field that a record lacks has no value (LDAP knows no null). False: the record says nothing about it, and
   * an incremental run leaves ours as it is (SCIM). Either way a field that no record of the pass carries was not read.
   */
  readonly absentMeansNone: boolean;
  /**
   * True: whoever lacks the attribute of `active` is active, as long as somebody of the pass carries it (LDAP: a lock that
   * only the locked have). False: `active` stays as we hold it.
   */
  readonly absentIsActive: boolean;
  /** True: the connection's filter leaves people out who still stand in member lists; nobody misses them. */
  readonly narrowed: boolean;
  /**
   * Reads a list from the cursor on (null: from its start), one page at a time, in the source's order. `staged`: groups
   * that were read before, for a source that is asked group by group. `most`: rows behind which a source with `elsewhere`
   * stops, and asks for no more.
   */
  pages(
    stream: Stream,
    cursor: unknown,
    signal: AbortSignal,
    staged: StagedGroups,
    most?: number,
  ): AsyncIterable<SourcePage>;
  /** How another thread opens the same source. Absent where that needs more than plain values. */
  readonly elsewhere?: Elsewhere;
  /**
   * What of the directory the credential may see, as a mark that differs when that does. Where it changed, whoever is
   * missing may only be out of sight, and every deletion is asked for. Absent where the source does not tell.
   */
  scope?(signal: AbortSignal): Promise<string>;
  /**
   * Reads one group or person by source id, with memberships as far as the source tells them; null when the source
   * says that it does not exist. Absent where the source offers no such read.
   * @throws Unaskable where the source cannot be asked for any single record
   */
  readOne?(stream: Stream, id: string, signal: AbortSignal): Promise<StagePage | null>;
  /** Reads one page of each list for `connect` and says what it saw; throws the same errors as a run. */
  probe(signal: AbortSignal): Promise<Probe>;
  close(): Promise<void>;
}

/**
 * A source that cannot be asked for one record, whichever it is, under its options and credential. Only its own word
 * says so: a server in trouble answers a direct read with much that looks alike.
 */
export class Unaskable extends SyncError {
  constructor(message: string) {
    super('InvalidInput', message);
  }
}

/** A source in plain values. `token` is the credential: it goes to the thread and nowhere else. */
export interface Elsewhere {
  platform: 'scim';
  baseUrl: string;
  token: string | null;
  options: ScimOptions;
}

/** What `connect` tells about a source. Counts and names of settings only. */
export interface Probe {
  users: number;
  groups: number;
  /** Totals the source names, where it does. */
  userTotal: number | null;
  groupTotal: number | null;
  /** Faults of the first page by reason, and hints such as `the server advertises cursor paging`. */
  notes: string[];
}

export const emptyPage = (): StagePage => ({ groups: [], users: [], members: [], unkeyed: [] });

/** A page that hands one record back as out of scope: it stays as we hold it. @param answer what a read of it met */
export function unseenPage(stream: Stream, id: string, answer?: string): StagePage {
  const page = emptyPage();
  const fault = { reason: unseen, field: null, record: JSON.stringify({ id, answer }), position: 'direct read' };
  if (stream === 'users') page.users.push({ id, fields: [], fault });
  else page.groups.push({ id, name: null, membersRead: false, fault });
  return page;
}

/** Whether a direct read shows a record, or says that nobody knows. */
export const isSeen = ({ users, groups }: StagePage) => ![...users, ...groups].some((r) => r.fault?.reason === unseen);
