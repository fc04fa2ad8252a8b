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
import type { CampaignBegun } from '../activities/audience/begin.ts';
import type { ShardResult } from '../activities/audience/shard.ts';
import type { Tested } from '../activities/audience/trial.ts';
import type { Activities } from '../activities/index.ts';
import type { Frozen } from '../db/audience/campaigns.ts';
import type { Report } from '../db/audience/report.ts';
import { campaignInput, campaignTestInput } from './audience.input.ts';
import { type CampaignProgress, type CampaignShown, CampaignView } from './audience.view.ts';
import { pause, resume } from './control.ts';
import { once, quick, slice, whole } from './options.ts';
import { readInput } from './org.input.ts';
import { tried, typeOf } from './tries.ts';

/** Workflow id of a campaign's run started by CLI and client. Other ids work too: the claim keeps runs apart. */
export const campaignId = (campaign: string) => `campaign-${campaign}`;
export const campaignTestId = (campaign: string) => `campaignTest-${campaign}`;

/** What a campaign's run did. Who got what stands in audience.deliveries. */
export interface CampaignResult extends Report {
  campaign: string;
  /** `done`: nobody is left to be sent to. `late`: the deadline came first, the rest was left out. */
  outcome: 'done' | 'late';
  audience: Frozen;
  durationMs: number;
}

export const campaignProgress = defineQuery<CampaignProgress>('progress');

/** What an execution whose history got long hands to the next one, which is the same run under the same claim. */
interface Carried {
  begun: CampaignBegun;
  frozen: Frozen;
  /** Shards that were begun and not ended, each with the moment it is due, ms. */
  queue: Due[];
  /** First shard that was never begun. */
  next: number;
  waitUntil: number;
  paused: boolean;
  shown: CampaignShown;
}

interface Due {
  shard: number;
  dueMs: number;
}

/** Recipients of a shard: at 4,000 a second one slice; 10 million are 200 shards. */
const shardRows = 50_000;
/** Shards sent side by side: while one waits for its commit, the other sends. */
const lanesOf = ({ inFlight }: CampaignBegun) => Math.min(2, inFlight);
/** Up to so many a campaign passes giant ones: they are through in seconds. */
const smallMost = 10_000;
const reconcileEveryMs = 15_000;

/** One message to each member of an audience. Input: {@link campaignInput}; result: {@link CampaignResult}. */
export async function campaign(input: unknown, handed?: Carried): Promise<CampaignResult> {
  const request = readInput(campaignInput, input, '{"campaign":"spring"}');
  const carried = workflowInfo().continuedFromExecutionRunId ? handed : undefined;
  const run = new CampaignRun(request.campaign, carried);
  if (!carried) await run.begin(request.define ?? null);
  const ended = await run.sendAll();
  if (ended) return ended;
  await condition(allHandlersFinished);
  return continueAsNew<typeof campaign>({ campaign: request.campaign }, run.carry());
}

/** A campaign's message to named users, once each, at once; nothing is written down. Input: {@link campaignTestInput}. */
export async function campaignTest(input: unknown): Promise<{ campaign: string; users: Tested[] }> {
  const request = readInput(campaignTestInput, input, '{"campaign":"spring","users":["u1"]}');
  const { testSend } = proxyActivities<Activities>(once);
  return { campaign: request.campaign, users: await testSend(request) };
}

class CampaignRun {
  private readonly campaign: string;
  private readonly view: CampaignView;
  private readonly activities;
  private begun!: CampaignBegun;
  private frozen!: Frozen;
  private queue: Due[] = [];
  private next = 0;
  private active = 0;
  private waitUntil = 0;
  private paused: boolean;
  private late = false;
  private fault: unknown;
  private sending: CancellationScope | null = null;
  /** Grows with everything that a waiting lane may wait for. */
  private changes = 0;

