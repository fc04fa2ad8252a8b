import type { Begun } from '../activities/platform/begin.ts';
import type { SliceResult } from '../activities/platform/slice.ts';
import { type Cut, cutWords } from '../connectors/history.ts';
import type { PassCounts } from '../db/close.ts';
import type { PassKind } from '../db/passes.ts';
import { coveredOf, paceOf, type Standing, type Start } from './platform.estimate.ts';
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
  /** What the rate and the estimate are made with. */
  start: Start;
}

/** Counters that outlive an execution whose history got long. */
export interface Carried {
  started: number;
  /** Of the pass that is read, which may be too old by then for a run that names no mode; absent in earlier versions. */
  kind?: PassKind;
  /** What an earlier run had read of the pass when this one went on with it. */
  before: Start['before'];
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
  before: { rows: 0, covered: 0 },
  rows: 0,
  written: 0,
  rejected: 0,
  requests: 0,
  coveredMs: 0,
  slices: 0,
  open: [],
});

const nothingDone: Begun['before'] = { done: 0, rows: 0, written: 0, rejected: 0, requests: 0, coveredMs: 0 };

/** Everything a person sees of a stream's run; holds no decision. */
export class StreamView {
  private readonly connection: string;
  private readonly stream: string;
  private readonly sums: Omit<Carried, 'kind' | 'slices' | 'open'>;
  private readonly open: Map<number, SliceResult>;
  private begun: Begun | null = null;
  private readonly slices: { done: number; all: number };
  private paused = false;
  private done = false;
  private readonly passing = new Map<string, string>();

  constructor(connection: string, stream: string, carried: Carried) {
    this.connection = connection;
    this.stream = stream;
    const { kind: _kind, slices, open, ...sums } = carried;
    // A run of an earlier version carried no `before`.
    this.sums = { ...sums, before: sums.before ?? { rows: 0, covered: 0 } };
    this.slices = { done: slices, all: slices };
    this.open = new Map(open);
    this.show();
  }

  carry(): Carried {
    const { begun, sums, slices, open } = this;
    return { ...sums, ...(begun && { kind: begun.pass.kind }), slices: slices.done, open: [...open] };
  }

  begin(begun: Begun): void {
    this.begun = begun;
    this.slices.all += begun.slices.length;
    // An activity of an earlier version tells no `before`.
    if (begun.resumed) this.goOn(begun.before ?? nothingDone);
    this.show();
  }

  /** What an earlier run read of the pass counts, and not for the pace. */
  private goOn({ done, ...read }: Begun['before']): void {
    this.passing.set('resumed', 'goes on with the pass that an earlier run left open');
    for (const key of ['rows', 'written', 'rejected', 'requests', 'coveredMs'] as const) this.sums[key] += read[key];
    this.slices.done += done;
    this.slices.all += done;
    this.sums.before = { rows: read.rows, covered: coveredOf(this.standing()) };
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

  finish(counts: PassCounts, cut: Cut | null): void {
    this.done = true;
    this.passing.clear();
    if (counts.doubt !== null) this.passing.set('doubt', counts.doubt);
    if (cut !== null) this.passing.set('cut', `older rows are left out: read ${cutWords(cut)}`);
    if (counts.withheld > 0) this.passing.set('withheld', `${counts.withheld} missing rows stay`);
    if (counts.unsure > 0) this.passing.set('unsure', `${counts.unsure} missing rows stay until they are missed again`);
    this.show();
  }

  progress(): StreamProgress {
    const standing = this.standing();
    const covered = this.done ? 1 : coveredOf(standing);
    const start = this.start();
    return {
      connection: this.connection,
      stream: this.stream,
      state: this.done ? 'done' : this.paused ? 'paused' : 'running',
      kind: this.begun?.pass.kind ?? null,
      covered,
      ...this.counts(),
      ...paceOf({ ...standing, covered }, start, Date.now()),
      notes: [...this.passing.values()],
      start,
    };
  }

  private counts() {
    const { rows, written, rejected, requests } = this.sums;
    const sum = { rows, written, rejected, requests };
    for (const result of this.open.values())
      for (const key of ['rows', 'written', 'rejected', 'requests'] as const) sum[key] += result[key];
    return sum;
  }

  private standing(): Standing {
    const known = { parts: 0, read: 0, total: 0 };
    for (const { rows, total } of this.open.values()) {
      if (total === null) continue;
      known.parts += 1;
      known.read += Math.min(rows, total);
      known.total += total;
    }
    return {
      rows: this.counts().rows,
      done: this.slices.done,
      slices: this.slices.all,
      spanMs: this.begun?.spanMs ?? 0,
      coveredMs: this.sums.coveredMs,
      known,
    };
  }

  private start(): Start {
    const { requestsPerSecond = null, pageRows = 1 } = this.begun ?? {};
    return { startedMs: this.sums.started, before: this.sums.before, requestsPerSecond, pageRows };
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
