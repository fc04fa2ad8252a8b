/** A shard that is to be sent to again, not before a moment (ms). */
export interface Due {
  shard: number;
  dueMs: number;
}

/** What of the shards outlives an execution whose history got long. */
export interface CarriedShards {
  /** Shards that were begun and not ended. */
  queue: Due[];
  /** First shard that was never begun. */
  next: number;
  waitUntil: number;
}

/** Recipients of a shard: at 4,000 a second one slice; 10 million are 200 shards. */
const mostRows = 50_000;
const leastRows = 1_000;

/** Which ranges of a campaign's recipients are still to be sent to, and when. Holds numbers alone. */
export class Shards {
  /** Grows with everything that a waiting lane may wait for. */
  changes = 0;
  private readonly recipients: number;
  private readonly rows: number;
  private queue: Due[];
  private next: number;
  private active = 0;
  private waiting: number;

  /** `lanes`: shards sent side by side; a small campaign is cut so that each has one. */
  constructor(recipients: number, lanes: number, carried?: CarriedShards) {
    this.recipients = recipients;
    this.rows = Math.min(mostRows, Math.max(leastRows, Math.ceil(recipients / lanes)));
    this.queue = carried?.queue ?? [];
    this.next = carried?.next ?? 0;
    this.waiting = carried?.waitUntil ?? 0;
  }

  carry(): CarriedShards {
    return { queue: this.queue, next: this.next, waitUntil: this.waiting };
  }

  /** First and last place of a shard. */
  rangeOf(shard: number): { from: number; to: number } {
    const from = shard * this.rows + 1;
    return { from, to: Math.min(this.recipients, from + this.rows - 1) };
  }

  /** The next shard that may be sent to now; undefined when there is none. */
  take(now: number): number | undefined {
    if (this.waiting > now) return undefined;
    const at = this.queue.findIndex(({ dueMs }) => dueMs <= now);
    const shard =
      at >= 0 ? this.queue.splice(at, 1)[0]?.shard : this.next * this.rows < this.recipients ? this.next++ : undefined;
    if (shard !== undefined) this.active += 1;
    return shard;
  }

  /** A shard that was taken comes back: `dueMs` null when nobody of it is left. */
  done(shard: number, dueMs: number | null): void {
    this.active -= 1;
    this.changes += 1;
    if (dueMs !== null) this.queue.push({ shard, dueMs });
  }

  /** Nothing is sent before. @returns the moment, ms */
  waitUntil(ms: number): number {
    this.waiting = Math.max(this.waiting, ms);
    return this.waiting;
  }

  isWaiting(now: number): boolean {
    return this.waiting > now;
  }

  /** When a shard can be taken that cannot now, ms; Infinity when only another lane can bring one. */
  dueMs(): number {
    const first = Math.min(...this.queue.map(({ dueMs }) => dueMs));
    return this.next * this.rows < this.recipients ? this.waiting : Math.max(this.waiting, first);
  }

  isOver(): boolean {
    return this.next * this.rows >= this.recipients && this.queue.length === 0 && this.active === 0;
  }
}
