import type { Moment, Store, StripeRecord } from './store.ts';

export interface FeedOptions {
  /** Longest time after which an event appears, ms. Default 0. */
  lagMs?: number;
  /** Share of the events that appear late. Default 1 with a lag. */
  lateShare?: number;
  /** Share of the events that carry no object. Default 0. */
  thinShare?: number;
  /** Events of one second stand in no order, so that a new one may appear behind one that was seen. Default true. */
  shuffled?: boolean;
  /** Version in which events are written. Default: the one that is asked for. */
  eventVersion?: string;
  /** Account that events told from now on are of, as the feed of a Connect platform shows them. Default: none, the account's own. */
  eventAccount?: string;
  /** Age from which events are gone, seconds. Default 30 days. */
  keptSeconds?: number;
}

export interface StoredEvent {
  id: string;
  second: number;
  /** Place among the events of one second: not the order in which they happened. */
  rank: number;
  type: string;
  store: Store;
  n: number;
  at: Moment;
  visibleMs: number;
  thin: boolean;
  request: string | null;
  key: string | null;
  account: string | undefined;
}

const thirtyDays = 30 * 86_400;

/** The feed of events: ordered by second, in no order inside one, and late. */
export class Feed {
  readonly options: FeedOptions;
  private readonly events: StoredEvent[] = [];
  private readonly byId = new Map<string, StoredEvent>();
  private readonly random: () => number;
  private made = 0;

  constructor(options: FeedOptions, random: () => number) {
    this.options = options;
    this.random = random;
  }

  tell(
    type: string,
    store: Store,
    n: number,
    {
      nowMs,
      at,
      request = null,
      key = null,
    }: { nowMs: number; at: Moment; request?: string | null; key?: string | null },
  ): StoredEvent {
    const { lagMs = 0, lateShare = 1, thinShare = 0, shuffled = true } = this.options;
    const event: StoredEvent = {
      id: `evt_${Math.floor(this.random() * 2 ** 40).toString(36)}${(this.made++).toString(36)}`,
      second: Math.floor(nowMs / 1_000),
      rank: shuffled ? this.random() : this.made,
      type,
      store,
      n,
      at,
      visibleMs: nowMs + (lagMs > 0 && this.random() < lateShare ? Math.floor(this.random() * lagMs) : 0),
      thin: this.random() < thinShare,
      request,
      key,
      account: this.options.eventAccount,
    };
    let place = this.events.length;
    while (place > 0 && before(event, this.events[place - 1] as StoredEvent)) place -= 1;
    this.events.splice(place, 0, event);
    this.byId.set(event.id, event);
    return event;
  }

  get(id: string): StoredEvent | undefined {
    return this.byId.get(id);
  }

  /** The feed no longer knows an event: it is no place to go on from. */
  forget(id: string): void {
    const event = this.byId.get(id);
    if (event) this.events.splice(this.events.indexOf(event), 1);
    this.byId.delete(id);
  }

  /** Events that show at this moment, oldest first. */
  visible(nowMs: number): StoredEvent[] {
    const from = nowMs / 1_000 - (this.options.keptSeconds ?? thirtyDays);
    return this.events.filter(({ visibleMs, second }) => visibleMs <= nowMs && second >= from);
  }

  /** When the last event shows that was told so far. */
  lastVisibleMs(): number {
    return Math.max(0, ...this.events.map(({ visibleMs }) => visibleMs));
  }

  render(event: StoredEvent, apiVersion: string): StripeRecord {
    const { store, n, at } = event;
    const common = {
      id: event.id,
      object: event.thin ? 'v2.core.event' : 'event',
      type: event.type,
      created: event.second,
      livemode: false,
      ...(event.account !== undefined && { account: event.account }),
      request: event.request === null && event.key === null ? null : { id: event.request, idempotency_key: event.key },
    };
    if (event.thin)
      return { ...common, related_object: { id: store.id(n), type: store.shape.object, url: store.shape.path } };
    const written = this.options.eventVersion ?? apiVersion;
    const object = store.render(n, [], at);
    // An older version has another name for a field.
    if (written !== apiVersion) {
      object.old_metadata = object.metadata;
      delete object.metadata;
    }
    return { ...common, api_version: written, data: { object } };
  }
}

const before = (a: StoredEvent, b: StoredEvent) => a.second < b.second || (a.second === b.second && a.rank < b.rank);
