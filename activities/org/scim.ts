import { createHash } from 'node:crypto';
import { type ScimOptions, scimReader } from '../../connectors/scim.ts';
import type { ReadEnd, StagePage, Stream } from '../../db/org/stage.ts';
import { SyncError } from '../errors.ts';
import { send } from '../http/request.ts';
import { errorCode, readJson } from '../http/verdict.ts';
import { addGroup, addUser } from './records.ts';
import { emptyPage, type OrgSource, type Probe, type SourcePage } from './source.ts';

const endpoint: Record<Stream, string> = { groups: '/Groups', users: '/Users' };
/** Pages shrink to this before a server that refuses the count is given up. */
const leastPage = 10;

/** Where the reader stands. Digests tell a page that repeats from one that moved. */
interface Cursor {
  /** Next startIndex (1-based), or the next cursor of RFC 9865. */
  at: number | string;
  seen: number;
  pages: number;
  count: number;
  firstTotal: number | null;
  lastTotal: number | null;
  /** A total that fell while reading means rows moved to pages already read (facts: 297 of 300 came, 3 living people missing). */
  shrank: boolean;
  firstDigest: string;
  lastDigest: string;
}

interface List {
  resources: unknown[];
  total: number | null;
  next: string | undefined;
}

/** SCIM 2.0 over HTTP. The step is always the rows that came; totals are evidence, never the end sign. */
export function scimSource(baseUrl: string, token: string | null, options: ScimOptions): OrgSource {
  const base = baseUrl.replace(/\/+$/, '');
  const reader = scimReader(options);
  const headers: Record<string, string> = {
    accept: 'application/scim+json, application/json',
    ...(token && { authorization: `Bearer ${token}` }),
  };

  async function get(path: string, query: Record<string, string>, signal: AbortSignal) {
    const url = new URL(base + path);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    return { answer: await send({ url: url.href, headers, signal }), url: url.href };
  }

  async function list(stream: Stream, cursor: Cursor, signal: AbortSignal): Promise<List> {
    const filter = stream === 'users' ? options.userFilter : options.groupFilter;
    const position: Record<string, string> =
      options.paging === 'index' ? { startIndex: String(cursor.at) } : { cursor: String(cursor.at) };
    const query = { ...position, count: String(cursor.count), ...(filter && { filter }) };
    const { answer, url } = await get(endpoint[stream], query, signal);
    if (answer.status === 400) {
      const code = errorCode(answer);
      if (code === 'invalidCount' && cursor.count > leastPage) {
        cursor.count = Math.max(leastPage, Math.floor(cursor.count / 2));
        return list(stream, cursor, signal);
      }
      if (code === 'expiredCursor' || code === 'invalidCursor') {
        throw new SyncError(
          'ChainBroken',
          `${base}${endpoint[stream]}: the cursor after ${cursor.seen} rows is no longer valid (${code}): the list is read from its start`,
        );
      }
    }
    const body = readJson(answer, url);
    if (body === null)
      throw new SyncError(
        'BadAnswer',
        `${base}${endpoint[stream]} does not exist (404): is the base address the SCIM service root?`,
      );
    return readList(body, `${base}${endpoint[stream]}`);
  }

  function toPage(stream: Stream, resources: unknown[], page: number): StagePage {
    const out = emptyPage();
    for (const [index, resource] of resources.entries()) {
      const record = (typeof resource === 'object' && resource !== null ? resource : {}) as Record<string, unknown>;
      const position = `${stream} page ${page} row ${index + 1}`;
      if (stream === 'users') addUser(out, reader.user(record), resource, position);
      else addGroup(out, reader.group(record), resource, position);
    }
    return out;
  }

  async function* pages(stream: Stream, from: unknown, signal: AbortSignal): AsyncIterable<SourcePage> {
    const cursor = (from ?? start(options)) as Cursor;
    let ahead = list(stream, cursor, signal);
    for (;;) {
      const answer = await ahead;
      const ended = advance(cursor, answer, stream, `${base}${endpoint[stream]}`);
      if (!ended) {
        ahead = list(stream, cursor, signal);
        // Its failure is met by the next turn, or by nobody when the slice ends here.
        ahead.catch(() => undefined);
      }
      const page = ended?.sign === 'wrapped' ? emptyPage() : toPage(stream, answer.resources, cursor.pages);
      yield { page, cursor: { ...cursor }, requests: 1, ended };
      if (ended) return;
    }
  }

  return {
    resumable: true,
    absentMeansNone: false,
    pages,
    async readOne(stream, id, signal) {
      const { answer, url } = await get(`${endpoint[stream]}/${encodeURIComponent(id)}`, {}, signal);
      const body = readJson(answer, url.slice(0, url.lastIndexOf('/')));
      if (body === null) return null;
      if (body.id !== id)
        throw new SyncError(
          'BadAnswer',
          `${base}${endpoint[stream]}/… answered with another record than the one asked for`,
        );
      return toPage(stream, [body], 0);
    },
    async probe(signal): Promise<Probe> {
      const [users, groups] = [
        await list('users', start(options), signal),
        await list('groups', start(options), signal),
      ];
      const faults = [
        ...toPage('users', users.resources, 1).users,
        ...toPage('groups', groups.resources, 1).groups,
      ].filter((row) => row.fault);
      const notes =
        faults.length > 0
          ? [
              `${faults.length} records of the first page would be handed back (${faults[0]?.fault?.reason}: ${faults[0]?.fault?.field})`,
            ]
          : [];
      return {
        users: users.resources.length,
        groups: groups.resources.length,
        userTotal: users.total,
        groupTotal: groups.total,
        notes,
      };
    },
    close: async () => undefined,
  };
}

