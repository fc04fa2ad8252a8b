import { giveBack, type Shard } from '../../db/audience/deliveries.ts';
import { type ExchangeScope, exchange, type Outcome } from '../../db/audience/outcomes.ts';
import type { Pool } from '../../db/client.ts';
import { SyncError } from '../errors.ts';

/** When an address to which a message was on its way is tried again. */
const busyMs = 1_000;
/** Outcomes are kept in memory while Postgres is away, at most so long; then they count as unknown. */
const storeMs = 60_000;

/**
 * What stands between the messages on their way and Postgres. A place is taken from the mark to the stored outcome: after a
 * kill at most so many rows stand as `sending` as places were given out.
 */
export class Turns {
  /** Outcomes that are stored. */
  private done = 0;
  /** Recipients among them who are not sent to again. */
  private settled = 0;
  private readonly pool: Pool;
  private readonly shard: Shard;
  private readonly scope: ExchangeScope;
  private outcomes: Outcome[] = [];
  private onTheWay = 0;
  /** Marks of which nobody heard whether they were committed; certainly nothing of them left. */
  private readonly unsent: number[] = [];

  constructor(pool: Pool, shard: Shard, scope: ExchangeScope) {
    this.pool = pool;
    this.shard = shard;
    this.scope = scope;
  }

  /** Places taken. */
  get taken(): number {
    return this.onTheWay + this.outcomes.length;
  }

  /** Messages whose end is not known yet. */
  get open(): number {
    return this.onTheWay;
  }

  get counters(): { done: number; onTheWay: number; settled: number } {
    return { done: this.done, onTheWay: this.onTheWay, settled: this.settled };
  }

  get hasOutcomes(): boolean {
    return this.outcomes.length > 0;
  }

  /** A message has ended; its place stays taken until that is stored. */
  push(outcome: Outcome): void {
    this.onTheWay--;
    this.outcomes.push(outcome);
  }

  /**
   * One commit: stores what has ended, marks what is about to leave. @returns which of them may leave
   * @throws what Postgres says; then nothing of them may
   */
  async turn(marks: readonly number[]): Promise<Set<number>> {
    const outcomes = this.outcomes;
    this.onTheWay += outcomes.length + marks.length;
    this.outcomes = [];
    let leaving = new Set<number>();
    let busy: number[] = [];
    try {
      const marked = await exchange(this.pool, this.shard, outcomes, marks, this.scope);
      leaving = new Set(marked.sending);
      busy = marked.busy;
      this.done += outcomes.length;
      this.settled += outcomes.filter(({ state }) => state !== 'planned').length;
    } catch (error) {
      this.outcomes.unshift(...outcomes);
      this.unsent.push(...marks);
      throw error;
    } finally {
      this.onTheWay -= outcomes.length + marks.length - leaving.size;
    }
    // Where this fails they stay claimed, and go back with the next attempt.
    await giveBack(this.pool, this.shard, busy, { dueInMs: busyMs }).catch(() => undefined);
    return leaving;
  }

  /** Waits for what is on its way and stores it, again and again while Postgres is away: it stands nowhere else. */
  async drain(something: () => Promise<void>): Promise<void> {
    const until = Date.now() + storeMs;
    while (this.onTheWay > 0 || this.outcomes.length > 0 || this.unsent.length > 0) {
      if (this.outcomes.length === 0 && this.unsent.length === 0) {
        await something();
        continue;
      }
      const outcomes = this.outcomes.splice(0);
      try {
        await giveBack(this.pool, this.shard, this.unsent, { marked: true });
        this.unsent.length = 0;
        await exchange(this.pool, this.shard, outcomes, [], this.scope);
      } catch (cause) {
        this.outcomes.unshift(...outcomes);
        if (Date.now() >= until)
          throw new SyncError('Unavailable', 'Postgres is away: outcomes of the last messages could not be stored', {
            cause,
          });
        await something();
      }
    }
  }
}
