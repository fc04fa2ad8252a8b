import type { Scope } from '../../../db/budget/scopes.ts';
import { RetryLater } from '../../errors.ts';
import type { Want } from './line.ts';

/** Permits are used within this time or given back, ms: they were counted when they were leased, the platform counts when they arrive. */
export const leaseMs = 250;
/** A permit that leaves later than this after its lease is told: a window that moves along counts it anew, ms. */
const tardyMs = 100;
/** Over which time the use of late is looked at, ms. */
const lateMs = 200;
/** Time until who still waits is asked for again, ms. */
const askAgainMs = 100;
/** Of so few requests a second next to nothing gathers: they are asked for at the moment they are there. */
const slowPerSecond = 10;
/** Two requests in about `lateMs`: below that nothing is leased ahead. */
const steady = 1.4;

interface Waiter {
  since: number;
  resolve(): void;
  reject(reason: unknown): void;
}

interface Lease {
  count: number;
  from: number;
  until: number;
}

/** What a group is made from: where its requests count, the narrowest last. */
export interface GroupOptions {
  scopes: readonly Scope[];
  connection: string;
  live: boolean;
}

/** Requests of this worker that count in the same places and lane: who waits, and the permits in hand. */
export class Group {
  scopes: readonly Scope[];
  readonly connection: string;
  readonly live: boolean;
  private readonly waiters = new Set<Waiter>();
  private leases: Lease[] = [];
  /** When the first who waits may expect a permit. */
  private expectedAt = 0;
  /** Without any limit: everything may leave until then. */
  private openUntil = 0;
  private droppedAt = Number.NEGATIVE_INFINITY;
  private tardy = 0;
  private recent = 0;
  private recentAt = 0;

  constructor({ scopes, connection, live }: GroupOptions) {
    this.scopes = scopes;
    this.connection = connection;
    this.live = live;
  }

  get scope(): string {
    return this.scopes.at(-1)!.scope;
  }

  get waiting(): number {
    return this.waiters.size;
  }

  /** Uses a permit in hand. False: there is none, or others wait for it. */
  use(now: number): boolean {
    this.recent = this.late(now) + 1;
    this.recentAt = now;
    return this.waiters.size === 0 && this.spend(now);
  }

