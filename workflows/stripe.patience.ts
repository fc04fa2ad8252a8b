import { condition, isCancellation, patched, workflowInfo } from '@temporalio/workflow';
import type { StripeView } from './stripe.view.ts';
import { sentenceOf, tried, typeOf } from './tries.ts';

/** The history got long: what was read is committed, and the next execution goes on behind it. */
export class LongHistory extends Error {
  override name = 'LongHistory';
}

export const historyIsLong = () => workflowInfo().continueAsNewSuggested;

/** How often what is parked is tried again. */
const parkedMs = 300_000;

/**
 * An entity does not end by trouble of its source: it is parked where everybody sees it, and tries again every five
 * minutes, or when somebody resumes it; while it is paused, when it is resumed alone. Only a lost claim ends it.
 */
export class Patience {
  private readonly view: StripeView;
  private readonly isPaused: () => boolean;
  private resumed = 0;

  constructor(view: StripeView, isPaused: () => boolean) {
    this.view = view;
    this.isPaused = isPaused;
  }

  /** Everything parked is tried again at once. */
  resume(): void {
    this.resumed += 1;
  }

  /** @throws LongHistory before a step that belongs into the next execution */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    for (;;) {
      if (historyIsLong()) throw new LongHistory();
      try {
        const done = await tried(this.view, name, work);
        this.view.park(name, null);
        return done;
      } catch (error) {
        if (isCancellation(error) || typeOf(error) === 'ClaimLost') throw error;
        this.view.park(name, sentenceOf(error));
        const before = this.resumed;
        await condition(() => this.resumed > before || historyIsLong(), parkedMs);
        // Runs that tried again although they were paused have that in their histories.
        if (this.isPaused() && patched('parked-keeps-paused')) await condition(() => !this.isPaused());
        // A follower that is well again does not return for minutes; if it is not, it is parked again at once.
        this.view.park(name, null);
      }
    }
  }
}
