import { setTimeout as delay } from 'node:timers/promises';
import { type Claim, writeUnderClaim } from '../../db/claims.ts';
import { dropEvents } from '../../db/stripe/events.ts';
import { databaseNow, type Feed, moveFeed, type Reached, readFeed } from '../../db/stripe/feed.ts';
import { unreadObjects } from '../../db/stripe/unread.ts';
import type { Deps } from '../deps.ts';
import { RetryLater, SyncError } from '../errors.ts';
import { Refused } from '../http/client.ts';
import type { Call } from '../step.ts';
import { Applier } from './apply.ts';
import { Aside } from './aside.ts';
import { ensureTables } from './ensure.ts';
import { FeedLost, type FeedPart, readOn, readRange } from './feed.ts';
import { accountOf } from './oldest.ts';
import { type OpenStripe, openStripe } from './open.ts';
import { Wake } from './wake.ts';

/** Ranges of the replay: halved when they hold more events than this, doubled when they hold few. */
const rangeEvents = 2_000;
const firstRangeMs = 600_000;
const longestRangeMs = 86_400_000;
/** Each second of the feed is read again at two ages, some seconds at a time: a request each is enough for a quiet feed. */
const settleMs = 2_000;
/** The ledger is kept so long behind the settled moment. */
const ledgerMs = 3_600_000;
const dropMs = 60_000;
/** The feed keeps 30 days. */
const feedMs = 29.5 * 86_400_000;

/**
 * Follows the feed of one connection: a hot reader looks for what is new, a settling reader reads every second of it again
 * when it is old enough for late events to have appeared. One ledger keeps them from applying an event twice.
 */
export class Follower {
  readonly applier: Applier;
  private readonly deps: Deps;
  private readonly claim: Claim;
  private readonly opened: OpenStripe;
  private readonly call: Call;
  private feed: Feed;
  /** Where the hot reader stands: in front of what the watermarks say while reads are under way. */
  private hot: string | null;
  /** Everything read so far by the hot reader, written. */
  private tail: Promise<void> = Promise.resolve();
  private pending = 0;
  private trouble: unknown;
  private droppedAt = 0;

  private constructor(deps: Deps, claim: Claim, opened: OpenStripe, feed: Feed, applier: Applier, call: Call) {
    this.deps = deps;
    this.claim = claim;
    this.opened = opened;
    this.feed = feed;
    this.call = call;
    this.hot = feed.hotEvent;
    this.applier = applier;
  }

  /** @throws FeedLost */
  static async open(deps: Deps, claim: Claim, call: Call): Promise<Follower> {
    const [opened, feed, unread] = await Promise.all([
      openStripe(deps, claim.connection, 'live'),
      readFeed(deps.pool, claim.connection),
      unreadObjects(deps.pool, claim.connection),
    ]);
    if (!feed) throw new SyncError('Defect', 'a feed without a mark is not followed');
    await ensureTables(deps, opened, call);
    const account = (await accountOf(opened, call)).id ?? opened.options.account ?? null;
    const applier = new Applier(deps, claim, opened, account, new Aside(unread), call.signal);
    return new Follower(deps, claim, opened, feed, applier, call);
  }

  /** How far the settled moment is behind the present, ms. */
  get behindMs(): number {
    return Math.max(0, this.opened.api.secondMs() - this.feed.settledMs);
  }

  /** Reads the feed from the settled moment up to the present, range by range. @returns false when the call's time was up */
  async catchUp(): Promise<boolean> {
    let length = firstRangeMs;
    let from = Math.floor(this.feed.settledMs / 1_000) * 1_000;
    for (;;) {
      const polledMs = await databaseNow(this.deps.pool);
      const part = await this.patiently(() => readRange(this.opened, from, from + length, this.call.signal));
      if (part.secondMs - this.feed.settledMs > feedMs)
        throw new FeedLost('the feed no longer reaches back to where it was read');
      const isPresent = from + length > part.secondMs;
      const to = isPresent ? part.secondMs : from + length;
      await this.take(part, {
        ...this.settledBy(to, part.secondMs),
        seenMs: to,
        ...(isPresent && { polledMs, liveMs: part.secondMs, ...(part.newest !== null && { hotEvent: part.newest }) }),
      });
      await this.settleTail();
      if (isPresent) {
        if (part.newest !== null) this.hot = part.newest;
        return true;
      }
      if (this.call.shouldEnd()) return false;
      from = to;
      if (part.events.length > rangeEvents) length = Math.max(1_000, length / 2);
      else if (part.events.length < rangeEvents / 4) length = Math.min(longestRangeMs, length * 2);
    }
  }

