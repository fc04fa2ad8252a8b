import type { Execution } from '../../db/claims.ts';
import type { OrgSyncResult } from '../../workflows/org.result.ts';
import { describeWritten } from '../../workflows/org.shown.ts';
import type { OrgSyncProgress } from '../../workflows/org.view.ts';
import { drawBar } from '../../workflows/progress.ts';
import { ended, type Sight } from './follow.ts';
import { describeTrouble, type PendingActivity, withBeats } from './pending.ts';
import { describeRun, look, outcomeOf } from './runs.ts';
import type { Session } from './session.ts';
import { CommandError } from './trouble.ts';
import { columns, count, counted, duration } from './words.ts';

/** What a run that waits for a person ends `--wait` with. */
export const parkedCode = 3;
/** What one ends it with that may not be believed: the source sent people, and not one of them could be taken. */
const doubtfulCode = 4;

/** Sees a run of orgSync to its end, or until it waits for approval. Exit code 1 when it was declined, 3 when it waits, 4 when everybody was handed back. */
export async function watchOrg(session: Session, name: string, started: Execution): Promise<() => Promise<Sight>> {
  const client = await session.client();
  return async () => {
    const seen = await describeRun(client, started);
    if (!seen) throw new CommandError(`Temporal no longer knows the run ${started.workflowId}: somebody deleted it`);
    // Of a run that has ended as well: its last steps may have gone by between two looks.
    const { run, progress } = await look<OrgSyncProgress>(client, seen, withBeats);
    const sight: Sight = {
      picture: [...(progress ? describeProgress(progress) : []), ...run.pending.flatMap(describeTrouble)],
      events: eventsOf(progress, run.pending),
      end: null,
    };
    if (run.status !== 'RUNNING') {
      const outcome = await outcomeOf<OrgSyncResult>(client, run);
      if ('failure' in outcome) throw new CommandError(`The run ${ended(run.status)}: ${outcome.failure}`);
      const { result } = outcome;
      const exitCode = result.outcome === 'declined' ? 1 : everybodyBack(result) ? doubtfulCode : 0;
      return { ...sight, end: { lines: describeResult(result), exitCode } };
    }
    if (!progress?.parked) return sight;
    return { ...sight, end: { lines: describeParked(name, progress), exitCode: parkedCode } };
  };
}

/** Steps that ended and, of a run that asks or only planned, what it would write; state, notes, troubles. */
function eventsOf(progress: OrgSyncProgress | null, pending: readonly PendingActivity[]): string[] {
  const planned = progress?.state === 'parked' || progress?.state === 'done';
  return [
    ...(progress?.steps ?? [])
      .filter((bar) => bar.state === 'done' || bar.state === 'skipped' || (planned && bar.total !== null))
      .map((bar) => `${bar.name} ${drawBar(bar)}`),
    ...(progress && progress.state !== 'running' && progress.state !== 'done' ? [`run is ${progress.state}`] : []),
    ...(progress?.notes ?? []),
    ...pending.flatMap((p) => (p.failure === null ? [] : [`${p.name} is tried again: ${p.failure}`])),
  ];
}

/** The bars and notes of a run, as the Temporal UI shows them. */
export function describeProgress(progress: OrgSyncProgress): string[] {
  return [...columns(progress.steps.map((bar) => [bar.name, drawBar(bar)])), ...progress.notes];
}

/** What a parked run asks, and how to answer. */
export function describeParked(name: string, { parked, notes }: OrgSyncProgress): string[] {
  if (!parked) return [];
  return [
    ...notes.map((note) => `Note: ${note}`),
    ...parked.breaches.map(
      (b) =>
        `Waits for approval: ${count(b.planned)} ${b.guard} of ${count(b.of)}, allowed without asking ${count(b.allowed)}`,
    ),
    `Look: npx syncline changes ${name}. Answer: npx syncline approve ${name} or decline ${name} (plan ${parked.digest})`,
  ];
}

const everybodyBack = ({ users }: OrgSyncResult) =>
  users !== null && users.staged > 0 && users.rejected + users.conflicts >= users.staged;

/** The result of a run for people. */
export function describeResult(result: OrgSyncResult): string[] {
  const { outcome, users, groups, memberships } = result;
  if (outcome === 'skipped') return [`Skipped: ${result.notes.join('; ')}`];
  const verbs = {
    applied: 'Applied',
    planned: 'Planned, nothing was written',
    declined:
      Object.keys(result.applied).length === 0
        ? 'Declined, nothing was written'
        : `Declined; an attempt before this plan has written ${describeWritten(result.applied)}, which stays`,
  };
  const lines = [
    `${verbs[outcome]}: plan ${result.plan}, ${result.mode}, ${duration(result.durationMs)}, ${counted(result.requests, 'request')}`,
  ];
  if (groups) lines.push(`groups: ${pairs(groups)}`);
  if (users) lines.push(`users: ${pairs(users)}`);
  if (memberships) lines.push(`memberships: ${pairs(memberships)}`);
  for (const b of result.breaches)
    lines.push(`guard: ${count(b.planned)} ${b.guard} of ${count(b.of)}, allowed without asking ${count(b.allowed)}`);
  if (result.overLimit) {
    const { limit, living, planned, reserved, reservedBy } = result.overLimit;
    const held = reserved > 0 ? `, ${count(reserved)} are reserved by open runs of ${reservedBy.join(', ')}` : '';
    lines.push(
      `user limit: ${count(limit)} would be exceeded, ${count(living)} live and ${count(planned)} more are planned${held}`,
    );
  }
  lines.push(...result.notes.map((note) => `note: ${note}`));
  if (everybodyBack(result))
    lines.push(
      `Nobody was taken over: ${count(users?.staged ?? 0)} of ${count(users?.staged ?? 0)} people are handed back`,
    );
  const back = (users?.rejected ?? 0) + (groups?.rejected ?? 0) + (users?.conflicts ?? 0);
  if (back > 0) lines.push(`${counted(back, 'record')} handed back: npx syncline rejects ${result.connection}`);
  return lines;
}

function pairs(counts: object): string {
  return Object.entries(counts)
    .filter((entry): entry is [string, number] => typeof entry[1] === 'number')
    .map(([name, n]) => `${name} ${count(n)}`)
    .join(', ');
}