function start(options: ScimOptions): Cursor {
  const at = options.paging === 'index' ? 1 : '';
  return {
    at,
    seen: 0,
    pages: 0,
    count: options.pageSize,
    firstTotal: null,
    lastTotal: null,
    shrank: false,
    firstDigest: '',
    lastDigest: '',
  };
}

/** A list answer must say that it is one: `{}` from a deactivated connection and totals without rows are failures. */
function readList(body: Record<string, unknown>, place: string): List {
  const total = typeof body.totalResults === 'number' ? body.totalResults : null;
  const resources = body.Resources ?? (total === 0 ? [] : undefined);
  if (!Array.isArray(resources)) {
    throw new SyncError(
      'BadAnswer',
      `${place} answered 200 without Resources (totalResults ${total ?? 'absent'}): no list, or no permission to see its rows`,
    );
  }
  const next = typeof body.nextCursor === 'string' && body.nextCursor !== '' ? body.nextCursor : undefined;
  return { resources, total, next };
}

/** Moves the cursor over a page; returns how the list ended, or null while there is more. */
function advance(cursor: Cursor, list: List, stream: Stream, place: string): ReadEnd | null {
  const rows = list.resources.length;
  const digest = rows === 0 ? '' : digestOf(list.resources);
  if (list.total !== null) {
    cursor.shrank ||= cursor.lastTotal !== null && list.total < cursor.lastTotal;
    cursor.firstTotal ??= list.total;
    cursor.lastTotal = list.total;
  }
  const byIndex = typeof cursor.at === 'number';
  if (cursor.pages === 0 && rows === 0 && (list.total ?? 0) > 0) {
    throw new SyncError(
      'BadAnswer',
      `${place} names ${list.total} ${stream} and shows none: the credential has no permission to see them`,
    );
  }
  if (rows > 0 && cursor.pages > 0 && (digest === cursor.firstDigest || digest === cursor.lastDigest)) {
    if (byIndex && digest === cursor.firstDigest && cursor.lastTotal !== null && cursor.seen >= cursor.lastTotal)
      return end(cursor, 'wrapped');
    throw new SyncError(
      'BadAnswer',
      `${place} repeats a page after ${cursor.seen} of ${cursor.lastTotal ?? 'unknown'} ${stream}: the server ignores ${byIndex ? 'startIndex' : 'the cursor'}. Try the option paging: ${byIndex ? '"cursor"' : '"index"'}`,
    );
  }
  cursor.pages += 1;
  cursor.seen += rows;
  cursor.firstDigest ||= digest;
  cursor.lastDigest = digest;
  if (byIndex) {
    cursor.at = (cursor.at as number) + rows;
    return rows === 0 ? end(cursor, 'empty page') : null;
  }
  if (list.next !== undefined && list.next === cursor.at)
    throw new SyncError('BadAnswer', `${place}: the cursor does not advance after ${cursor.seen} ${stream}`);
  if (list.next === undefined) return end(cursor, 'no nextCursor');
  cursor.at = list.next;
  return null;
}

function end(cursor: Cursor, sign: string): ReadEnd {
  const { firstTotal, lastTotal, seen } = cursor;
  let doubt: string | null = null;
  if (cursor.shrank)
    doubt = `the total fell from ${firstTotal} to ${lastTotal} while it was read, so rows may have moved to pages already read`;
  else if (lastTotal !== null && seen < lastTotal) doubt = `${seen} of ${lastTotal} rows came`;
  return { sign, firstTotal, lastTotal, doubt };
}

function digestOf(resources: unknown[]): string {
  const hash = createHash('sha1');
  for (const r of resources) hash.update(`${(r as { id?: unknown } | null)?.id}\n`);
  return hash.digest('base64').slice(0, 12);
}
