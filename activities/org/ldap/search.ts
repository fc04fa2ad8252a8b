import {
  AndFilter,
  type Attribute,
  type Filter,
  FilterParser,
  PagedResultsControl,
  PresenceFilter,
  type SearchEntry,
  SearchRequest,
} from 'ldapts';
import { binaryAttributes, LdapEntry } from '../../../connectors/ldap/entry.ts';
import { SyncError } from '../../errors.ts';
import type { Session } from './session.ts';
import { ldapCode, refusal } from './verdict.ts';

/** Pages shrink to this before a server that refuses their size is given up. */
const leastPage = 100;
/** Pages without rows in a row that still name a next one. Servers that filter late send a few; more is a loop. */
const emptyPagesMost = 1_000;
const anything = new PresenceFilter({ attribute: 'objectClass' });

export interface Query {
  base: string;
  filter: Filter;
  attributes: string[];
  /** Entries a page; 0: one search without paging. */
  pageSize: number;
}

export interface EntryPage {
  entries: LdapEntry[];
  referrals: number;
  /** Set on the last page: how the server said that the list is over. */
  sign: string | null;
}

interface Found extends EntryPage {
  code: number;
  cookie: Buffer | null;
}

export const parseFilter = (text: string): Filter => FilterParser.parseString(text);
export const allOf = (...filters: Filter[]): Filter => new AndFilter({ filters });

/**
 * Reads a whole list page by page; the next page is on its way while one is used. Code 0 with an empty cookie, or with
 * none, is the only end. A chain of cookies belongs to its session and cannot be taken up again.
 */
export async function* search(session: Session, query: Query): AsyncGenerator<EntryPage> {
  const first = await firstPage(session, query);
  const { size } = first;
  let page = first.page;
  for (let empty = 0; ; ) {
    const { cookie } = page;
    if (cookie === null) {
      yield page;
      return;
    }
    empty = page.entries.length > 0 ? 0 : empty + 1;
    if (empty > emptyPagesMost)
      throw new SyncError('BadAnswer', `${session.target.url}, ${doing(query)}: pages without rows do not end`);
    const ahead = ask(session, query, size, cookie);
    // Its failure is met by the await below, or by nobody when the reader stops here.
    ahead.catch(() => undefined);
    yield page;
    page = await ahead;
    if (page.code !== ldapCode.success) throw refusal(page.code, session.target.url, doing(query));
  }
}

/** Some servers refuse a page over their cap with code 4, others with 11: asked again for half, down to 100. */
async function firstPage(session: Session, query: Query): Promise<{ page: Found; size: number }> {
  for (let size = query.pageSize; ; size = Math.max(leastPage, Math.floor(size / 2))) {
    const page = await ask(session, query, size, null);
    if (page.code === ldapCode.success) return { page, size };
    const tooLarge = page.code === ldapCode.sizeLimitExceeded || page.code === ldapCode.adminLimitExceeded;
    if (!tooLarge || size <= leastPage) throw refusal(page.code, session.target.url, doing(query));
  }
}

/** Whether the bind user sees an entry. Servers answer a missing right with code 1, 32, 50, or code 0 and no row. */
export async function sees(session: Session, base: string): Promise<{ seen: boolean; code: number }> {
  const found = await readEntry(session, base, ['1.1']);
  return { seen: found.entry !== null, code: found.code };
}

/** Throws unless the bind user sees the base entry: without it an empty list says nothing. */
export async function requireBase(session: Session, base: string): Promise<void> {
  const { seen, code } = await sees(session, base);
  if (code !== ldapCode.success) throw refusal(code, session.target.url, `base entry "${base}"`);
  if (!seen)
    throw new SyncError(
      'Forbidden',
      `${session.target.url}: the bind user does not see the base entry "${base}": check baseDn and the rights of bindDn`,
    );
}

/** Reads one entry by its name. */
export async function readEntry(
  session: Session,
  dn: string,
  attributes: string[],
): Promise<{ entry: LdapEntry | null; code: number }> {
  const entries: LdapEntry[] = [];
  const { response } = await session.request(
    (messageId) =>
      new SearchRequest({ messageId, baseDN: dn, scope: 'base', filter: anything, attributes, timeLimit: 0 }),
    (entry) => entries.push(toEntry(entry)),
  );
  return { entry: entries[0] ?? null, code: response.status };
}

/** Whether a list holds any entry at all. The limit of 1 is wanted here: code 4 is a yes. */
export async function anyEntry(session: Session, base: string, filter: Filter): Promise<boolean> {
  let some = false;
  const { response } = await session.request(
    (messageId) =>
      new SearchRequest({ messageId, baseDN: base, filter, attributes: ['1.1'], sizeLimit: 1, timeLimit: 0 }),
    () => {
      some = true;
    },
  );
  if (response.status !== ldapCode.success && response.status !== ldapCode.sizeLimitExceeded)
    throw refusal(response.status, session.target.url, `search below "${base}"`);
  return some;
}

async function ask(session: Session, query: Query, size: number, cookie: Buffer | null): Promise<Found> {
  const entries: LdapEntry[] = [];
  const value = cookie === null ? { size } : { size, cookie };
  const { response, referrals } = await session.request(
    (messageId) =>
      new SearchRequest({
        messageId,
        baseDN: query.base,
        filter: query.filter,
        attributes: query.attributes,
        // Both limits are the server's to set: ldapts would ask for 10 seconds.
        timeLimit: 0,
        sizeLimit: 0,
        ...(size > 0 && { controls: [new PagedResultsControl({ value })] }),
      }),
    (entry) => entries.push(toEntry(entry)),
  );
  const control = response.controls?.find((c) => c instanceof PagedResultsControl);
  const next = control?.value?.cookie;
  return {
    code: response.status,
    entries,
    referrals,
    cookie: next && next.length > 0 ? next : null,
    sign: next && next.length > 0 ? null : control ? 'empty cookie' : 'code 0 without paging',
  };
}

const doing = (query: Query) => `search below "${query.base}"`;

function toEntry(entry: SearchEntry): LdapEntry {
  const values = new Map<string, (string | Buffer)[]>();
  for (const attribute of entry.attributes) {
    const name = attribute.type.toLowerCase();
    const list = binaryAttributes.has(name) ? copies(attribute) : attribute.values;
    if (list.length > 0) values.set(name, list);
  }
  return new LdapEntry(entry.name, values);
}

/** The bytes ldapts keeps are views into what the socket delivered; a view would hold all of it. */
function copies(attribute: Attribute): Buffer[] {
  return attribute.parsedBuffers.map((bytes) => Buffer.from(bytes));
}
