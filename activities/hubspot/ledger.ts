import type { Pool } from '../../db/client.ts';
import { type Flying, openCalls } from '../../db/hubspot/calls.ts';
import { drainLog, type Log } from '../../db/hubspot/drain.ts';
import { type Settled, settleRows } from '../../db/hubspot/settle.ts';
import type { Turn } from '../../db/hubspot/turns.ts';
import type { Tally } from './tally.ts';

export interface LedgerOptions {
  pool: Pool;
  turn: Turn;
  log: Log;
  judged: string;
  tally: Tally;
  /** From the opening of a call to the moment it can no longer land, ms. */
  landMs: number;
  /** Calls that have left and whose end is not committed, at most: a kill makes these be sent again. */
  awayMost: number;
}

/**
 * The writing side of a slice: one transaction after the other, so that nothing here waits for a lock of ours. Outcomes
 * that gather while one is written go together in the next; in between the log is drained.
 */
export class Ledger {
  private readonly options: LedgerOptions;
  private rows: Settled[] = [];
  private calls: number[] = [];
  private waiters: (() => void)[] = [];
  private block: number | null = null;
  private writing = false;
  /** Calls that have left, or are about to, and whose end is not committed. */
  private readonly away = new Set<number>();
  private working: Promise<void> | null = null;
  private failed: unknown;
  /** The walk of the log met a row that marks everybody. */
  everybody = false;
  /** Log rows moved by the walk in hand. */
  private moved = 0;

  constructor(options: LedgerOptions) {
    this.options = options;
  }

  /** Keeps outcomes and ends of calls; they are written soon. */
  settle(rows: readonly Settled[], calls: readonly number[] = []): void {
    for (const row of rows) this.rows.push(row);
    this.calls.push(...calls);
    this.wake();
  }

  /** Commits that calls are about to leave. */
  async open(calls: readonly Flying[]): Promise<number[]> {
    const { pool, turn, landMs } = this.options;
    return openCalls(pool, turn, calls, landMs);
  }

  /** Begins a walk over the log unless one is under way; it goes on between the outcomes. */
  startDrain(): void {
    if (this.block === null) this.moved = 0;
    this.block ??= 0;
    this.wake();
  }

  get draining(): boolean {
    return this.block !== null;
  }

  /** Log rows that the last whole walk moved. */
  get drained(): number {
    return this.moved;
  }

  /** Resolves when a part of the log was moved, or nothing is left to do. @throws what the writing met */
  async progress(): Promise<void> {
    if (this.failed) throw this.failed;
    if (this.working === null) return;
    await new Promise<void>((done) => this.waiters.push(done));
    if (this.failed) throw this.failed;
  }

  /**
   * Resolves when the call may leave; one that does so again keeps its place. What is over waits for its commit in its place,
   * so that a busy database holds the sending back. A failure of the writing ends the slice.
   */
  async leave(call: number): Promise<void> {
    while (this.away.size >= this.options.awayMost && !this.away.has(call) && this.failed === undefined)
      await new Promise<void>((done) => this.waiters.push(done));
    this.away.add(call);
  }

  /** A call that never left is opened anew under another number. */
  reopened(before: number, call: number): void {
    this.away.delete(before);
    this.away.add(call);
    this.settle([], [before]);
  }

  /** Resolves when every outcome so far is written. @throws what the writing met */
  async flushed(): Promise<void> {
    while (this.rows.length > 0 || this.calls.length > 0 || this.writing) await this.progress();
    if (this.failed) throw this.failed;
  }

  /** Resolves when every outcome so far is written, and the walk over the log is at its end. @throws what the writing met */
  async idle(): Promise<void> {
    while (this.working !== null) await this.working;
    if (this.failed) throw this.failed;
  }

  private wake(): void {
    if (this.working !== null || this.failed !== undefined) return;
    this.working = this.work()
      .catch((error) => {
        this.failed = error;
        this.options.tally.end({ kind: 'failure', error });
      })
      .finally(() => {
        this.working = null;
        // Told by the last part, somebody may have brought more before this.
        if (this.rows.length > 0 || this.calls.length > 0) this.wake();
        this.tell();
      });
  }

  private async work(): Promise<void> {
    while (this.rows.length > 0 || this.calls.length > 0 || this.block !== null) {
      if (this.rows.length > 0 || this.calls.length > 0) await this.write();
      this.tell();
      if (this.block !== null) await this.drain();
      this.tell();
    }
  }

  private async write(): Promise<void> {
    const { rows, calls } = this;
    this.rows = [];
    this.calls = [];
    const { pool, turn, judged } = this.options;
    this.writing = true;
    try {
      await settleRows(pool, turn, { rows, calls, judged });
      for (const call of calls) this.away.delete(call);
    } finally {
      this.writing = false;
    }
  }

  private async drain(): Promise<void> {
    const { pool, turn, log, tally } = this.options;
    const { moved, next, everybody } = await drainLog(pool, turn, log, this.block ?? 0);
    tally.counts.drained += moved;
    this.moved += moved;
    this.everybody ||= everybody;
    this.block = next;
  }

  private tell(): void {
    const { waiters } = this;
    this.waiters = [];
    for (const done of waiters) done();
  }
}
