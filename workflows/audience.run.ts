import {
  ApplicationFailure,
  CancellationScope,
  condition,
  defineQuery,
  isCancellation,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { CampaignBegun } from '../activities/audience/begin.ts';
import type { ShardResult } from '../activities/audience/shard.ts';
import type { Activities } from '../activities/index.ts';
import type { Frozen } from '../db/audience/campaigns.ts';
import type { Report } from '../db/audience/report.ts';
import { type CarriedShards, Shards } from './audience.shards.ts';
import { stoppedBy } from './audience.stop.ts';
import { type CampaignProgress, type CampaignResult, type CampaignShown, CampaignView } from './audience.view.ts';
import { pause, resume } from './control.ts';
import { historyIsLong } from './history.ts';
import { quick, slice, whole } from './options.ts';
import { tried, typeOf } from './tries.ts';

export const campaignProgress = defineQuery<CampaignProgress>('progress');

/** What an execution whose history got long hands to the next one, which is the same run under the same claim. */
export interface Carried {
  begun: CampaignBegun;
  frozen: Frozen;
  shards: CarriedShards;
  paused: boolean;
  shown: CampaignShown;
}

/** Shards sent side by side: while one waits for its commit, the other sends. */
const lanesOf = ({ inFlight }: CampaignBegun) => Math.min(2, inFlight);
/** Up to so many a campaign passes giant ones: they are through in seconds. */
const smallMost = 10_000;
const reconcileEveryMs = 15_000;

/** One campaign's way from the frozen audience to the last outcome. */
export class CampaignRun {
  private readonly campaign: string;
  private readonly view: CampaignView;
  private readonly activities;
  private begun!: CampaignBegun;
  private frozen!: Frozen;
  private shards!: Shards;
  private paused: boolean;
  private late = false;
  private fault: unknown;
  private sending: CancellationScope | null = null;

  constructor(campaign: string, carried: Carried | undefined) {
    this.campaign = campaign;
    this.view = new CampaignView(campaign, carried?.shown ?? { started: Date.now(), ended: {}, open: [] });
    this.paused = carried?.paused ?? false;
    if (carried) {
      this.begun = carried.begun;
      this.frozen = carried.frozen;
      this.shards = new Shards(this.frozen.recipients, lanesOf(this.begun), carried.shards);
      this.view.begin(this.frozen, this.begun.perSecond);
    }
    this.activities = (small: boolean) => {
      const priority = { fairnessKey: campaign, priorityKey: small ? 2 : 4 };
      return {
        short: proxyActivities<Activities>({ ...quick, priority }),
        slices: proxyActivities<Activities>({ ...slice, priority }),
        long: proxyActivities<Activities>({ ...whole, priority }),
      };
    };
    this.view.pause(this.paused);
    setHandler(campaignProgress, () => this.view.progress());
    setHandler(pause, () => this.setPaused(true));
    setHandler(resume, () => this.setPaused(false));
  }

  carry(): Carried {
    const { begun, frozen, paused } = this;
    return { begun, frozen, shards: this.shards.carry(), paused, shown: this.view.carry() };
  }

  async begin(define: Record<string, unknown> | null): Promise<void> {
    const { campaign } = this;
    const { workflowId, firstExecutionRunId: runId } = workflowInfo();
    const { short, long } = this.activities(true);
    const begun = await tried(this.view, 'beginCampaign', () =>
      short.beginCampaign({ campaign, define, workflowId, runId }),
    );
    if ('heldBy' in begun)
      throw ApplicationFailure.nonRetryable(
        `Another run sends this campaign: ${begun.heldBy.workflowId}. Look at it with: npx syncline campaign report ${campaign}, or end it with: npx syncline campaign cancel ${campaign}`,
        'AlreadyRunning',
      );
    this.begun = begun;
    await condition(() => !this.paused);
    this.frozen = await tried(this.view, 'freezeAudience', () => long.freezeAudience({ campaign, claim: begun.claim }));
    this.shards = new Shards(this.frozen.recipients, lanesOf(begun));
    this.view.begin(this.frozen, begun.perSecond);
  }

  /** Sends until nobody is left; undefined when the history got long and nothing is under way. */
  async sendAll(): Promise<CampaignResult | undefined> {
    try {
      // All lanes end before anything is met: one that still sends would disturb what is written down at the end.
      const ends = await Promise.allSettled(Array.from({ length: lanesOf(this.begun) }, () => this.lane()));
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
      if (this.fault) throw this.fault;
      if (!this.isOver()) return undefined;
      if (!this.late && this.begun.policy === 'reconcile') await this.reconcile();
    } catch (error) {
      // Whatever ends the run: what is known is written down, and grants go back. Whoever lost the claim has nothing to write.
      if (typeOf(error) !== 'ClaimLost') await CancellationScope.nonCancellable(() => this.finish(false));
      throw error;
    }
    const report = await this.finish(this.late);
    this.view.finish();
    const outcome = this.late ? 'late' : 'done';
    const { campaign, frozen: audience } = this;
    return { campaign, outcome, audience, ...report, durationMs: Date.now() - this.view.carry().started };
  }

  private isOver(): boolean {
    return this.late || this.shards.isOver();
  }

  private stops(): boolean {
    return this.fault !== undefined || this.late || historyIsLong();
  }

  /** Takes shards until none is left. A failure ends all lanes, each after what it has in hand. */
  private async lane(): Promise<void> {
    while (!this.stops() && !this.isOver()) {
      const now = Date.now();
      const shard = this.paused ? undefined : this.shards.take(now);
      if (shard === undefined) await this.wait(now);
      else {
        try {
          await this.send(shard);
        } catch (error) {
          this.shards.done(shard, 0);
          if (CancellationScope.current().consideredCancelled) throw error;
          this.fault ??= error;
          this.endSlices();
        }
      }
    }
  }

  /** Until something can have changed: a resume, the end of a wait, a shard that another lane brought back. */
  private async wait(now: number): Promise<void> {
    const { changes } = this.shards;
    const { paused } = this;
    const changed = () => this.shards.changes !== changes || this.paused !== paused || this.stops();
    const due = this.shards.dueMs();
    if (paused || !Number.isFinite(due) || due <= now) await condition(changed);
    else await condition(changed, due - now);
    if (!this.shards.isWaiting(Date.now())) this.view.note('wait', null);
  }

  private async send(shard: number): Promise<void> {
    const { campaign, begun, frozen } = this;
    const { from, to } = this.shards.rangeOf(shard);
    const small = frozen.recipients <= smallMost;
    const inFlight = Math.max(1, Math.floor(begun.inFlight / lanesOf(begun)));
    const reached = (this.view.states().sent ?? 0) > 0;
    const settled = this.view.settledOf(shard);
    const input = {
      campaign,
      claim: begun.claim,
      from,
      to,
      inFlight,
      lane: small ? 'live' : 'bulk',
      reached,
      settled,
    } as const;
    const result = await this.inScope(() =>
      tried(this.view, 'sendShard', () => this.activities(small).slices.sendShard(input)),
    );
    if (result === null) this.shards.done(shard, 0);
    else this.told(shard, result);
  }

  /** Null: a pause ended the slice before it told anything. */
  private async inScope(work: () => Promise<ShardResult>): Promise<ShardResult | null> {
    this.sending ??= new CancellationScope();
    const scope = this.sending;
    try {
      return await scope.run(work);
    } catch (error) {
      if (isCancellation(error) && !CancellationScope.current().consideredCancelled) return null;
      throw error;
    }
  }

  private told(shard: number, result: ShardResult): void {
    const { states, done, waitMs, why, stop, late } = result;
    this.view.told(shard, states, done);
    this.shards.done(shard, done ? null : why === 'retry' ? Date.now() + waitMs : 0);
    this.late ||= late;
    if (stop) {
      this.endSlices();
      this.fault ??= stoppedBy(stop, this.campaign);
    }
    if (why !== 'account' && why !== 'quiet') return;
    const until = this.shards.waitUntil(Date.now() + waitMs);
    const what = why === 'quiet' ? 'quiet hours' : 'the limit of the account';
    this.view.note('wait', `waits for ${what} until ${new Date(until).toISOString()}`);
  }

  /** Callbacks may still tell what became of those without an answer. */
  private async reconcile(): Promise<void> {
    const spanMs = this.begun.reconcileMinutes * 60_000;
    const until = Date.now() + spanMs;
    const everyMs = Math.max(reconcileEveryMs, spanMs / 200);
    for (;;) {
      const { states } = await this.activities(true).short.countCampaign({ campaign: this.campaign });
      const unknown = states.unknown ?? 0;
      if (unknown === 0 || Date.now() >= until) return;
      this.view.note('wait', `waits for callbacks about ${unknown} recipients until ${new Date(until).toISOString()}`);
      await sleep(Math.min(everyMs, until - Date.now()));
    }
  }

  private async finish(late: boolean): Promise<Report> {
    const { campaign, begun } = this;
    return tried(this.view, 'finishCampaign', () =>
      this.activities(true).long.finishCampaign({ campaign, claim: begun.claim, late }),
    );
  }

  /** Slices in hand end early: messages on their way are still stored, everybody else is given back. */
  private endSlices(): void {
    this.sending?.cancel();
    this.sending = null;
  }

  private setPaused(paused: boolean): string {
    this.paused = paused;
    this.view.pause(paused);
    if (paused) this.endSlices();
    return paused ? 'paused: messages on their way are still written down' : 'running';
  }
}
