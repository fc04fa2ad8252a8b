import { loadCampaign, type StoredCampaign } from '../../db/audience/campaigns.ts';
import type { StateCounts } from '../../db/audience/deliveries.ts';
import { readHolders } from '../../db/report.ts';
import { campaignId } from '../../workflows/audience.ts';
import type { CampaignProgress } from '../../workflows/audience.view.ts';
import { drawBar } from '../../workflows/progress.ts';
import { waitOf } from './pending.ts';
import { describeRun, outcomeOf, type Run } from './runs.ts';
import type { Session } from './session.ts';

/** The run of a campaign, whoever started it under whichever id: the open one, else the one that began last. */
export async function findRun(session: Session, name: string): Promise<Run | null> {
  const client = await session.client();
  const holders = await readHolders(await session.pool(), `campaign ${name}`);
  const holder = holders.find(({ pipeline }) => pipeline === 'campaign');
  const found = await Promise.all([
    describeRun(client, { workflowId: campaignId(name), runId: '' }),
    holder ? describeRun(client, holder) : null,
  ]);
  const runs = found.filter((run) => run !== null);
  // A start that fails before it takes the claim is the newest all the same: its failure is what a person looks for.
  runs.sort((a, b) => b.startedAt.getTime() - a.startedAt.getTime());
  return runs.find(({ status }) => status === 'RUNNING') ?? runs[0] ?? null;
}

export interface CampaignState {
  run: Run | null;
  /** running | completed | failed | cancelled | terminated | timed_out; where Temporal knows no run: never started | ended | cut off. */
  state: string;
  /** Why the run failed, as its own sentence; null when it did not. */
  failure: string | null;
}

/** What Temporal tells of a campaign's run, and where it knows none any more, what the database does: who was cut off did not write its end. */
export async function stateOf(session: Session, { id, frozenAt, endedAt }: StoredCampaign): Promise<CampaignState> {
  const run = await findRun(session, id);
  if (run === null) return { run, state: frozenAt ? (endedAt ? 'ended' : 'cut off') : 'never started', failure: null };
  const outcome = run.status === 'FAILED' ? await outcomeOf(await session.client(), run) : null;
  // A run writes its end before it completes; this one may have done both since it was looked for.
  const unended = run.status === 'COMPLETED' && frozenAt !== null && endedAt === null;
  const wentBack = unended && (await loadCampaign(await session.pool(), id)).endedAt === null;
  return {
    run,
    state: wentBack ? 'completed, before Postgres went back to a backup' : run.status.toLowerCase(),
    failure: outcome && 'failure' in outcome ? outcome.failure : null,
  };
}

/** Of these nobody knows yet what becomes of them; nobody who was left out stands so. */
const waiting = ['planned', 'claimed', 'sending'] as const;

/**
 * The progress as Postgres knows it: the run itself hears of its recipients at the end of each slice, up to half a minute late.
 * @param states all rows of the campaign by state
 */
export function upToDate(
  progress: CampaignProgress,
  states: StateCounts,
  { startedAt, pending }: Run,
): CampaignProgress {
  const { audience } = progress;
  if (audience === null) return progress;
  const leftOut = Object.values(audience.skipped).reduce((sum, n) => sum + n, 0);
  const own = { ...states, skipped: (states.skipped ?? 0) - leftOut };
  const pace = doneOf(own) / Math.max(1, (Date.now() - startedAt.getTime()) / 1_000);
  const left = audience.recipients - doneOf(own);
  const stands =
    progress.state === 'paused' || progress.notes.length > 0 || pending.some((one) => waitOf(one) !== null);
  const etaSeconds = !stands && left > 0 && pace > 0 ? Math.ceil(left / pace) : null;
  return { ...progress, states: own, perSecond: Math.round(pace), etaSeconds };
}

/** Everybody of a frozen audience has an outcome: another run would send to nobody. */
export const isOver = (states: StateCounts) => waiting.every((state) => !states[state]);

function doneOf(states: StateCounts): number {
  const all = Object.values(states).reduce((sum, n) => sum + n, 0);
  return all - waiting.reduce((sum, state) => sum + (states[state] ?? 0), 0);
}

/** How far a run is, as lines. */
export function picturesOf({ states, audience, perSecond, etaSeconds, state, notes }: CampaignProgress): string[] {
  const bar = drawBar({
    name: 'recipients',
    done: doneOf(states),
    total: audience?.recipients ?? null,
    state: state === 'done' ? 'done' : 'running',
  });
  return [`${state} ${bar}, ${perSecond}/s${etaSeconds === null ? '' : `, about ${etaSeconds} s to go`}`, ...notes];
}
