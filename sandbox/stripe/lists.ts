import type { Feed, StoredEvent } from './feed.ts';
import { missing, Refusal } from './refusal.ts';
import type { NestedShape } from './shape.ts';
import type { Store, StripeRecord } from './store.ts';

export type Query = Map<string, string>;

/** A page of a list. */
export interface Page {
  data: StripeRecord[];
  has_more: boolean;
}

const usual = ['limit', 'starting_after', 'ending_before'];
const ranges = ['gt', 'gte', 'lt', 'lte'];

/** Refuses every parameter that the list does not know, as Stripe does. */
export function checkParams(query: Query, known: readonly string[], created: boolean): void {
  for (const name of query.keys()) {
    if (usual.includes(name) || known.includes(name) || /^expand\[\d*\]$/.test(name)) continue;
    if (created && (name === 'created' || ranges.some((r) => name === `created[${r}]`))) continue;
    throw new Refusal(400, 'parameter_unknown', `Received unknown parameter: ${name}`);
  }
}

function limitOf(query: Query): number {
  const limit = Number(query.get('limit') ?? 10);
  if (Number.isInteger(limit) && limit >= 1 && limit <= 100) return limit;
  throw new Refusal(400, undefined, 'Invalid integer: limit, at most 100');
}

/** Seconds from (included) to (not included). */
function rangeOf(query: Query): [number, number] {
  const at = (name: string) => {
    const text = query.get(`created[${name}]`);
    return text === undefined ? undefined : Number(text);
  };
  const [gt, gte, lt, lte] = ranges.map(at);
  const from = Math.max(gte ?? 0, gt === undefined ? 0 : gt + 1);
  const to = Math.min(lt ?? Number.POSITIVE_INFINITY, lte === undefined ? Number.POSITIVE_INFINITY : lte + 1);
  return [from, to];
}

const expandOf = (query: Query, under: string) =>
  [...query].flatMap(([name, value]) =>
    name.startsWith('expand[') && value.startsWith(under) ? [value.slice(under.length)] : [],
  );

/** Objects of a store, newest first. */
export function listObjects(store: Store, query: Query): Page {
  checkParams(query, store.shape.params, store.shape.created);
  const [from, to] = rangeOf(query);
  const [first, end] = [store.firstFrom(from), Number.isFinite(to) ? store.firstFrom(to) : store.length];
  const limit = limitOf(query);
  const expand = expandOf(query, 'data.');
  const found: number[] = [];
  const [after, before] = [placeOf(store, query.get('starting_after')), placeOf(store, query.get('ending_before'))];
  if (before !== null) {
    for (let n = before + 1; n < end && found.length <= limit; n++)
      if (n >= first && shows(store, n, query)) found.push(n);
  } else {
    const start = Math.min(end, after ?? end) - 1;
    for (let n = start; n >= first && found.length <= limit; n--) if (shows(store, n, query)) found.push(n);
  }
  const more = found.length > limit;
  const page = found.slice(0, limit);
  if (before !== null) page.reverse();
  return { data: page.map((n) => store.render(n, expand)), has_more: more };
}

/** A deleted object is no place in a list. */
function placeOf(store: Store, id: string | undefined): number | null {
  if (id === undefined) return null;
  const n = store.find(id);
  if (n === null || store.isDeleted(n)) throw missing(`${store.shape.object}: '${id}'`);
  return n;
}

function shows(store: Store, n: number, query: Query): boolean {
  if (store.isDeleted(n)) return false;
  const status = query.get('status');
  if (store.shape.events.canceled && status !== 'all' && store.isCanceled(n) !== (status === 'canceled')) return false;
  const clock = store.clockOf(n);
  return clock === (query.get('test_clock') ?? null);
}

/** A list inside an object, in its order. */
export function listItems(store: Store, n: number, nested: NestedShape, query: Query, parent?: string): Page {
  checkParams(query, parent === undefined ? [] : [parent], false);
  const items = store.items(n, nested);
  const after = query.get('starting_after');
  const at = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && at === 0) throw missing(`${nested.object}: '${after}'`);
  const limit = limitOf(query);
  return { data: items.slice(at, at + limit), has_more: items.length > at + limit };
}

/** What the feed shows at a moment, newest first. */
export function listEvents(feed: Feed, query: Query, nowMs: number, version: string): Page {
  const types = [...query].flatMap(([name, value]) => (name === 'type' || /^types\[\d*\]$/.test(name) ? [value] : []));
  for (const name of query.keys()) if (/^types\[\d*\]$/.test(name)) query.delete(name);
  checkParams(query, ['type', 'delivery_success'], true);
  const [from, to] = rangeOf(query);
  const all = feed
    .visible(nowMs)
    .filter(({ second, type }) => second >= from && second < to && (types.length === 0 || types.includes(type)));
  const limit = limitOf(query);
  const place = (id: string | undefined): StoredEvent | null => {
    if (id === undefined) return null;
    const event = feed.get(id);
    if (!event || event.visibleMs > nowMs) throw missing(`event: ${id}`);
    return event;
  };
  const [after, before] = [place(query.get('starting_after')), place(query.get('ending_before'))];
  const isBefore = (a: StoredEvent, b: StoredEvent) =>
    a.second < b.second || (a.second === b.second && a.rank < b.rank);
  if (before) {
    const newer = all.filter((one) => isBefore(before, one));
    return {
      data: newer
        .slice(0, limit)
        .reverse()
        .map((e) => feed.render(e, version)),
      has_more: newer.length > limit,
    };
  }
  const older = (after ? all.filter((one) => isBefore(one, after)) : all).reverse();
  return { data: older.slice(0, limit).map((e) => feed.render(e, version)), has_more: older.length > limit };
}
