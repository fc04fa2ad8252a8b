import {
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  isCancellation,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { BegunStripe } from '../activities/stripe/begin.ts';
import type { Claim } from '../db/claims.ts';
import { pause, resume } from './control.ts';
import { historyIsLong } from './history.ts';
import { follow, liveQueue, slice, whole } from './options.ts';
import { readInput } from './org.input.ts';
import { isScheduled } from './platform.stream.ts';
import { Fills } from './stripe.fills.ts';
import { type StripeSyncInput, stripeSyncInput } from './stripe.input.ts';
import { LongHistory, Patience, parkedMs } from './stripe.patience.ts';
import {
  nothingCarried,
  type StripeCarried,
  type StripeProgress,
  StripeView,
  type TypeProgress,
} from './stripe.view.ts';
import { tried } from './tries.ts';

/** Workflow id of a connection's run started by CLI and client. Other ids work too: the claim keeps runs apart. */
export const stripeSyncId = (connection: string) => `stripeSync-${connection}`;

export interface StripeSyncResult {
  connection: string;
  /** `live`: the copy reached the present (with `follow: false`). `skipped`: another run is at work. */
  outcome: 'live' | 'skipped';
  types: TypeProgress[];
  feed: StripeProgress['feed'];
  durationMs: number;
}

export const stripeProgress = defineQuery<StripeProgress>('progress');

const hourMs = 3_600_000;
const leastWaitMs = 1_000;

/** A Stripe account → `stripe.*`: mark, backfill, replay, then follow for ever. Input: {@link stripeSyncInput}. */
export async function stripeSync(input: unknown, handed?: StripeCarried): Promise<StripeSyncResult> {
  const request: StripeSyncInput = readInput(stripeSyncInput, input, '{"connection":"billing"}');
  const carried = workflowInfo().continuedFromExecutionRunId ? handed : undefined;
  const run = new StripeRun(request, carried);
  try {
    return await run.run(carried === undefined);
  } catch (error) {
    if (!(error instanceof LongHistory)) throw error;
  }
  await run.mayGoOn();
  return continueAsNew<typeof stripeSync>(input, run.carry());
}

class StripeRun {
  private readonly request: StripeSyncInput;
  private readonly view: StripeView;
  private readonly slices;
  private readonly whole;
  private readonly follow;
  private paused = false;
  private readonly patience: Patience;
  private following: CancellationScope | null = null;
  private readonly fills: Fills;

  constructor(request: StripeSyncInput, carried: StripeCarried | undefined) {
    const { connection } = request;
    this.request = request;
    this.view = new StripeView(connection, carried ?? nothingCarried(Date.now()));
    this.patience = new Patience(this.view, () => this.paused);
    const priority = { fairnessKey: connection };
    this.slices = proxyActivities<Activities>({ ...slice, priority });
    const { view, patience, slices } = this;
    this.fills = new Fills({ view, patience, slices, follow: request.follow, isPaused: () => this.paused });
    this.whole = proxyActivities<Activities>({ ...whole, priority });
    this.follow = proxyActivities<Activities>({ ...follow, taskQueue: liveQueue(workflowInfo().taskQueue) });
    setHandler(stripeProgress, () => this.view.progress());
    setHandler(pause, () => this.setPaused(true));
    setHandler(resume, () => this.setPaused(false));
  }

  /** @throws LongHistory when the next execution is to go on */
  async run(isFirst: boolean): Promise<StripeSyncResult> {
    for (let first = isFirst; ; first = false) {
      const begun = await this.begin(first);
      if (begun === null) return this.result('skipped');
      const { resumed } = this.patience;
      await this.fills.all(begun);
      if ((await this.replay(begun.claim)) === 'lost') continue;
      if (!this.request.follow) return this.result('live');
      await this.live(begun, resumed);
    }
  }

  /** A pause is not handed over: it holds this execution. */
  async mayGoOn(): Promise<void> {
    await condition(() => !this.paused && allHandlersFinished());
  }

  carry(): StripeCarried {
    return this.view.carry();
  }

  /** Null: a scheduled run leaves the connection to the one at work. `first`: what is wrong ends the run at once. */
  private async begin(first: boolean): Promise<BegunStripe | null> {
    this.view.enter('mark');
    const { connection } = this.request;
    const { workflowId, firstExecutionRunId: runId } = workflowInfo();
    const ask = () => this.whole.beginStripe({ connection, workflowId, runId });
    const begun = await (first ? tried(this.view, 'beginStripe', ask) : this.patience.run('beginStripe', ask));
    if (!('heldBy' in begun)) {
      this.view.note('begun', begun.why && `begun anew: ${begun.why}`);
      return begun;
    }
    if (isScheduled()) return null;
    throw ApplicationFailure.nonRetryable(
      `Another run reads this connection: ${begun.heldBy.workflowId}. Wait for it (npx syncline status ${connection}), or cancel it first.`,
      'AlreadyRunning',
    );
  }

  /** Applies what happened since the mark, up to the present. */
  private async replay(claim: Claim): Promise<'live' | 'lost'> {
    this.view.enter('replay');
    for (;;) {
      await condition(() => !this.paused);
      const result = await this.patience.run('replayFeed', () => this.slices.replayFeed({ claim }));
      this.view.followed(result);
      if (result.lost) return 'lost';
      if (result.isLive) return 'live';
      if (result.waitMs > 0) await sleep(result.waitMs);
    }
  }

  /** Follows the feed, and reads again on a schedule what has no events, until the feed is lost. */
  private async live(begun: BegunStripe, resumed: number): Promise<void> {
    this.view.enter('follow');
    let over = false;
    const upkeep = this.upkeep(begun, resumed, () => over);
    const follow = this.followOn(begun.claim, () => over);
    try {
      await Promise.race([follow, upkeep]);
    } finally {
      over = true;
      // It commits what it has in hand.
      this.following?.cancel();
      // Neither is left behind: a pending activity would be lost with this execution.
      await Promise.allSettled([follow, upkeep]);
    }
  }

  private result(outcome: StripeSyncResult['outcome']): StripeSyncResult {
    const { connection, types, feed } = this.view.progress();
    return { connection, outcome, types, feed, durationMs: Date.now() - this.view.started };
  }

  private async followOn(claim: Claim, isOver: () => boolean): Promise<void> {
    for (;;) {
      await condition(() => !this.paused || isOver());
      if (isOver()) return;
      const result = await this.patience.run('followFeed', () => this.followOnce(claim));
      if (result === null) continue;
      this.view.followed(result);
      if (result.lost) return;
      if (result.waitMs > 0) await sleep(result.waitMs);
    }
  }

  /** Null: it was paused, and has committed what it had in hand. */
  private async followOnce(claim: Claim) {
    const scope = new CancellationScope();
    this.following = scope;
    try {
      return await scope.run(() => this.follow.followFeed({ claim }));
    } catch (error) {
      if (isCancellation(error) && !CancellationScope.current().consideredCancelled) return null;
      throw error;
    } finally {
      this.following = null;
    }
  }

  /** What has no events is read again when it is due; what is parked or was never read, every hour at least. */
  private async upkeep(
    { claim, relisted, relistMs }: BegunStripe,
    resumed: number,
    isOver: () => boolean,
  ): Promise<void> {
    let before = resumed;
    let waitMs = relisted.length > 0 ? 0 : relistMs;
    for (;;) {
      const heard = this.patience.heard(before);
      const mostMs = this.fills.aside.size > 0 ? parkedMs : hourMs;
      await condition(
        () => isOver() || historyIsLong() || (this.fills.aside.size > 0 && this.patience.resumed > heard),
        Math.min(mostMs, Math.max(leastWaitMs, waitMs)),
      );
      await condition(() => !this.paused || isOver());
      if (isOver()) return;
      before = this.patience.resumed;
      const plan = await this.patience.run('planStripe', () => this.whole.planStripe({ claim }));
      for (const type of new Set([...plan.toFill, ...plan.relisted])) if (!isOver()) await this.fills.one(claim, type);
      waitMs = plan.relistMs;
    }
  }

  private setPaused(paused: boolean): string {
    this.paused = paused;
    if (paused) this.following?.cancel();
    else this.patience.resume();
    this.view.pause(paused);
    return paused ? 'paused' : 'running';
  }
}
