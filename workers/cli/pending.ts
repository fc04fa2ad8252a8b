import { type Client, defaultPayloadConverter } from '@temporalio/client';
import type { OrgSyncProgress } from '../../workflows/org.view.ts';
import type { Bar } from '../../workflows/progress.ts';
import { shownFailure } from '../../workflows/tries.ts';
import { duration } from './words.ts';

/** An activity in hand or between two tries. */
export interface PendingActivity {
  name: string;
  attempt: number;
  /** Why the last try failed: our own sentence with its type, of a foreign failure the type alone. */
  failure: string | null;
  /** Class of that failure, such as Unavailable; Timeout for a try that did not end. */
  failureType: string | null;
  /** When the last try began; null before the first. */
  startedAt: Date | null;
  /** When the next try is due; null while one runs. */
  nextAt: Date | null;
  /** Counters of its last heartbeat, such as rows. */
  counters: Record<string, number>;
}

type RawPending = NonNullable<
  Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['describe']>>['raw']['pendingActivities']
>[number];

export function pendingActivity(raw: RawPending): PendingActivity {
  const waits = raw.state === 1;
  return {
    name: raw.activityType?.name ?? 'activity',
    attempt: raw.attempt ?? 1,
    failure: raw.lastFailure ? failureOf(raw.lastFailure) : null,
    failureType: raw.lastFailure ? classOf(raw.lastFailure) : null,
    startedAt: raw.lastStartedTime ? time(raw.lastStartedTime) : null,
    nextAt: waits && raw.scheduledTime ? time(raw.scheduledTime) : null,
    counters: countersOf(raw.heartbeatDetails?.payloads?.[0]),
  };
}

/** By Temporal's number of the timeout. */
const timeouts: Record<number, string> = {
  1: 'it did not end in time (start-to-close timeout)',
  4: 'its worker fell silent or was lost (heartbeat timeout)',
};

function failureOf({
  message,
  applicationFailureInfo,
  timeoutFailureInfo,
}: NonNullable<RawPending['lastFailure']>): string {
  if (timeoutFailureInfo)
    return timeouts[timeoutFailureInfo.timeoutType ?? 0] ?? 'no worker took it in time (schedule timeout)';
  return shownFailure(applicationFailureInfo?.type ?? '', message ?? '');
}

const classOf = ({ applicationFailureInfo, timeoutFailureInfo }: NonNullable<RawPending['lastFailure']>): string =>
  timeoutFailureInfo ? 'Timeout' : (applicationFailureInfo?.type ?? 'unknown');

function countersOf(payload: Parameters<typeof defaultPayloadConverter.fromPayload>[0] | undefined) {
  const details: unknown = payload ? defaultPayloadConverter.fromPayload(payload) : null;
  return Object.fromEntries(
    Object.entries(details ?? {}).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}

/** A moment as the protocol writes it. */
export function time({ seconds, nanos }: { seconds?: unknown; nanos?: number | null }): Date {
  return new Date(Number(seconds ?? 0) * 1000 + (nanos ?? 0) / 1e6);
}

/** Why an activity is tried again; nothing for one whose first try works. */
export function describeTrouble({ name, attempt, failure, nextAt }: PendingActivity): string[] {
  if (failure === null) return [];
  if (nextAt === null) return [`${name}, try ${attempt} is at work; the one before: ${failure}`];
  return [`${name}, try ${attempt}: ${failure}; next try in ${duration(nextAt.getTime() - Date.now())}`];
}

/** Such a line in a table of facts: a try that is at work waits for nothing. */
export const waitFact = (line: string): [string, string] => [
  line.includes(' is at work; the one before: ') ? 'note' : 'waits for',
  line,
];

/** What an activity waits for; null for one that works, also where a try before failed. */
export function waitOf({ name, failure, nextAt }: PendingActivity): string | null {
  return failure === null || nextAt === null ? null : `${name} is tried again: ${failure}`;
}

/** Like describeTrouble, without what changes from look to look: lines that are told once. */
export function toldTrouble({ name, failure }: PendingActivity): string[] {
  return failure === null ? [] : [`${name} is tried again: ${failure}`];
}

/**
 * The progress with what the slices in hand have told since: `rows` of a list count from its start, up to the source's
 * `total` where it names one; `applied` of a writing slice counts from that slice's start. `pending` must be as old as the progress or newer, else a slice counts twice.
 */
export function withBeats(progress: OrgSyncProgress, pending: readonly PendingActivity[]): OrgSyncProgress {
  const moved = (bar: Bar): Bar => {
    const beats = pending.filter(({ name }) => name === bar.name).map(({ counters }) => counters);
    if (bar.state !== 'running' || beats.length === 0) return bar;
    const read = Math.max(bar.done, ...beats.map(({ rows = 0 }) => rows));
    const done = read + beats.reduce((sum, { applied = 0 }) => sum + applied, 0);
    const total = bar.total ?? beats.find((counters) => counters.total !== undefined)?.total ?? null;
    return { ...bar, total, done: total === null ? done : Math.min(done, Math.max(bar.done, total)) };
  };
  return { ...progress, steps: progress.steps.map(moved) };
}
