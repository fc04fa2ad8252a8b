import { randomBytes } from 'node:crypto';
import { momentsOf, randomOf } from './stripe/chance.ts';
import { type Changes, changeOne } from './stripe/churn.ts';
import { Feed, type FeedOptions } from './stripe/feed.ts';
import type { LimitOptions } from './stripe/limits.ts';
import { type Account, previewOf } from './stripe/routes.ts';
import { type StripeCounts, type StripeFault, StripeServer } from './stripe/server.ts';
import { shapes } from './stripe/shapes.ts';
import { canceled, deleted, Store, type StripeRecord } from './stripe/store.ts';

export type { StripeCounts, StripeFault } from './stripe/server.ts';
export { shapes } from './stripe/shapes.ts';

/** A change with its moment, ms. */
export interface Paced {
  id: string;
  version: number;
  atMs: number;
}

export interface StripeSandboxOptions extends FeedOptions {
  /** Objects of each list at the beginning. Lists that are not named do not exist: the account lacks the product. */
  counts?: Partial<Record<keyof typeof shapes, number>>;
  /** `clustered`: 99 % of the objects in 1 % of the time. Default `even`. */
  spread?: 'even' | 'clustered';
  /** Time over which they were made, days. Default 30. */
  spanDays?: number;
  latencyMs?: number;
  /** Default none. */
  limits?: LimitOptions | null;
  /** Customers, subscriptions and quotes under test clocks: one in 23. Default 0 clocks. */
  clocks?: number;
  /** Seconds of its clock in one of ours, so that what takes minutes there is seen within seconds. Default 1. */
  speed?: number;
  seed?: number;
  faults?: StripeFault[];
  version?: string;
}

/** A simulated Stripe account over real HTTP. */
export interface StripeSandbox extends Changes {
  readonly url: string;
  readonly key: string;
  readonly requests: StripeCounts;
  /** Moment by its clock, ms. */
  nowMs(): number;
  readonly feed: Feed;
  /** Changes an object so that it holds U+0000, which Postgres cannot keep, until its next change. */
  spoil(list: string, id: string): void;
  /** Changes at random, `perSecond` times a second, until the returned function is called. `only`: lists that change. */
  churn(perSecond: number, only?: readonly string[]): () => void;
  /** Changes one object after the other, each once, at an even pace. @returns what ends it and tells each change */
  pace(list: string, perSecond: number): () => Paced[];
  /** Living objects of a list by id, as they are at this moment. */
  truth(list: string): Map<string, StripeRecord>;
  /** Items of a list inside the living objects, by `parent/item`. */
  truthOf(list: string, field: string): Map<string, StripeRecord>;
  /** Next invoices by subscription. */
  previews(): Map<string, StripeRecord>;
  setFaults(faults: StripeFault[]): void;
  /** From now on the address answers for another account, to its key alone. */
  hand(key: string, account: string): void;
  stop(): Promise<void>;
}

const defaultVersion = '2026-08-26.dahlia';
const daySeconds = 86_400;

