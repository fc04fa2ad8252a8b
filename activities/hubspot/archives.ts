import type { Leaving } from '../../db/hubspot/leaving.ts';
import type { Outgoing } from './outgoing.ts';
import type { Tally } from './tally.ts';

/** So many may go without a question, however few contacts there are. */
export const leastArchives = 50;

export interface ArchiveGuardOptions {
  /** Share of the known contacts, in percent. */
  percent: number;
  tally: Tally;
  /**
   * Counts who is about to go, when the whole log is moved and what was answered is written: of 20,000 deleted users 2,700
   * stood in the part that had been moved, and were archived. `gone`: who went in this run, as of the counting.
   */
  count: () => Promise<Leaving & { gone: number }>;
}

/**
 * Stops a run before it archives more than a share of the contacts, or tells of so many that their users left: a TRUNCATE,
 * or a condition that fits nobody, archived everybody. Who is about to go is counted before the first call that would bring
 * the run beyond 50, and again when there are more than were counted.
 */
export class ArchiveGuard {
  private readonly options: ArchiveGuardOptions;
  private decided: number;
  private proven = leastArchives;

  constructor(options: ArchiveGuardOptions) {
    this.options = options;
    this.decided = options.tally.gone;
  }

  /** @param rows those that go with the next calls */
  async look(rows: readonly Outgoing[]): Promise<void> {
    const more = rows.length;
    const told = rows.some(({ kind }) => kind !== 'archive');
    this.decided += more;
    if (more === 0 || this.decided <= this.proven) return;
    const { tally, percent, count } = this.options;
    const { leaving, known, gone } = await count();
    const [going, of] = [gone + leaving, gone + known];
    if (going > leastArchives && going * 100 > of * percent) tally.end({ kind: 'archives', going, of, told });
    else this.proven = Math.max(going, this.decided);
  }
}
