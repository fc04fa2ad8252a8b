import type { Begun } from '../activities/platform/begin.ts';
import type { SliceResult } from '../activities/platform/slice.ts';
import type { PassCounts } from '../db/close.ts';
import { type Bar, drawShare, showDetails } from './progress.ts';

/** Answer of the `progress` query of a stream: the same numbers the Temporal UI shows. */
export interface StreamProgress {
  connection: string;
  stream: string;
  state: 'running' | 'paused' | 'done';
  /** full | incremental | replay; null before the pass began. */
  kind: string | null;
  /** Share of the range, or of the slices where there is no range, 0-1. */
  covered: number;
  rows: number;
  written: number;
  rejected: number;
  requests: number;
  rowsPerSecond: number;
  /** Seconds until the range is covered, at the pace so far and within the budget; null while nobody can tell. */
  etaSeconds: number | null;
  notes: string[];
}

/** Counters that outlive an execution whose history got long. */
export interface Carried {
  started: number;
  /** Totals of slices that ended in executions before this one. */
  rows: number;
  written: number;
  rejected: number;
  requests: number;
  coveredMs: number;
  slices: number;
  /** Slices that were begun and not ended, with what they told last: they tell their counts from their own start. */
  open: [no: number, told: SliceResult][];
}

export const nothingCarried = (started: number): Carried => ({
  started,
  rows: 0,
  written: 0,
  rejected: 0,
  requests: 0,
  coveredMs: 0,
  slices: 0,
  open: [],
});

/** Everything a person sees of a stream's run; holds no decision. */
export class StreamView {
  private readonly connection: string;
  private readonly stream: string;
  private readonly sums: Omit<Carried, 'slices' | 'open'>;
  private readonly open: Map<number, SliceResult>;
  private begun: Begun | null = null;
  private readonly slices: { done: number; all: number };
  private paused = false;
  private done = false;
  private readonly passing = new Map<string, string>();

  constructor(connection: string, stream: string, carried: Carried) {
    this.connection = connection;
    this.stream = stream;
    const { slices, open, ...sums } = carried;
    this.sums = sums;
    this.slices = { done: slices, all: slices };
    this.open = new Map(open);
    this.show();
  }

  carry(): Carried {
    return { ...this.sums, slices: this.slices.done, open: [...this.open] };
  }

  begin(begun: Begun): void {
    this.begun = begun;
    this.slices.all += begun.slices.length;
    if (begun.resumed) this.passing.set('resumed', 'goes on with the pass that an earlier run left open');
    this.show();
  }

  more(slices: number): void {
    this.slices.all += slices;
    this.show();
  }

  read(no: number, result: SliceResult): void {
    this.open.set(no, result);
    if (result.done) {
      this.open.delete(no);
      this.slices.done += 1;
      this.sums.coveredMs += result.coveredMs;
      // A slice that was split counts by its parts; the requests were made all the same.
      if (result.split === null) {
        this.sums.rows += result.rows;
        this.sums.written += result.written;
        this.sums.rejected += result.rejected;
      }
      this.sums.requests += result.requests;
    }
    this.show();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.show();
  }

  note(about: string, text: string | null): void {
    if (text === null) this.passing.delete(about);
    else this.passing.set(about, text);
    this.show();
  }

  finish(counts: PassCounts): void {
    this.done = true;
    this.passing.clear();
    if (counts.doubt !== null) this.passing.set('doubt', counts.doubt);
    if (counts.withheld > 0) this.passing.set('withheld', `${counts.withheld} missing rows stay`);
    this.show();
  }

  progress(): StreamProgress {
    const counts = this.counts();
    const seconds = Math.max(1, (Date.now() - this.sums.started) / 1000);
    const covered = this.done ? 1 : this.covered(counts.rows);
    const eta =
      covered > 0.005 && covered < 1
        ? Math.ceil(Math.max((seconds * (1 - covered)) / covered, this.budgetSeconds(counts.rows)))
        : null;
    return {
      connection: this.connection,
      stream: this.stream,
      state: this.done ? 'done' : this.paused ? 'paused' : 'running',
      kind: this.begun?.pass.kind ?? null,
      covered,
      ...counts,
      rowsPerSecond: Math.round(counts.rows / seconds),
      etaSeconds: eta,
      notes: [...this.passing.values()],
    };
  }

  private counts() {
    const sum = {
      rows: this.sums.rows,
      written: this.sums.written,
      rejected: this.sums.rejected,
      requests: this.sums.requests,
    };
    for (const result of this.open.values())
      for (const key of ['rows', 'written', 'rejected', 'requests'] as const) sum[key] += result[key];
    return sum;
  }

  /** Rows of open slices that the source counts, beside what is read of them. */
  private known(): { read: number; total: number } {
    const known = { read: 0, total: 0 };
    for (const { rows, total } of this.open.values()) {
      if (total === null) continue;
      known.read += Math.min(rows, total);
      known.total += total;
    }
    return known;
  }

  private covered(rows: number): number {
    const { read, total } = this.known();
    const ended = rows - read;
    if (total > 0 && this.slices.all - this.slices.done <= this.open.size)
      return Math.min(0.99, rows / (ended + total));
    const span = this.begun?.spanMs ?? 0;
    if (span > 0) return Math.min(0.99, this.sums.coveredMs / span);
    return Math.min(0.99, this.slices.done / Math.max(1, this.slices.all));
  }

  /** What the budget needs for the rows that are known to come. */
  private budgetSeconds(rows: number): number {
    const { requestsPerSecond, pageRows } = this.begun ?? { requestsPerSecond: null, pageRows: 1 };
    const { read, total } = this.known();
    return requestsPerSecond === null || rows === 0 ? 0 : (total - read) / pageRows / requestsPerSecond;
  }

  private show(): void {
    const p = this.progress();
    const bar: Bar = {
      name: this.stream,
      done: Math.round(p.covered * 100),
      total: 100,
      state: this.done ? 'done' : 'running',
    };
    const eta = p.etaSeconds === null ? '' : `, about ${p.etaSeconds} s to go`;
    showDetails(
      `${this.connection} ${this.stream} · ${p.kind ?? '…'} · ${p.state}`,
      [bar],
      [
        `covered: ${drawShare(p.covered)}${eta}`,
        `rows: ${p.rows} (${p.rowsPerSecond}/s), written: ${p.written}, set aside: ${p.rejected}, requests: ${p.requests}`,
        ...p.notes,
      ],
    );
  }
}
