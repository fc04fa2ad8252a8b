import { setTimeout as delay } from 'node:timers/promises';
import type { Execution } from '../../db/claims.ts';
import type { OrgSyncProgress, OrgSyncResult } from '../../workflows/org.view.ts';
import { drawBar } from '../../workflows/progress.ts';
import { askProgress, describeRun, outcomeOf, type PendingActivity } from './runs.ts';
import type { Session } from './session.ts';
import { CommandError } from './trouble.ts';
import { columns, count, counted, duration } from './words.ts';

const lookMs = 500;
/** What a run that waits for a person ends `--wait` with. */
export const parkedCode = 3;

/**
 * Follows a run until it ends or waits for approval: bars that are redrawn where somebody watches, else a line a change.
 * @returns exit code: 0 applied, planned or skipped; 1 declined; 3 waits for approval. A failed run throws its failure.
 */
export async function follow(session: Session, name: string, started: Execution): Promise<number> {
  const { terminal } = session;
  const client = await session.client();
  const seen = new Set<string>();
  for (;;) {
    const run = await describeRun(client, started);
    if (!run) throw new CommandError(`Temporal no longer knows the run ${started.workflowId}: somebody deleted it`);
    const open = run.status === 'RUNNING';
    // Of a run that has ended as well: its last steps may have gone by between two looks.
    const progress = await askProgress(client, run);
    const lines = [...(progress ? describeProgress(progress) : []), ...run.pending.flatMap(describeTrouble)];
    if (terminal.interactive) terminal.redraw(lines);
    else for (const line of changed(progress, run.pending, seen)) terminal.print(line);
    if (!open) {
      const outcome = await outcomeOf(client, run);
      if ('failure' in outcome) throw new CommandError(`The run ${ended(run.status)}: ${outcome.failure}`);
      for (const line of describeResult(outcome.result)) terminal.print(line);
      return outcome.result.outcome === 'declined' ? 1 : 0;
    }
    if (progress?.parked) {
      for (const line of describeParked(name, progress)) terminal.print(line);
      return parkedCode;
    }
    await delay(lookMs);
  }
}

/** `failed`, `was cancelled` … for a closed run. */
export function ended(status: string): string {
  const words: Record<string, string> = {
    FAILED: 'failed',
    CANCELLED: 'was cancelled',
    TERMINATED: 'was terminated',
    TIMED_OUT: 'timed out',
  };
  return words[status] ?? status.toLowerCase();
}

/** The bars and notes of a run, as the Temporal UI shows them. */
export function describeProgress(progress: OrgSyncProgress): string[] {
  return [...columns(progress.steps.map((bar) => [bar.name, drawBar(bar)])), ...progress.notes];
}

/** What a parked run asks, and how to answer. */
export function describeParked(name: string, { parked }: OrgSyncProgress): string[] {
  if (!parked) return [];
  return [
    ...parked.breaches.map(
      (b) =>
        `Waits for approval: ${count(b.planned)} ${b.guard} of ${count(b.of)}, allowed without asking ${count(b.allowed)}`,
    ),
    `Look: npx syncline changes ${name}. Answer: npx syncline approve ${name} or decline ${name} (plan ${parked.digest})`,
  ];
}

/** Why an activity is tried again; nothing for one that works. */
export function describeTrouble({ name, attempt, failure, nextAt }: PendingActivity): string[] {
  if (failure === null) return [];
  const next = nextAt ? `next try in ${duration(nextAt.getTime() - Date.now())}` : 'tries again now';
  return [`${name}, try ${attempt}: ${failure}; ${next}`];
}

/** The result of a run for people. */
export function describeResult(result: OrgSyncResult): string[] {
  const { outcome, users, groups, memberships } = result;
  if (outcome === 'skipped') return [`Skipped: ${result.notes.join('; ')}`];
  const verbs = {
    applied: 'Applied',
    planned: 'Planned, nothing was written',
    declined: 'Declined, nothing was written',
  };
  const lines = [
    `${verbs[outcome]}: plan ${result.plan}, ${result.mode}, ${duration(result.durationMs)}, ${counted(result.requests, 'request')}`,
  ];
  if (groups) lines.push(`groups: ${pairs(groups)}`);
  if (users) lines.push(`users: ${pairs(users)}`);
  if (memberships) lines.push(`memberships: ${pairs(memberships)}`);
  for (const b of result.breaches)
    lines.push(`guard: ${count(b.planned)} ${b.guard} of ${count(b.of)}, allowed without asking ${count(b.allowed)}`);
  if (result.overLimit)
    lines.push(
      `user limit: ${count(result.overLimit.limit)} would be exceeded, ${count(result.overLimit.living)} live and ${count(result.overLimit.planned)} more are planned`,
    );
  lines.push(...result.notes.map((note) => `note: ${note}`));
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

/** Lines that were not printed before: steps that ended, state, notes, troubles (once a text). */
function changed(progress: OrgSyncProgress | null, pending: PendingActivity[], seen: Set<string>): string[] {
  const lines = [
    ...(progress?.steps ?? [])
      .filter((bar) => bar.state === 'done' || bar.state === 'skipped')
      .map((bar) => `${bar.name} ${drawBar(bar)}`),
    ...(progress && progress.state !== 'running' && progress.state !== 'done' ? [`run is ${progress.state}`] : []),
    ...(progress?.notes ?? []),
    ...pending.flatMap((p) => (p.failure === null ? [] : [`${p.name} is tried again: ${p.failure}`])),
  ];
  return lines.filter((line) => !seen.has(line) && seen.add(line));
}
