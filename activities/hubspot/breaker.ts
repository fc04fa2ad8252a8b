import type { Tally } from './tally.ts';

/** Fewer bad rows than this stop nothing: of ten changed rows two may be bad. */
export const leastBad = 50;

export interface BreakerOptions {
  /** Share of the rows that are due, in percent; null: a person lets the run go on, or asked for one user. */
  percent: number | null;
  tally: Tally;
  /** Counts who is still marked, once the log is moved and what was answered is written; null while everybody is to be marked. */
  count: () => Promise<number | null>;
}

/**
 * Stops a run in which more than a share of the rows is set aside, rows and not calls. The base is everybody who is due in
 * the run: bad rows have neighbouring keys, being imported together, and 60 of the first 100 may be 3 % of all. Who was set
 * aside before and is refused again is no news: he would keep the good ones from being sent, at each change of the catalog.
 */
export class Breaker {
  private readonly options: BreakerOptions;
  /** So many are due at least. */
  private due = 0;
  private counting: Promise<void> | null = null;

  constructor(options: BreakerOptions) {
    this.options = options;
  }

  /** Counts only when those met so far would be too many. */
  async look(): Promise<void> {
    if (this.options.tally.stop !== null || !this.tooMany()) return;
    this.counting ??= this.judge().finally(() => {
      this.counting = null;
    });
    await this.counting;
  }

  private async judge(): Promise<void> {
    const { tally, count } = this.options;
    const marked = await count();
    if (marked === null) return;
    this.due = tally.settled + marked;
    if (this.tooMany()) tally.end({ kind: 'rejects', bad: tally.bad, of: this.due });
  }

  private tooMany(): boolean {
    const { percent, tally } = this.options;
    return percent !== null && tally.bad >= leastBad && tally.bad * 100 > Math.max(tally.settled, this.due) * percent;
  }
}
