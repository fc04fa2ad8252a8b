import { type ActivityInterfaceFor, condition, patched } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { BegunStripe } from '../activities/stripe/begin.ts';
import type { FillResult } from '../activities/stripe/fill.ts';
import type { Claim } from '../db/claims.ts';
import { historyIsLong } from './history.ts';
import type { Patience } from './stripe.patience.ts';
import type { StripeView } from './stripe.view.ts';
import { sentenceOf, verdictOf } from './tries.ts';

const clocks = 'test_helpers_test_clocks';
const subscriptions = 'subscriptions';
const upcoming = 'upcoming_invoices';
/** Resources read side by side in a backfill: enough for the account's limit where each endpoint has a quarter of it. */
const fillLanes = 4;

interface FillsOptions {
  view: StripeView;
  patience: Patience;
  slices: Pick<ActivityInterfaceFor<Activities>, 'fillType'>;
  /** Whether the run goes on behind the present. */
  follow: boolean;
  isPaused: () => boolean;
}

/** Reads resources whole, slice by slice. */
export class Fills {
  /** Resources that were passed over because their lists answer nonsense: tried again while the rest is followed. */
  readonly aside = new Set<string>();
  private readonly options: FillsOptions;

  constructor(options: FillsOptions) {
    this.options = options;
  }

  /** Everything that is not read yet. */
  async all({ claim, all, toFill }: Pick<BegunStripe, 'claim' | 'all' | 'toFill'>): Promise<void> {
    const { view } = this.options;
    view.list(all, toFill);
    if (toFill.length === 0) return;
    view.enter('backfill');
    // What stands under a test clock is asked for by the clocks that were read, upcoming invoices by the subscriptions.
    const queue = toFill.filter((type) => type !== clocks && type !== upcoming);
    if (toFill.includes(clocks)) await this.one(claim, clocks);
    const lane = async () => {
      for (let type = queue.shift(); type !== undefined; type = queue.shift()) await this.one(claim, type);
    };
    const ends = await Promise.allSettled(Array.from({ length: fillLanes }, lane));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    if (toFill.includes(upcoming)) await this.one(claim, upcoming);
  }

  /** One resource, to its end or until it is passed over. */
  async one(claim: Claim, type: string): Promise<void> {
    const { view, patience, slices, isPaused } = this.options;
    view.begin(type);
    if (type === upcoming && this.aside.has(subscriptions))
      return view.read(type, this.putAside(type, `the list of ${subscriptions} comes first`));
    for (;;) {
      await condition(() => !isPaused());
      const read = () => slices.fillType({ claim, type });
      const result = await patience.run(type, read, (error) => this.passOver(type, error));
      view.read(type, result);
      if (result.parked === null) this.aside.delete(type);
      if (result.done) return;
      if (result.waitMs > 0) {
        view.note(
          'source',
          `waits ${Math.ceil(result.waitMs / 1000)} s for a rate limit: the source's, or our share of it`,
        );
        // Whoever asks earlier is held by the budget.
        await condition(historyIsLong, result.waitMs);
        view.note('source', null);
      }
    }
  }

  /**
   * One list that answers nonsense, be it for days, keeps nothing else from being live. A run that does not follow waits for
   * it: it would end without the rows. So does everybody for the clocks, by which the other lists are asked for.
   */
  private passOver(type: string, error: unknown): FillResult | null {
    const waits = !this.options.follow || type === clocks || verdictOf(error) !== 'again';
    return waits || !patched('bad-list-stands-aside') ? null : this.putAside(type, sentenceOf(error));
  }

  private putAside(type: string, parked: string): FillResult {
    this.aside.add(type);
    return { done: true, rows: 0, requests: 0, counts: null, waitMs: 0, parked };
  }
}
