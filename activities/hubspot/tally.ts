/** Counts of a slice; the workflow adds them up. */
export interface Counts {
  /** Rows of the log that were moved into the dirty set. */
  drained: number;
  /** Users that were marked because everybody was. */
  marked: number;
  /** Dirty users that were looked at; those read ahead when a slice ended count again. */
  looked: number;
  /** Of them: HubSpot had the mapped row already, or needs nothing. */
  unchanged: number;
  /** Written at HubSpot, row by row as its answers say. */
  written: number;
  archived: number;
  /** Mode update: no such contact. Mode insert: the contact was there. */
  passed: number;
  /** Refused by the check against the catalog, before any call. */
  refusedHere: number;
  /** Refused by HubSpot. */
  refusedThere: number;
  /** Refused for a value that another contact had; tried again behind the others, whose values may move. */
  again: number;
  /** Sent in a call that ended without an answer, or whose answer leaves the row out; sent again later. */
  unanswered: number;
  /** Batch calls that left. */
  calls: number;
  /** Of them: to find out which rows of a refused batch are bad. */
  isolation: number;
  /** Answers that asked to wait (429, 423, 477). */
  waits: number;
}

export const noCounts: Counts = {
  drained: 0,
  marked: 0,
  looked: 0,
  unchanged: 0,
  written: 0,
  archived: 0,
  passed: 0,
  refusedHere: 0,
  refusedThere: 0,
  again: 0,
  unanswered: 0,
  calls: 0,
  isolation: 0,
  waits: 0,
};

/** What a run has spent before this slice. */
export type Spent = Pick<Counts, 'written' | 'archived' | 'passed' | 'refusedHere' | 'refusedThere' | 'isolation'>;

export interface Limits {
  /** Null: a person has looked at the refusals and lets the run go on. */
  rejectPercent: number | null;
  isolationCalls: number;
}

/** Why a slice stops before nothing is left. */
export type Stop =
  /** Too many rows are refused. */
  | { kind: 'rejects'; bad: number; of: number }
  /** The calls for isolation are used up. */
  | { kind: 'isolation'; calls: number }
  /** The platform asks to wait. */
  | { kind: 'wait'; ms: number; daily: boolean }
  /** Something that ends the step. */
  | { kind: 'failure'; error: unknown };

/** Fewer bad rows than this stop nothing: of ten changed rows two may be bad. */
const leastBad = 50;
/** So many calls without an answer, and none with one between them, are an outage. */
const outage = 5;
/** So many answers in a row that are not the protocol, or leave every row out. */
const strangeMost = 3;

/** Counts of one slice, and whether it may go on: the breaker, the budget of isolation, outages. */
export class Tally {
  readonly counts: Counts = { ...noCounts };
  stop: Stop | null = null;
  /** Rows wait for calls without an answer. */
  waiting = false;
  /** The last whole pass changed nothing at HubSpot, and no row waits. */
  quiet = false;
  /** When a call was last answered as it should be, ms. */
  answeredAt = 0;
  private readonly spent: Spent;
  private readonly limits: Limits;
  private silent = 0;
  private strange = 0;

  constructor(spent: Spent, limits: Limits) {
    this.spent = spent;
    this.limits = limits;
  }

  /** What HubSpot took so far. */
  get changed(): number {
    return this.counts.written + this.counts.archived;
  }

  /** The first reason counts. */
  end(stop: Stop): void {
    this.stop ??= stop;
  }

  answered(): void {
    this.answeredAt = Date.now();
    this.silent = 0;
    this.strange = 0;
  }

  silence(error: unknown): void {
    this.silent += 1;
    if (this.silent >= outage) this.end({ kind: 'failure', error });
  }

  strangeness(error: unknown): void {
    this.strange += 1;
    if (this.strange >= strangeMost) this.end({ kind: 'failure', error });
  }

  /** Takes calls out of the run's budget for isolation. @returns false when it is used up */
  isolate(calls: number): boolean {
    if (this.spent.isolation + this.counts.isolation + calls <= this.limits.isolationCalls) {
      this.counts.isolation += calls;
      return true;
    }
    this.end({ kind: 'isolation', calls: this.limits.isolationCalls });
    return false;
  }

  /** Looks at the share of bad rows, rows and not calls: those refused here and there, of all that were tried. */
  breaker(): void {
    const { rejectPercent } = this.limits;
    if (rejectPercent === null) return;
    const sum = (name: keyof Spent) => this.spent[name] + this.counts[name];
    const bad = sum('refusedHere') + sum('refusedThere');
    const of = bad + sum('written') + sum('archived') + sum('passed');
    if (bad >= leastBad && bad * 100 > of * rejectPercent) this.end({ kind: 'rejects', bad, of });
  }
}
