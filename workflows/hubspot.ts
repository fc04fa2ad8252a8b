import {
  ApplicationFailure,
  allHandlersFinished,
  condition,
  continueAsNew,
  defineQuery,
  patched,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { BeginWait, HubspotPlan } from '../activities/hubspot/begin.ts';
import type { SliceResult } from '../activities/hubspot/result.ts';
import type { Activities } from '../activities/index.ts';
import { type Counts, noCounts } from '../connectors/hubspot/counts.ts';
import { pause, resume } from './control.ts';
import { historyIsLong } from './history.ts';
import { type HubspotSyncInput, hubspotSyncInput } from './hubspot.input.ts';
import { type Carried, type HubspotProgress, HubspotView } from './hubspot.view.ts';
import { slice } from './options.ts';
import { readInput } from './org.input.ts';
import { isScheduled } from './platform.stream.ts';
import { tried } from './tries.ts';

/** Workflow id of a connection's runs started by CLI and client. Other ids work too: the claim keeps runs apart. */
export const hubspotSyncId = (connection: string) => `hubspotSync-${connection}`;

/** What a run did. Counts only; who was refused stands in syncline.rejects. */
export interface HubspotSyncResult extends Counts {
  connection: string;
  /** `whole`: everything that was dirty is at HubSpot. `partial`: rows were refused and are parked. */
  outcome: 'whole' | 'partial' | 'skipped';
  /** Users who changed while the last few were sent, less than a batch: the next run's. */
  left: number;
  /** Users that are set aside, by this run and by runs before it. `whole` says nothing of the latter: they are not dirty. */
  parked: number;
  durationMs: number;
}

export const hubspotProgress = defineQuery<HubspotProgress>('progress');

/** Changed rows of our users → HubSpot contacts, until nothing is dirty. Input: {@link hubspotSyncInput}; result: {@link HubspotSyncResult}. */
export async function hubspotSync(input: unknown, handed?: Carried): Promise<HubspotSyncResult> {
  const request = readInput(hubspotSyncInput, input, '{"connection":"crm"}');
  const carried = workflowInfo().continuedFromExecutionRunId ? handed : undefined;
  const run = new HubspotRun(request, carried);
  // What a full run forgets it forgets once.
  let full = carried ? carried.full === true : request.mode === 'full';
  for (;;) {
    const plan = await run.begin(full);
    if (plan === null) return run.result('skipped');
    if (plan !== 'long') {
      full = false;
      const end = await run.send(plan);
      if (end === 'done') return run.result('done');
      if (end === 'replan') continue;
    }
    await condition(allHandlersFinished);
    return continueAsNew<typeof hubspotSync>(input, run.view.carry(full));
  }
}

class HubspotRun {
  readonly view: HubspotView;
  private readonly request: HubspotSyncInput;
  private readonly activities;
  private paused = false;
  private waits = false;

  constructor(request: HubspotSyncInput, carried?: Carried) {
    this.request = request;
    this.view = new HubspotView(request.connection, carried ?? { started: Date.now(), counts: noCounts });
    this.activities = proxyActivities<Activities>({ ...slice, priority: { fairnessKey: request.connection } });
    setHandler(hubspotProgress, () => this.view.progress());
    setHandler(pause, () => this.setPaused(true));
    setHandler(resume, () => this.setPaused(false));
  }

  /** Null: another run is at work, and a clock started this one. `long`: it waited until the history got long. */
  async begin(full: boolean): Promise<HubspotPlan | 'long' | null> {
    const { workflowId, firstExecutionRunId: runId } = workflowInfo();
    const { connection } = this.request;
    const only = this.request.only !== undefined;
    for (;;) {
      const begun = await tried(this.view, 'beginHubspot', () =>
        this.activities.beginHubspot({ connection, workflowId, runId, full, only }),
      );
      if ('waitMs' in begun) {
        await this.wait(begun.waitMs, waitsFor(begun, connection));
        // Recorded runs went on in the same execution.
        if (!historyIsLong() || !patched('a long wait of begin continues as new')) continue;
        await condition(() => !this.paused);
        return 'long';
      }
      if ('heldBy' in begun) {
        if (isScheduled()) return null;
        throw ApplicationFailure.nonRetryable(
          `Another run sends the contacts of this connection: ${begun.heldBy.workflowId}. Wait for it (npx syncline status ${connection}), or cancel it first.`,
          'AlreadyRunning',
        );
      }
      this.view.begin(begun);
      return begun;
    }
  }

  /** Slice after slice until nothing is dirty. */
  async send(plan: HubspotPlan): Promise<'done' | 'replan' | 'long'> {
    const { only, rejects, archives } = this.request;
    for (;;) {
      await condition(() => !this.paused);
      if (historyIsLong()) return 'long';
      const spent = this.view.counts;
      const result = await tried(this.view, 'sendContacts', () =>
        this.activities.sendContacts({
          plan,
          spent,
          acceptRejects: rejects === 'accept',
          acceptArchives: archives === 'accept',
          only: only?.user ?? null,
        }),
      );
      this.view.add(result);
      if (result.replan) return 'replan';
      if (result.stop) throw this.stopped(result.stop);
      if (result.done) return 'done';
      if (result.waitMs > 0) await this.wait(result.waitMs, waitsFor(result, this.request.connection), result.freeMs);
    }
  }

  result(end: 'done' | 'skipped'): HubspotSyncResult {
    const { counts, started } = this.view;
    if (end === 'done') this.view.finish();
    const refused = counts.refusedHere + counts.refusedThere > 0;
    const outcome = end === 'skipped' ? 'skipped' : refused ? 'partial' : 'whole';
    const left = end === 'done' ? this.view.dirty : 0;
    const { parked } = this.view;
    return { connection: this.request.connection, outcome, left, parked, ...counts, durationMs: Date.now() - started };
  }

  /** @param untilMs when what is waited for is over, where it is looked at before */
  private async wait(ms: number, why: string, untilMs = ms): Promise<void> {
    this.view.note('wait', `${why}: until ${new Date(Date.now() + untilMs).toISOString()}`);
    this.waits = true;
    await condition(() => !this.waits, ms);
    this.waits = false;
    this.view.note('wait', null);
  }

  private stopped(stop: NonNullable<SliceResult['stop']>): ApplicationFailure {
    const { connection } = this.request;
    if (stop.kind === 'archives')
      return ApplicationFailure.nonRetryable(
        `${stop.going} of ${stop.of} known contacts would be ${stop.told ? 'told that their users left' : 'archived'} (${((100 * stop.going) / stop.of).toFixed(1)} %), more than the option archivePercent allows: those still there stay, and nothing more is sent. Was a table emptied, or does mapping.where fit nobody? Repair it and start again, or let them go: npx syncline start hubspotSync ${connection} --accept-archives`,
        'TooManyArchives',
      );
    if (stop.kind === 'isolation')
      return ApplicationFailure.nonRetryable(
        `HubSpot refuses whole batches${stop.told ? ` (${stop.told})` : ''} and does not say for which row; the ${stop.calls} calls for finding it are used up. What was sent is sent, and who was found is listed by npx syncline rejects ${connection}. Where that are few, it is trouble of the account: look at it and at status.hubspot.com. Then start again: each run has as many calls (option isolationCalls).`,
        'IsolationSpent',
      );
    return ApplicationFailure.nonRetryable(
      `${stop.bad} of ${stop.of} rows were refused (${((100 * stop.bad) / stop.of).toFixed(1)} %), more than the option rejectPercent allows: nothing more is sent, by the next runs neither. See why: npx syncline rejects ${connection}. Correct the mapping or the properties and start again; behind corrected values: npx syncline replay ${connection} --rejects; or let it go on: npx syncline start hubspotSync ${connection} --accept-rejects`,
      'TooManyRejects',
    );
  }

  private setPaused(paused: boolean): string {
    this.paused = paused;
    // Limits are raised during the day: who resumes has the account asked again. Recorded runs slept on.
    if (!paused && this.waits && patched('resume ends a wait')) this.waits = false;
    this.view.pause(paused);
    return paused ? 'paused' : 'running';
  }
}

function waitsFor({ waitFor, ...rest }: BeginWait | SliceResult, connection: string): string {
  if (waitFor === 'daily')
    return `the account's calls of today are used up (daily limit; if it was raised meanwhile: npx syncline resume ${connection})`;
  if (waitFor === 'landing' && 'held' in rest)
    return `${rest.held} rows wait for calls without an answer, until those can no longer land`;
  return rest.waitMs > 60_000 ? 'HubSpot asked to wait (Retry-After)' : 'HubSpot asked to wait (burst limit)';
}
