import { isDaily } from '../../connectors/hubspot/answers.ts';
import { addCounts, type Counts, noCounts } from '../../connectors/hubspot/counts.ts';
import type { BatchKind } from '../../connectors/hubspot.ts';

/** What a run has spent before this slice. */
export type Spent = Pick<
  Counts,
  | 'written'
  | 'archived'
  | 'toldLeft'
  | 'passed'
  | 'unchanged'
  | 'refusedHere'
  | 'refusedThere'
  | 'refusedAgain'
  | 'isolation'
>;

/** Why a slice stops before nothing is left. */
export type Stop =
  /** Too many rows are refused. */
  | { kind: 'rejects'; bad: number; of: number }
  /** Too many contacts would be archived, or (`told`) hear that their user left. */
  | { kind: 'archives'; going: number; of: number; told: boolean }
  /** The calls for isolation are used up. */
  | { kind: 'isolation'; calls: number; told: string | null }
  /** The platform asks to wait. */
  | { kind: 'wait'; ms: number; daily: boolean }
  /** Something that ends the step. */
  | { kind: 'failure'; error: unknown };

/** A wait that the budget asks for; zone: the account's. */
export const waitOf = (ms: number, timeZone: string): Stop => ({ kind: 'wait', ms, daily: isDaily(ms, timeZone) });

/** A value that another contact has may become free: its owner changes it, or is archived, in another call. Not for ever. */
const conflictTries = 8;
/** So many calls without an answer, and none with one between them, are an outage. */
const outage = 5;
/** So many answers in a row that are not the protocol, or leave every row out. */
const strangeMost = 3;

/** Counts of one slice with all its attempts, and whether it may go on: the budget of isolation, outages. */
export class Tally {
  readonly counts: Counts;
  stop: Stop | null = null;
  /** Rows wait for calls without an answer. */
  waiting = false;
  /** The last whole pass changed nothing at HubSpot, and no row waits. */
  quiet = false;
  /** Rows that were looked for at HubSpot: their next pass may give up a value. */
  located = 0;
  /** When a call was last answered as it should be, ms. */
  answeredAt = 0;
  private readonly spent: Spent;
  private readonly isolationCalls: number;
  private silent = 0;
  private strange = 0;

  /** @param before what attempts of the slice reported that failed, or whose worker was killed */
  constructor(spent: Spent, isolationCalls: number, before: Readonly<Partial<Counts>> = {}) {
    this.counts = addCounts(noCounts, before);
    this.spent = spent;
    this.isolationCalls = isolationCalls;
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
  refused(where: 'refusedHere' | 'refusedThere', { parked }: { parked: boolean }): void {
    this.counts[where] += 1;
    if (parked) this.counts.refusedAgain += 1;
  }

  /** Rows of the run that are set aside for the first time. */
  get bad(): number {
    return this.sum('refusedHere') + this.sum('refusedThere') - this.sum('refusedAgain');
  }

  /** Contacts that the run archived, or told for the first time that their user left. */
  get gone(): number {
    return this.sum('archived') + this.sum('toldLeft');
  }

  /** Rows of the run that are done with. */
  get settled(): number {
    const done = ['written', 'archived', 'passed', 'unchanged', 'refusedHere', 'refusedThere'] as const;
    return done.reduce((all, name) => all + this.sum(name), 0);
  }

  /** Rows of this run that HubSpot took by such calls. */
  taken(kind: BatchKind): number {
    return kind === 'archive' ? this.sum('archived') : this.sum('written') + this.sum('passed');
  }

  /** A run that an older worker began knows fewer numbers. */
  private sum(name: keyof Spent): number {
    return (this.spent[name] ?? 0) + this.counts[name];
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

  /**
   * Takes calls out of the run's budget for isolation.
   * @param told what HubSpot said of the batch, without a value
   * @returns false when it is used up
   */
  isolate(calls: number, told: string | null): boolean {
    if (this.spent.isolation + this.counts.isolation + calls <= this.isolationCalls) {
      this.counts.isolation += calls;
      return true;
    }
    this.end({ kind: 'isolation', calls: this.isolationCalls, told });
    return false;
  }
}
