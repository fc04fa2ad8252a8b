import { type ScimOptions, scimReader } from '../../connectors/scim.ts';

import type { StagePage, Stream } from '../../db/org/stageRows.ts';
import { SyncError } from '../errors.ts';
import { send, where } from '../http/request.ts';
import { errorCode, readJson, requireGone } from '../http/verdict.ts';
import { addGroup, addUser } from './records.ts';
import { advance, type Cursor, readList, start } from './scim.pages.ts';
import { emptyPage, type OrgSource, type Probe, type SourcePage, type StagedGroups, Unaskable } from './source.ts';

const endpoint: Record<Stream, string> = { groups: '/Groups', users: '/Users' };
/** Pages shrink to this before a server that refuses the count is given up. */
const leastPage = 10;

/** SCIM 2.0 over HTTP. The step is always the rows that came; totals are evidence, never the end sign. */
export function scimSource(baseUrl: string, token: string | null, options: ScimOptions): OrgSource {
  const base = baseUrl.replace(/\/+$/, '');
  // What errors may say: an address can carry a password (http://user:password@host).
  const shown = where(new URL(base)).replace(/\/$/, '');
  const reader = scimReader(options);
  const headers: Record<string, string> = {
    accept: 'application/scim+json, application/json',
    ...(token && { authorization: `Bearer ${token}` }),
  };

  async function get(path: string, query: Record<string, string>, signal: AbortSignal, place = shown + path) {
    const url = new URL(base + path);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    return { answer: await send({ url: url.href, shown: place, headers, signal }), place };
  }

  const filters: Record<Stream, string | undefined> = { users: options.userFilter, groups: options.groupFilter };

  function ask(stream: Stream, { at, count }: Pick<Cursor, 'at' | 'count'>, signal: AbortSignal) {
    const filter = filters[stream];
    const position: Record<string, string> =
      options.paging === 'index' ? { startIndex: String(at) } : { cursor: String(at) };
    return get(endpoint[stream], { ...position, count: String(count), ...(filter && { filter }) }, signal);
  }

  async function list(stream: Stream, cursor: Cursor, signal: AbortSignal, asked = ask(stream, cursor, signal)) {
    const { answer, place } = await asked;
    if (answer.status === 501) {
      const hint = options.paging === 'cursor' ? '. Try the option paging: "index"' : '';
      throw new SyncError('BadAnswer', `${place} does not implement what was asked (501)${hint}`);
    }
    if (answer.status === 400) {
      const code = errorCode(answer);
      if (code === 'invalidCount' && cursor.count > leastPage) {
        cursor.count = Math.max(leastPage, Math.floor(cursor.count / 2));
        return list(stream, cursor, signal);
      }
      if (code === 'expiredCursor' || code === 'invalidCursor') {
        throw new SyncError(
          'ChainBroken',
          `${place}: the cursor after ${cursor.seen} rows is no longer valid (${code}): the list is read from its start`,
        );
      }
    }
    return readList(readJson(answer, place) ?? noEndpoint(place), place);
  }

  function noEndpoint(place: string): never {
    throw new SyncError('BadAnswer', `${place} does not exist (404): is the base address the SCIM service root?`);
  }

  /** One record as the list would show it: a direct read also finds who is outside the filter. */
  async function findInScope(stream: Stream, id: string, filter: string, signal: AbortSignal) {
    const asked = `(${filter}) and id eq ${JSON.stringify(id)}`;
    const shownAs = `${shown}${endpoint[stream]}?filter=…`;
    const { answer, place } = await get(endpoint[stream], { filter: asked }, signal, shownAs);
    const body = answer.status === 400 ? null : (readJson(answer, place) ?? noEndpoint(place));
    const rows = body === null ? null : (readList(body, place).resources as (Record<string, unknown> | null)[]);
    if (rows?.every((row) => hasId(row, id))) return rows[0] ?? null;
    throw new Unaskable(
      `${place} does not combine a filter with an id: nobody can ask whether one record is inside the connection's filter`,
    );
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

  async function* pages(
    stream: Stream,
    from: unknown,
    signal: AbortSignal,
    _staged: StagedGroups,
    most = Number.POSITIVE_INFINITY,
  ): AsyncIterable<SourcePage> {
    const cursor: Cursor = { ...start(options), ...(from as Cursor | null) };
    const until = cursor.seen + most;
    const askAt = (at: number | string) => {
      const asked = ask(stream, { at, count: cursor.count }, signal);
      // Its failure is met by the turn that reads it, or by nobody when the slice ends before.
      asked.catch(() => undefined);
      return { at, asked };
    };
    let next = askAt(cursor.at);
    // While pages come full, the one behind the next is asked for too: a page takes as long to read as to come.
    let behind: typeof next | null = null;
    for (;;) {
      const answer = await list(stream, cursor, signal, next.asked);
      const ended = advance(cursor, answer, stream, `${shown}${endpoint[stream]}`);
      const last = ended !== null || cursor.seen >= until;
      let requests = 1;
      if (!last) {
        const guessed = behind?.at === cursor.at;
        if (behind !== null && !guessed) requests += 1;
        next = guessed && behind !== null ? behind : askAt(cursor.at);
        const full = typeof cursor.at === 'number' && answer.resources.length === cursor.count;
        const at = full ? Number(cursor.at) + cursor.count : Number.POSITIVE_INFINITY;
        behind = at <= Math.min(cursor.lastTotal ?? Number.MAX_SAFE_INTEGER, until) ? askAt(at) : null;
      }
      const page = ended?.sign === 'wrapped' ? emptyPage() : toPage(stream, answer.resources, cursor.pages);
      yield { page, cursor: { ...cursor }, requests, ended };
      if (last) return;
    }
  }

  return {
    resumable: true,
    absentMeansNone: false,
    absentIsActive: false,
    narrowed: options.userFilter !== undefined,
    elsewhere: { platform: 'scim', baseUrl, token, options },
    pages,
    async readOne(stream, id, signal) {
      const filter = filters[stream];
      if (filter !== undefined) {
        const found = await findInScope(stream, id, filter, signal);
        return found === null ? null : toPage(stream, [found], 0);
      }
      const shownAs = `${shown}${endpoint[stream]}/…`;
      const { answer, place } = await get(`${endpoint[stream]}/${encodeURIComponent(id)}`, {}, signal, shownAs);
      const body = readJson(answer, place);
      if (body === null) {
        requireGone(answer, place);
        return null;
      }
      if (!hasId(body, id))
        throw new SyncError('BadAnswer', `${place} answered with another record than the one asked for`);
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

/** Servers with integer keys send ids as numbers, which we hold as text. */
const hasId = (row: Record<string, unknown> | null, id: string) => String(row?.id) === id;
