import { condition, isCancellation, patched } from '@temporalio/workflow';
import { historyIsLong } from './history.ts';
import type { StripeView } from './stripe.view.ts';
import { sentenceOf, tried, typeOf } from './tries.ts';

/** The history got long: what was read is committed, and the next execution goes on behind it. */
export class LongHistory extends Error {
  override name = 'LongHistory';
}

/** How often what is parked is tried again. */
export const parkedMs = 300_000;

/**
 * An entity does not end by trouble of its source: it is parked where everybody sees it, and tries again every five
 * minutes, or when somebody resumes it; while it is paused, when it is resumed alone. Only a lost claim ends it.
 */
export class Patience {
  private readonly view: StripeView;
  private readonly isPaused: () => boolean;
  /** How often somebody asked for everything that is parked to be tried again. */
  resumed = 0;

  constructor(view: StripeView, isPaused: () => boolean) {
    this.view = view;
    this.isPaused = isPaused;
  }

  /** Everything parked is tried again at once. */
  resume(): void {
    this.resumed += 1;
  }

  /** What was repaired while a step ran may have come too late for it: whoever says so then is heard behind it. */
  heard(before: number): number {
    return patched('resume-during-a-try') ? before : this.resumed;
  }

  /**
   * @param passOver what to go on with where the step fails for reasons of its own; null: it is waited for
   * @throws LongHistory before a step that belongs into the next execution
   */
  async run<T>(name: string, work: () => Promise<T>, passOver: (error: unknown) => T | null = () => null): Promise<T> {
    for (;;) {
      if (historyIsLong()) throw new LongHistory();
      const before = this.resumed;
      try {
        const done = await tried(this.view, name, work);
        this.view.park(name, null);
        return done;
      } catch (error) {
        if (isCancellation(error) || typeOf(error) === 'ClaimLost') throw error;
        const passed = passOver(error);
        if (passed !== null) return passed;
        this.view.park(name, sentenceOf(error));
        const heard = this.heard(before);
        await condition(() => this.resumed > heard || historyIsLong(), parkedMs);
        // Runs that tried again although they were paused have that in their histories.
        if (this.isPaused() && patched('parked-keeps-paused')) await condition(() => !this.isPaused());
        // A follower that is well again does not return for minutes; if it is not, it is parked again at once.
        this.view.park(name, null);
      }
    }
  }
}
