import type { Execution } from '../../db/claims.ts';
import type { HubspotSyncResult } from '../../workflows/hubspot.ts';
import { type HubspotProgress, withDone } from '../../workflows/hubspot.view.ts';
import { drawBar } from '../../workflows/progress.ts';
import { ended, type Sight } from './follow.ts';
import { describeTrouble, type PendingActivity } from './pending.ts';
import { describeRun, look, outcomeOf } from './runs.ts';
import type { Session } from './session.ts';
import { CommandError } from './trouble.ts';
import { count, counted, duration } from './words.ts';

/** Sees a run of hubspotSync to its end. Exit code 1 when rows were set aside. */
export async function watchHubspot(session: Session, name: string, started: Execution): Promise<() => Promise<Sight>> {
  const client = await session.client();
  return async () => {
    const seen = await describeRun(client, started);
    if (!seen) throw new CommandError(`Temporal no longer knows the run ${started.workflowId}: somebody deleted it`);
    const { run, progress } = await look<HubspotProgress>(client, seen, withBeats);
    const notes = [...(progress?.notes ?? []), ...run.pending.flatMap(describeTrouble)];
    const sight = {
      picture: [...(progress ? [describeProgress(progress)] : []), ...notes],
      events: eventsOf(progress),
    };
    if (run.status === 'RUNNING') return { ...sight, end: null };
    const outcome = await outcomeOf<HubspotSyncResult>(client, run);
    if ('failure' in outcome) throw new CommandError(`The run ${ended(run.status)}: ${outcome.failure}`);
    const { result } = outcome;
    return { ...sight, end: { lines: describeResult(name, result), exitCode: result.outcome === 'partial' ? 1 : 0 } };
  };
}

/** With what a slice in hand has told since. */
export const withBeats = (progress: HubspotProgress, pending: readonly PendingActivity[]): HubspotProgress =>
  pending.reduce((seen, { counters }) => withDone(seen, counters), progress);

/** What changes from look to look is no event. */
const eventsOf = (progress: HubspotProgress | null) =>
  (progress?.notes ?? []).map((note) => note.replace(/(burst limit\)|can no longer land): until \S+$/, '$1'));

export function describeProgress(one: HubspotProgress): string {
  const done = one.written + one.archived;
  const bar = drawBar({
    name: '',
    done,
    total: one.dirty === null ? null : done + one.refusedHere + one.refusedThere + one.dirty,
    state: 'running',
  });
  const eta = one.etaSeconds === null || !one.dirty ? '' : `, about ${duration(one.etaSeconds * 1_000)} to go`;
  return `contacts ${bar}, ${counted(one.calls, 'call')}${eta}`;
}

export function describeResult(name: string, result: HubspotSyncResult): string[] {
  const { outcome, left, parked, written, archived, unchanged, passed, refusedHere, refusedThere } = result;
  const { calls, durationMs } = result;
  if (outcome === 'skipped') return ['Skipped: another run is at work'];
  const refused = refusedHere + refusedThere;
  const before = parked - refused;
  const parts = [
    `${count(written)} written`,
    ...(archived > 0 ? [`${count(archived)} archived`] : []),
    ...(passed > 0 ? [`${count(passed)} passed over (the mode leaves them)`] : []),
    `${count(refused)} set aside`,
    // Who is marked twice, with everybody and by a change, is looked at twice: these are no users.
    ...(unchanged > 0 ? [`${counted(unchanged, 'look')} found nothing to send`] : []),
  ];
  return [
    `${outcome === 'whole' ? 'Whole' : 'Partial'}: ${parts.join(', ')}; ${counted(calls, 'call')}, ${duration(durationMs)}`,
    ...(left > 0 ? [`${counted(left, 'user')} changed while the last were sent: the next run sends them`] : []),
    ...(before > 0 ? [`${counted(before, 'user')} set aside by runs before, until something of them changes`] : []),
    ...(refused > 0 || before > 0 ? [`Why: npx syncline rejects ${name}`] : []),
  ];
}