/** @throws RangeError for a list that it does not know */
export async function startStripeSandbox(options: StripeSandboxOptions = {}): Promise<StripeSandbox> {
  const { counts = { customers: 250 }, latencyMs = 0, speed = 1, seed = 1 } = options;
  const startedMs = Date.now();
  const nowMs = () => Math.round(startedMs + (Date.now() - startedMs) * speed);
  const random = randomOf(seed);
  // What a worker knows of an account it keeps by address and key, and a port comes again.
  const key = `sk_test_sandbox${randomBytes(5).toString('hex')}`;
  const now = Math.floor(startedMs / 1_000);
  const since = now - (options.spanDays ?? 30) * daySeconds;
  const stores: Record<string, Store> = {};
  const clockStore = new Store(shapes.test_helpers_test_clocks!, momentsOf(options.clocks ?? 0, since, now, 'even'));
  const clockIds = Array.from({ length: options.clocks ?? 0 }, (_, n) => clockStore.id(n));
  if (clockIds.length > 0) stores.test_helpers_test_clocks = clockStore;
  for (const [list, count = 0] of Object.entries(counts)) {
    const shape = shapes[list];
    if (!shape) throw new RangeError(`no list "${list}"; accepted: ${Object.keys(shapes).join(', ')}`);
    const moments = momentsOf(count, since, now - 5, options.spread ?? 'even');
    stores[list] = new Store(shape, moments, shape.params.includes('test_clock') ? clockIds : []);
  }
  const feed = new Feed(options, random);
  const account: Account = {
    id: 'acct_1',
    stores,
    feed,
    since,
    version: options.version ?? defaultVersion,
    nowMs,
  };
  const requests: StripeCounts = { total: 0, refused: 0, wrong: 0, byEndpoint: {} };
  const http = new StripeServer(account, requests, { key, latencyMs, limits: options.limits ?? null });
  http.setFaults(options.faults ?? []);
  const port = await http.listen();

  const numberOf = (list: string, id: string) => {
    const n = stores[list]?.find(id);
    if (n === null || n === undefined) throw new RangeError(`no ${list} "${id}"`);
    return n;
  };
  const tell = (list: string, n: number, what: 'created' | 'updated' | 'deleted' | 'canceled', request?: string) => {
    const store = stores[list] as Store;
    const type = store.shape.events[what];
    if (type !== undefined)
      feed.tell(type, store, n, {
        nowMs: nowMs(),
        at: store.moment(n),
        request: request ?? null,
        key: request ? `key_${request}` : null,
      });
  };
  const sandbox: StripeSandbox = {
    url: `http://127.0.0.1:${port}`,
    key,
    requests,
    nowMs,
    stores,
    feed,
    create(list, request) {
      const store = stores[list] as Store;
      const n = store.add(Math.floor(nowMs() / 1_000));
      tell(list, n, 'created', request);
      return store.id(n);
    },
    update(list, id, request) {
      const n = numberOf(list, id);
      (stores[list] as Store).change(n);
      tell(list, n, 'updated', request);
    },
    spoil(list, id) {
      (stores[list] as Store).spoil(numberOf(list, id));
      tell(list, numberOf(list, id), 'updated');
    },
    remove(list, id) {
      const n = numberOf(list, id);
      (stores[list] as Store).change(n, deleted);
      tell(list, n, 'deleted');
    },
    cancel(id) {
      const n = numberOf('subscriptions', id);
      (stores.subscriptions as Store).change(n, canceled);
      tell('subscriptions', n, 'canceled');
    },
    churn(perSecond, only) {
      const lists =
        only ?? Object.keys(stores).filter((list) => Object.keys((stores[list] as Store).shape.events).length > 0);
      let owed = 0;
      let at = performance.now();
      const timer = setInterval(() => {
        const now = performance.now();
        owed += ((now - at) * perSecond) / 1_000;
        at = now;
        for (; owed >= 1; owed -= 1) changeOne(sandbox, lists[Math.floor(random() * lists.length)] as string, random);
      }, 10);
      return () => clearInterval(timer);
    },
    pace(list, perSecond) {
      const store = stores[list] as Store;
      const told: Paced[] = [];
      const began = performance.now();
      const timer = setInterval(() => {
        while (told.length < ((performance.now() - began) * perSecond) / 1_000 && told.length < store.length) {
          const id = store.id(told.length);
          sandbox.update(list, id);
          told.push({ id, version: store.moment(told.length).version, atMs: Date.now() });
        }
      }, 2);
      return () => {
        clearInterval(timer);
        return told;
      };
    },
    truth(list) {
      const store = stores[list] as Store;
      const expand = store.shape.lists.map(({ field }) => field);
      return new Map(numbers(store).map((n) => [store.id(n), store.render(n, expand)]));
    },
    truthOf(list, field) {
      const store = stores[list] as Store;
      const nested = store.shape.lists.find((one) => one.field === field)!;
      return new Map(
        numbers(store).flatMap((n) =>
          store.items(n, nested).map((item) => [`${store.id(n)}/${item.id}`, item] as const),
        ),
      );
    },
    previews() {
      const store = stores.subscriptions as Store;
      const active = numbers(store).filter((n) => !store.isCanceled(n));
      return new Map(active.map((n) => [store.id(n), previewOf(store, n, nowMs())]));
    },
    setFaults: (faults) => http.setFaults(faults),
    hand(key, id) {
      account.id = id;
      http.options.key = key;
    },
    stop: () => http.stop(),
  };
  return sandbox;
}

const numbers = (store: Store) => Array.from({ length: store.length }, (_, n) => n).filter((n) => !store.isDeleted(n));
