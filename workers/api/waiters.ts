import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from '../../db/client.ts';
import type { Listener } from '../../db/listen.ts';
import { appliedRequests } from '../../db/stripe/events.ts';
import { pokeFeed, readFeeds } from '../../db/stripe/feed.ts';

/**
 * What somebody waits for: the events of a request, of which a look at the feed that began after the first one was applied
 * shows all that the feed has; everything the feed shows, or everything it shows when it has settled.
 */
export type Wish =
  | { kind: 'request'; request: string }
  /** Moment of the question by the database's clock, ms. */
  | { kind: 'seen' | 'settled'; askedMs: number };

/** What was met, by the source's clock; null when it was not in time. */
export type Met = { seenAt: string; settledAt: string } | null;

interface Waiter {
  connection: string;
  wish: Wish;
  /** For `settled`: the second of the feed that must be settled; null until the feed was looked at after the question. */
  untilMs: number | null;
  meet(met: Met): void;
}

/** Looks so often while notifications cannot be heard. */
const blindMs = 500;
/** Looks so often all the same: a notification may be lost. */
const calmMs = 5_000;
/** Pokes are a look at the feed each, which all who wait share. */
const pokeMs = 250;
/** Two seconds more: the second of a look is rounded down, and the change may have happened in the one behind it. */
const marginMs = 2_000;

/**
 * Everybody who waits for feeds in this process. One look at the tables serves all of them; a look is taken when a follower
 * tells that it has committed, and by a clock where that cannot be heard.
 */
export class Waiters {
  private readonly pool: Pool;
  private readonly listener: Listener;
  private readonly waiting = new Set<Waiter>();
  private readonly poked = new Map<string, number>();
  private readonly stop: () => void;
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | null = null;
  private again = false;

  constructor(pool: Pool, listener: Listener) {
    this.pool = pool;
    this.listener = listener;
    this.stop = listener.on('stripe_feed', (connection) => {
      if (connection === null || [...this.waiting].some((one) => one.connection === connection)) this.look();
    });
  }

  get count(): number {
    return this.waiting.size;
  }

  /** Resolves when the wish is met; null after `timeoutMs` or when the caller is gone. */
  async wait(connection: string, wish: Wish, timeoutMs: number, signal: AbortSignal): Promise<Met> {
    const over = new AbortController();
    const ends = AbortSignal.any([signal, over.signal]);
    const met = new Promise<Met>((meet) => {
      const waiter: Waiter = { connection, wish, untilMs: null, meet };
      this.waiting.add(waiter);
      ends.addEventListener('abort', () => this.waiting.delete(waiter), { once: true });
    });
    try {
      await this.poke(connection);
      this.look();
      const late = delay(timeoutMs, null, { signal: ends }).catch(() => null);
      return await Promise.race([met, late]);
    } finally {
      over.abort();
    }
  }

  close(): void {
    this.stop();
    clearTimeout(this.timer);
    for (const { meet } of this.waiting) meet(null);
    this.waiting.clear();
  }

  private async poke(connection: string): Promise<void> {
    const now = Date.now();
    if (now - (this.poked.get(connection) ?? 0) < pokeMs) return;
    this.poked.set(connection, now);
    await pokeFeed(this.pool, connection);
  }

  /** One look at a time; who asks during one gets another behind it. */
  private look(): void {
    if (this.looking) {
      this.again = true;
      return;
    }
    clearTimeout(this.timer);
    this.looking = this.serve()
      // The database is away: who waits goes on waiting, and the clock looks again.
      .catch(() => undefined)
      .then(() => {
        this.looking = null;
        if (this.again) {
          this.again = false;
          this.look();
        } else if (this.waiting.size > 0)
          this.timer = setTimeout(() => this.look(), this.listener.connected ? calmMs : blindMs);
      });
  }

  private async serve(): Promise<void> {
    const all = [...this.waiting];
    if (all.length === 0) return;
    const feeds = await readFeeds(this.pool, [...new Set(all.map(({ connection }) => connection))]);
    const requests = await appliedRequests(
      this.pool,
      all.flatMap(({ connection, wish }) => (wish.kind === 'request' ? [{ connection, request: wish.request }] : [])),
    );
    for (const waiter of all) {
      const feed = feeds.get(waiter.connection);
      if (!feed || !this.isMet(waiter, feed, requests)) continue;
      this.waiting.delete(waiter);
      waiter.meet({ seenAt: new Date(feed.seenMs).toISOString(), settledAt: new Date(feed.settledMs).toISOString() });
    }
  }

  private isMet(
    waiter: Waiter,
    feed: { seenMs: number; settledMs: number; polledMs: number | null },
    requests: ReadonlyMap<string, number>,
  ): boolean {
    const { connection, wish } = waiter;
    if (wish.kind === 'request') {
      const appliedMs = requests.get(`${connection} ${wish.request}`);
      if (appliedMs === undefined) return false;
      if ((feed.polledMs ?? 0) >= appliedMs) return true;
      // The look that brought the first one shows what it showed when it began: the next one is asked for at once.
      this.poke(connection).catch(() => undefined);
      return false;
    }
    if (waiter.untilMs === null && (feed.polledMs ?? 0) >= wish.askedMs) waiter.untilMs = feed.seenMs + marginMs;
    if (waiter.untilMs === null) return false;
    return wish.kind === 'seen' || feed.settledMs >= waiter.untilMs;
  }
}