  /** Waits for a permit. @throws the signal's reason, or what `refuse` and `fail` say */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise<void>((done, failed) => {
      const leave = () => {
        this.waiters.delete(waiter);
        signal.removeEventListener('abort', aborted);
      };
      const aborted = () => waiter.reject(signal.reason);
      const waiter: Waiter = {
        since: performance.now(),
        resolve: () => {
          leave();
          done();
        },
        reject: (reason) => {
          leave();
          failed(reason);
        },
      };
      this.waiters.add(waiter);
      signal.addEventListener('abort', aborted, { once: true });
    });
  }

  want(worker: string, now: number): Want {
    const late = this.late(now);
    const ahead = late < steady ? 0 : Math.max(0, Math.ceil(late * 1.2) - this.inHand(now));
    // Permits of a lease that had a debt are in hand, yet may not leave: who waits for them is served.
    const waiting = Math.max(0, this.waiting - this.inHand(now));
    const { connection, scope, live } = this;
    return { worker, connection, scope, live, waiting, ahead };
  }

  /** True when the permits in hand will soon be used up by the requests of late. */
  low(now: number): boolean {
    return this.late(now) >= steady && this.inHand(now) <= this.late(now) / 2 && this.openUntil - now < leaseMs / 2;
  }

  /** Takes permits in: who waits gets them at once, even when the answer came late; the rest lasts until the lease ends. */
  lease(count: number, from: number, until: number): void {
    let left = count;
    const now = performance.now();
    if (from <= now) {
      for (const waiter of this.waiters) {
        if (left < 1) break;
        left--;
        waiter.resolve();
      }
      this.left(count - left, now - from);
    }
    if (left > 0) this.leases.push({ count: left, from, until });
  }

  /** Without any limit: lets everything go for the time of a lease. */
  open(until: number): void {
    // Read before the platform refused: what it saw no longer holds.
    if (until - leaseMs < this.droppedAt) return;
    this.openUntil = until;
    for (const waiter of this.waiters) waiter.resolve();
  }

  /** Hands permits whose time has come to who waits. */
  serve(now: number): void {
    for (const waiter of this.waiters) {
      if (!this.spend(now)) return;
      waiter.resolve();
    }
  }

  /** Permits that left long after they were leased, since this was asked last. */
  leftLate(): number {
    const { tardy } = this;
    this.tardy = 0;
    return tardy;
  }

  /** Permits to give back: those whose lease has ended, or all. */
  giveBack(now: number): number {
    const ended = this.leases.filter((lease) => lease.until <= now);
    this.leases = this.leases.filter((lease) => lease.until > now);
    return ended.reduce((sum, lease) => sum + lease.count, 0);
  }

  /** Forgets all permits: the platform refuses whatever they would send. */
  drop(): void {
    this.leases = [];
    this.openUntil = 0;
    this.droppedAt = performance.now();
  }

  /** When something must happen: a permit in hand may leave or ends, or it is time to ask again for who waits. */
  nextMoment(now: number): number {
    const waits = this.waiting > 0;
    const moments = this.leases.map(({ from, until }) => (waits && from > now ? Math.min(from, until) : until));
    if (this.tardy > 0) moments.push(now + askAgainMs);
    if (waits) moments.push(this.isSlow() ? Math.min(this.expectedAt, now + askAgainMs) : now + askAgainMs);
    return Math.min(...moments, Number.POSITIVE_INFINITY);
  }

  /** True while permits are needed, for who waits or for the requests that will follow those of late. */
  isAsking(now: number): boolean {
    const { waiting, ahead } = this.want('', now);
    return waiting > 0 || ahead > 0;
  }

  /** True when nobody waits, nothing is in hand and the last request is long ago. */
  isIdle(now: number): boolean {
    return this.waiting === 0 && this.leases.length === 0 && this.late(now) < 0.01;
  }

  /** Sends away who would wait longer than `patienceMs`, or has waited twice that; `waitMs` belongs to the last ones, `why` is told. */
  refuse(waitMs: readonly number[], patienceMs: number, why: string | null): void {
    if (waitMs.length === 0) return;
    const now = performance.now();
    this.expectedAt = now + waitMs[0]!;
    const staying = [...this.waiters].slice(-waitMs.length);
    staying.forEach((waiter, i) => {
      const ms = waitMs[i]!;
      if (ms > patienceMs) waiter.reject(new RetryLater(Math.ceil(ms), why));
      else if (now - waiter.since > 2 * patienceMs)
        waiter.reject(new RetryLater(Math.ceil(Math.max(ms, patienceMs)), why));
    });
  }

  fail(reason: unknown): void {
    for (const waiter of this.waiters) waiter.reject(reason);
  }

  private isSlow(): boolean {
    return this.scopes.some(({ paces }) => paces.some(({ perSecond }) => perSecond <= slowPerSecond));
  }

  private spend(now: number): boolean {
    if (this.openUntil > now) return true;
    const lease = this.leases.find((l) => l.from <= now && l.until > now);
    if (!lease) return false;
    this.left(1, now - lease.from);
    if (--lease.count === 0) this.leases = this.leases.filter((l) => l !== lease);
    return true;
  }

  private left(count: number, afterMs: number): void {
    if (afterMs > tardyMs && this.scopes.some(({ paces }) => paces.some(({ window }) => window))) this.tardy += count;
  }

  private inHand(now: number): number {
    return this.leases.reduce((sum, l) => (l.until > now ? sum + l.count : sum), 0);
  }

  private late(now: number): number {
    return this.recent * Math.exp((this.recentAt - now) / lateMs);
  }
}
