import { isDaily } from '../../connectors/hubspot/answers.ts';
import { type Counts, noCounts } from '../../connectors/hubspot/counts.ts';
import type { BatchKind } from '../../connectors/hubspot.ts';

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
  /** Too many contacts would be archived, or (`told`) hear that their user left. */
  | { kind: 'archives'; going: number; of: number; told: boolean }
  /** The calls for isolation are used up. */
  | { kind: 'isolation'; calls: number }
  /** The platform asks to wait. */
  | { kind: 'wait'; ms: number; daily: boolean }
  /** Something that ends the step. */
  | { kind: 'failure'; error: unknown };

/** A wait that the budget asks for; zone: the account's. */
export const waitOf = (ms: number, timeZone: string): Stop => ({ kind: 'wait', ms, daily: isDaily(ms, timeZone) });

/** Fewer bad rows than this stop nothing: of ten changed rows two may be bad. */
const leastBad = 50;
/** A value that another contact has may become free: its owner changes it, or is archived, in another call. Not for ever. */
const conflictTries = 8;
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
  /** Contacts that heard for the first time that their user left. */
  told = 0;
  /** Rows that were looked for at HubSpot: their next pass may give up a value. */
  located = 0;
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

  /** What HubSpot took so far, and what was found there. */
  get changed(): number {
    return this.counts.written + this.counts.archived + this.located;
  }

  /**
   * When a row is tried again whose value another one has, ms; null when it stays: a whole pass has changed nothing at
   * HubSpot, and no row waits that could.
   */
  conflictWait(tries: number, settleMs: number): number | null {
    if (this.quiet || tries >= conflictTries) return null;
    return this.waiting ? settleMs + 1_000 : 0;
  }

  /** A row is set aside. */
  refused(where: 'refusedHere' | 'refusedThere', _row: { parked: boolean }): void {
    this.counts[where] += 1;
  }

  /** HubSpot took a row of this run by such a call. */
  takes(kind: BatchKind): boolean {
    const sum = (name: 'written' | 'passed' | 'archived') => this.spent[name] + this.counts[name];
    return kind === 'archive' ? sum('archived') > 0 : sum('written') + sum('passed') > 0;
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