  constructor(campaign: string, carried: Carried | undefined) {
    this.campaign = campaign;
    this.view = new CampaignView(campaign, carried?.shown ?? { started: Date.now(), ended: {}, open: [] });
    this.paused = carried?.paused ?? false;
    if (carried) {
      this.begun = carried.begun;
      this.frozen = carried.frozen;
      this.queue = carried.queue;
      this.next = carried.next;
      this.waitUntil = carried.waitUntil;
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
    const { begun, frozen, queue, next, waitUntil, paused } = this;
    return { begun, frozen, queue, next, waitUntil, paused, shown: this.view.carry() };
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

  private get shards(): number {
    return Math.ceil(this.frozen.recipients / this.rows);
  }

  private get rows(): number {
    return Math.min(shardRows, Math.max(1_000, Math.ceil(this.frozen.recipients / lanesOf(this.begun))));
  }

  private isOver(): boolean {
    return this.late || (this.next >= this.shards && this.queue.length === 0 && this.active === 0);
  }

  private stops(): boolean {
    return this.fault !== undefined || this.late || historyIsLong();
  }

  /** Takes shards until none is left. A failure ends all lanes, each after what it has in hand. */
  private async lane(): Promise<void> {
    for (;;) {
      const now = Date.now();
      if (this.stops() || this.isOver()) return;
      const due = this.take(now);
      if (due === undefined) {
        await this.wait(now);
        continue;
      }
      this.active += 1;
      try {
        await this.send(due);
      } catch (error) {
        this.queue.push({ shard: due, dueMs: 0 });
        if (CancellationScope.current().consideredCancelled) throw error;
        this.fault ??= error;
        this.endSlices();
      } finally {
        this.active -= 1;
        this.changes += 1;
      }
    }
  }

  /** The next shard that may be sent now. */
  private take(now: number): number | undefined {
    if (this.paused || this.waitUntil > now) return undefined;
    const at = this.queue.findIndex(({ dueMs }) => dueMs <= now);
    if (at >= 0) return this.queue.splice(at, 1)[0]?.shard;
    return this.next < this.shards ? this.next++ : undefined;
  }

  /** Until something can have changed: a resume, the end of a wait, a shard that another lane brought back. */
  private async wait(now: number): Promise<void> {
    const seen = this.changes;
    const changed = () => this.changes !== seen || this.stops();
    const due = Math.max(this.waitUntil, Math.min(...this.queue.map(({ dueMs }) => dueMs)));
    if (this.paused || !Number.isFinite(due) || due <= now) await condition(changed);
    else await condition(changed, due - now);
    if (Date.now() >= this.waitUntil) this.view.note('wait', null);
  }

  private async send(shard: number): Promise<void> {
    const { campaign, begun, frozen } = this;
    const from = shard * this.rows + 1;
    const to = Math.min(frozen.recipients, from + this.rows - 1);
    const small = frozen.recipients <= smallMost;
    const inFlight = Math.max(1, Math.floor(begun.inFlight / lanesOf(begun)));
    const reached = (this.view.states().sent ?? 0) > 0;
    const input = { campaign, claim: begun.claim, from, to, inFlight, lane: small ? 'live' : 'bulk', reached } as const;
    const result = await this.inScope(() =>
      tried(this.view, 'sendShard', () => this.activities(small).slices.sendShard(input)),
    );
    if (result === null) {
      this.queue.push({ shard, dueMs: 0 });
      return;
    }
    this.told(shard, result);
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
    if (!done) this.queue.push({ shard, dueMs: why === 'retry' ? Date.now() + waitMs : 0 });
    this.late ||= late;
    if (stop) {
      this.endSlices();
      this.fault ??= ApplicationFailure.nonRetryable(
        `The channel refuses the campaign (${stop.code}): ${stop.hint}. Who was not sent to stays planned; start it again when that is repaired: npx syncline campaign start ${this.campaign}`,
        'CampaignStopped',
      );
    }
    if (why !== 'account' && why !== 'quiet') return;
    this.waitUntil = Math.max(this.waitUntil, Date.now() + waitMs);
    const what = why === 'quiet' ? 'quiet hours' : 'the limit of the account';
    this.view.note('wait', `waits for ${what} until ${new Date(this.waitUntil).toISOString()}`);
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
    this.changes += 1;
    if (paused) this.endSlices();
    return paused ? 'paused: messages on their way are still written down' : 'running';
  }
}

/** Whether the server suggests another execution. A cancellation would not reach it: a cancelled run ends in this one. */
function historyIsLong(): boolean {
  return workflowInfo().continueAsNewSuggested && !CancellationScope.current().consideredCancelled;
}
