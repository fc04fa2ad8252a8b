import type { Feed } from './feed.ts';
import { checkParams, listEvents, listItems, listObjects, type Query } from './lists.ts';
import { missing, Refusal } from './refusal.ts';
import { scatter } from './shape.ts';
import type { Store, StripeRecord } from './store.ts';

/** What the routes answer from. */
export interface Account {
  id: string;
  stores: Record<string, Store>;
  feed: Feed;
  /** `created` of the account. */
  since: number;
  version: string;
  nowMs(): number;
}

export interface Routed {
  /** Endpoint as the limits count it. */
  endpoint: string;
  answer(): object;
}

/** Finds what answers a call. @throws Refusal for an address that nobody has */
export function route(account: Account, method: string, path: string, query: Query): Routed {
  const list = (url: string, page: () => { data: object[]; has_more: boolean }): Routed => ({
    endpoint: `${method} ${url}`,
    answer: () => ({ object: 'list', url, ...page() }),
  });
  if (method === 'POST' && path === '/v1/invoices/create_preview')
    return { endpoint: `POST ${path}`, answer: () => preview(account, query) };
  if (method !== 'GET') throw unrecognized(method, path);
  if (path === '/v1/events') return list(path, () => listEvents(account.feed, query, account.nowMs(), account.version));
  if (path === '/v1/account')
    return {
      endpoint: 'GET /v1/account',
      answer: () => ({ id: account.id, object: 'account', created: account.since }),
    };
  for (const store of Object.values(account.stores)) {
    const { shape } = store;
    if (path === shape.path) return list(path, () => listObjects(store, query));
    for (const nested of shape.lists) {
      const [address, parent] = nested.route.replace('=', '').split('?');
      if (parent !== undefined && path === address)
        return list(path, () => listItems(store, need(store, query.get(parent)), nested, query, parent));
    }
    if (!path.startsWith(`${shape.path}/`)) continue;
    const [id = '', below] = path.slice(shape.path.length + 1).split('/');
    if (below === undefined) return { endpoint: `GET ${shape.path}/:id`, answer: () => retrieve(store, id, query) };
    const nested = shape.lists.find(({ field }) => field === below);
    if (nested) return list(`${shape.path}/:id/${below}`, () => listItems(store, need(store, id), nested, query));
  }
  throw unrecognized(method, path);
}

const unrecognized = (method: string, path: string) =>
  new Refusal(404, undefined, `Unrecognized request URL (${method}: ${path}).`);

function need(store: Store, id: string | undefined): number {
  const n = id === undefined ? null : store.find(id);
  if (n === null || store.isDeleted(n)) throw missing(`${store.shape.object}: '${id}'`);
  return n;
}

function retrieve(store: Store, id: string, query: Query): StripeRecord {
  checkParams(query, [], false);
  const n = store.find(id);
  if (n !== null && store.isDeleted(n) && store.shape.stub) return { id, object: store.shape.object, deleted: true };
  return store.render(
    need(store, id),
    [...query].flatMap(([name, value]) => (name.startsWith('expand[') ? [value] : [])),
  );
}

/** The next invoice of a subscription that is not canceled. */
function preview({ stores, nowMs }: Account, query: Query): StripeRecord {
  for (const name of query.keys())
    if (!['subscription', 'customer'].includes(name))
      throw new Refusal(400, 'parameter_unknown', `Received unknown parameter: ${name}`);
  const { subscriptions } = stores;
  const id = query.get('subscription');
  if (!subscriptions) throw unrecognized('POST', '/v1/invoices/create_preview');
  const n = need(subscriptions, id);
  if (subscriptions.isCanceled(n))
    throw new Refusal(404, 'invoice_upcoming_none', 'No upcoming invoices for the subscription');
  return previewOf(subscriptions, n, nowMs());
}

export function previewOf(subscriptions: Store, n: number, nowMs: number): StripeRecord {
  const { version } = subscriptions.moment(n);
  const lines = subscriptions.shape.lists[0]!.items(n, version);
  return {
    id: `upcoming_in_${scatter(n, 11).toString(36)}`,
    object: 'invoice',
    created: Math.floor(nowMs / 86_400_000) * 86_400,
    livemode: false,
    currency: 'eur',
    customer: `cus_${n}`,
    total: lines.length * 100 + version,
    status: 'draft',
    metadata: {},
    lines: {
      object: 'list',
      has_more: false,
      data: lines
        .slice(0, 10)
        .map((item) => ({ id: `il_tmp_${n}_${item}`, object: 'line_item', amount: item, currency: 'eur' })),
    },
  };
}
