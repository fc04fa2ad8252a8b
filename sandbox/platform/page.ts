import { cursorOf, positionAfter, readCursor } from './cursor.ts';
import type { AnsweredPage, Api, ApiPaging, ApiSize, Call } from './fixture.ts';
import type { List, Row } from './list.ts';
import { slice, type View, view } from './query.ts';
import { Refusal } from './refusal.ts';
import { whole } from './values.ts';

/** Rows of one answer, and what a reader needs to go on. */
export interface Found extends Omit<AnsweredPage, 'rows'> {
  rows: Row[];
  /** The record before the first, for the fault `twice`. */
  before: Row | undefined;
}

/** How faults bend a page. */
export interface Bends {
  stuck: boolean;
  wrap: boolean;
}

/** The strategy a call uses: the first whose parameter it carries, else the last. */
export function pagingOf(api: Api, params: Record<string, unknown>): ApiPaging {
  const named = api.paging.find((paging) => 'param' in paging && (params[paging.param] ?? '') !== '');
  return named ?? api.paging.at(-1)!;
}

/** Finds the rows a call asks for. @throws Refusal for what the platform does not serve */
export function find(api: Api, list: List, call: Call, now: number, bends: Bends): Found {
  const paging = pagingOf(api, call.params);
  if (paging.kind === 'one') return all([one(list, call.params[paging.param])]);
  if (paging.kind === 'ids') return all(several(list, call.params[paging.param], paging.max));
  const asked = view(api, list, call, now, paging.kind === 'version');
  const total = asked.high - asked.low;
  if (paging.kind === 'whole' || paging.kind === 'export' || paging.kind === 'poll') return all(slice(asked, 0, total));
  const size = sizeOf(paging.size, call.params);
  if (paging.kind === 'page') return byPage(asked, paging, size, call.params, bends);
  if (paging.kind === 'offset') return byOffset(asked, paging, size, call.params, bends);
  return byPosition(asked, paging, size, call.params, now, bends);
}

function all(rows: Row[]): Found {
  const total = rows.length;
  return { rows, before: undefined, total, page: 1, size: total, pages: 1, more: false, next: null };
}

function one(list: List, id: unknown): Row {
  const row = list.get(String(id));
  if (!row || (row.gone !== null && list.spec.removed === 'leaves')) throw new Refusal('gone', 'id');
  return row;
}

function several(list: List, given: unknown, max: number): Row[] {
  const ids = Array.isArray(given) ? given.map(String) : String(given).split(',');
  if (ids.length > max) throw new Refusal('size', 'ids');
  return ids.flatMap((id) => {
    const row = list.get(id);
    return row && (row.gone === null || list.spec.removed !== 'leaves') ? [row] : [];
  });
}

function sizeOf(size: ApiSize, params: Record<string, unknown>): number {
  const given = size.param === undefined ? undefined : params[size.param];
  if (given === undefined || given === '') return size.default;
  const rows = whole(given);
  if (Number.isNaN(rows) || rows < 1) throw new Refusal('invalid', size.param);
  if (rows > size.max || rows < (size.min ?? 1)) throw new Refusal('size', size.param);
  return rows;
}

function byPage(
  asked: View,
  paging: ApiPaging & { kind: 'page' },
  size: number,
  params: Record<string, unknown>,
  bends: Bends,
): Found {
  const page = whole(params[paging.param] ?? paging.first);
  if (Number.isNaN(page) || page < paging.first) throw new Refusal('invalid', paging.param);
  const number = page - paging.first + 1;
  const { deepest = {} } = paging;
  if (number > (deepest.page ?? Number.POSITIVE_INFINITY)) throw new Refusal('deep', paging.param);
  if (number * size > (deepest.rows ?? Number.POSITIVE_INFINITY)) throw new Refusal('deep', paging.param);
  return { ...cut(asked, (number - 1) * size, size, bends), page };
}

function byOffset(
  asked: View,
  paging: ApiPaging & { kind: 'offset' },
  size: number,
  params: Record<string, unknown>,
  bends: Bends,
): Found {
  const offset = whole(params[paging.param] ?? paging.first);
  if (Number.isNaN(offset) || offset < paging.first) throw new Refusal('invalid', paging.param);
  const found = cut(asked, offset - paging.first, size, bends);
  return { ...found, page: offset };
}

/** A page that begins at a place counted in records. */
function cut(asked: View, wanted: number, size: number, bends: Bends): Found {
  const total = asked.high - asked.low;
  const start = bends.stuck || (bends.wrap && wanted >= total) ? 0 : wanted;
  const more = bends.stuck || start + size < total;
  const pages = Math.ceil(total / size);
  const before = start > 0 ? slice(asked, start - 1, 1)[0] : undefined;
  return { rows: slice(asked, start, size), before, total, page: 0, size, pages, more, next: null };
}

/** Cursors, links and versions: the page after a record, wherever that stands by then. */
function byPosition(
  asked: View,
  paging: ApiPaging & { kind: 'cursor' | 'link' | 'version' },
  size: number,
  params: Record<string, unknown>,
  now: number,
  bends: Bends,
): Found {
  const given = params[paging.param];
  const total = asked.high - asked.low;
  const pages = Math.ceil(total / size);
  if (paging.kind === 'version') {
    const from = whole(given ?? 0);
    if (Number.isNaN(from)) throw new Refusal('invalid', paging.param);
    const start = bends.stuck ? 0 : asked.sorted.find(from) - asked.low;
    const found = cut(asked, Math.max(0, start), size, { stuck: false, wrap: false });
    return { ...found, page: 1, total: total - start, pages: Math.ceil((total - start) / size) };
  }
  const seen = given === undefined || given === '' || given === '0' ? null : readCursor(given, paging, now);
  const page = (seen?.page ?? 0) + 1;
  if (paging.kind === 'cursor' && paging.pageParam !== undefined && whole(params[paging.pageParam]) !== page) {
    throw new Refusal('invalid', paging.pageParam);
  }
  const start = seen ? positionAfter(asked, seen) : 0;
  const found = cut(asked, start, size, { stuck: false, wrap: false });
  const last = found.rows.at(-1);
  const next = last && { value: asked.of(last), serial: last.serial, page };
  const made = paging.kind === 'cursor' && paging.livesMs !== undefined ? now : 0;
  if (bends.stuck) return { ...found, page, more: true, next: seen ? String(given) : stuck(asked, found, made) };
  const end = paging.kind === 'cursor' ? (paging.end ?? null) : null;
  return { ...found, page, pages, next: found.more && next ? cursorOf(next, made) : end };
}

/** A cursor that leads to the first page again. */
function stuck(asked: View, found: Found, made: number): string {
  const first = found.rows[0];
  const serial = asked.descending ? (first?.serial ?? 0) + 1 : (first?.serial ?? 1) - 1;
  return cursorOf({ value: first ? asked.of(first) : 0, serial, page: 1 }, made);
}