  /** Follows until the call should end. */
  async follow(): Promise<void> {
    const wake = new Wake();
    const stop = this.deps.listener.on('stripe_poke', (connection) => {
      if (connection === this.claim.connection) wake.up();
    });
    let ended = false;
    const settling = this.settleLoop(() => ended).catch((error) => {
      this.trouble ??= error;
      wake.up();
    });
    try {
      while (!this.call.shouldEnd() && this.trouble === undefined) {
        const began = Date.now();
        await this.poll();
        this.applier.retry();
        this.call.report({ ...this.applier.counts, behindSeconds: Math.round(this.behindMs / 1_000) });
        await wake.wait(this.opened.options.pollMs - (Date.now() - began), this.call.signal);
      }
    } finally {
      ended = true;
      stop();
      await settling;
    }
    await this.settleTail();
  }

  /** One look at what is new. */
  private async poll(): Promise<void> {
    const polledMs = await databaseNow(this.deps.pool);
    try {
      await this.patiently(() => this.pollOn(polledMs));
    } catch (error) {
      // The event where it stood is no longer there, or never was of this account.
      if (!(error instanceof Refused) || error.verdict !== 'gone') throw error;
      await this.catchUp();
    }
  }

  private async pollOn(polledMs: number): Promise<void> {
    if (this.hot === null) {
      const part = await readRange(
        this.opened,
        this.feed.seenMs,
        this.opened.api.secondMs() + 60_000,
        this.call.signal,
      );
      await this.look(part, polledMs);
      return;
    }
    for await (const part of readOn(this.opened, this.hot, this.call.signal)) await this.look(part, polledMs);
  }

  private async look(part: FeedPart, polledMs: number): Promise<void> {
    if (part.newest !== null) this.hot = part.newest;
    await this.take(part, {
      // What the pages behind this one show has not been applied yet.
      ...(part.isLast && { seenMs: part.secondMs, polledMs }),
      ...(part.newest !== null && { hotEvent: part.newest }),
    });
  }

  /** Applies a part; the watermarks move when it and everything before it is written. */
  private async take(part: FeedPart, reached: Reached): Promise<void> {
    const quiet = this.pending === 0;
    const { whole, moved } = await this.applier.apply(part.events, part.readMs, quiet ? reached : null);
    this.move(reached);
    if (moved) return;
    this.pending += 1;
    this.tail = Promise.all([this.tail, whole]).then(async () => {
      await this.reach(reached);
      this.pending -= 1;
    });
    this.tail.catch((error) => {
      this.trouble ??= error;
    });
  }

  private move(reached: Reached): void {
    const { seenMs = 0, settledMs = 0, settledFirstMs = 0 } = reached;
    this.feed = {
      ...this.feed,
      seenMs: Math.max(this.feed.seenMs, seenMs ?? 0),
      settledMs: Math.max(this.feed.settledMs, settledMs ?? 0),
      settledFirstMs: Math.max(this.feed.settledFirstMs, settledFirstMs ?? 0),
    };
  }

  private async reach(reached: Reached): Promise<void> {
    await writeUnderClaim(this.deps.pool, this.claim, { name: 'feed', durable: false }, (client) =>
      moveFeed(client, this.claim.connection, reached),
    );
  }

  private async settleTail(): Promise<void> {
    await this.tail;
    if (this.trouble !== undefined) throw this.trouble;
  }

  private settledBy(toMs: number, secondMs: number): Reached {
    const [first, last] = this.opened.options.settleSeconds.map((age) => secondMs - age * 1_000) as [number, number];
    return { settledFirstMs: Math.min(toMs, first), settledMs: Math.min(toMs, last) };
  }

  private async settleLoop(isOver: () => boolean): Promise<void> {
    while (!isOver() && !this.call.shouldEnd()) {
      await this.settle('settledFirstMs', this.opened.options.settleSeconds[0]);
      await this.settle('settledMs', this.opened.options.settleSeconds[1]);
      if (Date.now() - this.droppedAt > dropMs) {
        await dropEvents(this.deps.pool, this.claim.connection, this.feed.settledMs - ledgerMs);
        this.droppedAt = Date.now();
      }
      const until = Date.now() + settleMs;
      while (!isOver() && !this.call.signal.aborted && Date.now() < until)
        await delay(Math.min(100, settleMs), undefined, { signal: this.call.signal }).catch(() => undefined);
    }
  }

  /** Reads what has reached an age since the last time. */
  private async settle(mark: 'settledFirstMs' | 'settledMs', ageSeconds: number): Promise<void> {
    const from = Math.floor(this.feed[mark] / 1_000) * 1_000;
    const to = this.opened.api.secondMs() - ageSeconds * 1_000;
    if (to <= from) return;
    const part = await this.patiently(() => readRange(this.opened, from, to, this.call.signal));
    const { whole } = await this.applier.apply(part.events, part.readMs, null);
    await whole;
    this.move({ [mark]: to });
    await this.reach({ [mark]: to });
  }

  /** Waits as long as the source asks to, without ending: a follower keeps its slot. */
  private async patiently<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof RetryLater)) throw error;
        await delay(error.waitMs, undefined, { signal: this.call.signal });
        if (this.call.shouldEnd()) throw error;
      }
    }
  }
}
