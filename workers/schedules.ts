import {
  type Client,
  type ScheduleDescription,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
} from '@temporalio/client';
import type { Execution } from '../db/claims.ts';
import { type SyncWorkflow, syncWorkflows, usualId } from './pipelines.ts';

/** Id of the schedule that we make for a connection, one each for every workflow that reads it. Others may stand beside it. */
export const scheduleId = (workflow: SyncWorkflow, connection: string) => `${workflow}-${connection}`;

/** When a connection runs: cron with a time zone, or an interval; exactly one of both. */
export interface ScheduleRequest {
  workflow: SyncWorkflow;
  connection: string;
  taskQueue: string;
  /** Five to seven fields or `@daily` and the like. Day of month and weekday must both fit, unlike Unix cron. */
  cron?: string;
  /** Of `cron`, e.g. Europe/Berlin. Default UTC. Hours that a change of the clock skips or doubles are, too. */
  timeZone?: string;
  /** Milliseconds from one start to the next; at least a second. */
  everyMs?: number;
  /** Of its runs. Default: what each needs. */
  mode?: 'full' | 'incremental';
}

/** A schedule as people look at it. */
export interface ScheduleView {
  /** As `scheduleId` gives it, unless somebody made it with Temporal's own tools. */
  id: string;
  workflow: SyncWorkflow;
  connection: string;
  /** `every 15 min`-like texts are left to the reader: milliseconds, or the calendar the server made of the cron text. */
  everyMs: number | null;
  cron: string | null;
  timeZone: string;
  paused: boolean;
  note: string | null;
  next: Date | null;
  last: (Execution & { at: Date }) | null;
  missed: number;
  skipped: number;
}

const leastCatchupMs = 60_000;

/**
 * Makes the schedule of a connection, or replaces its times and input and leaves it paused if it is. A run that is still
 * at work when the next is due is not doubled (SKIP); after an outage one missed start is made good, not a queue of them:
 * the catch-up window is the shortest interval between two starts, a minute at least.
 * @returns whether it was made, and its next starts
 * @throws TypeError with the server's words for a cron text or zone it does not take
 */
export async function setSchedule(client: Client, request: ScheduleRequest): Promise<{ made: boolean; next: Date[] }> {
  const { workflow, connection, taskQueue, cron, everyMs, mode } = request;
  const id = scheduleId(workflow, connection);
  const spec = {
    // Empty, not absent: an update keeps the calendars that the server made of the last cron text.
    calendars: [],
    // The server forgets the text of a cron line but keeps its comment, so that lists can show what was typed.
    cronExpressions: cron === undefined ? [] : [cron.includes('#') ? cron : `${cron} #${cron}`],
    intervals: everyMs === undefined ? [] : [{ every: everyMs }],
    timezone: request.timeZone ?? 'UTC',
  };
  const action = {
    type: 'startWorkflow' as const,
    workflowType: workflow,
    workflowId: usualId[workflow](connection),
    taskQueue,
    args: [{ connection, ...(mode && { mode }) }],
  };
  const policies = { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: everyMs ?? leastCatchupMs };
  const handle = client.schedule.getHandle(id);
  const known = await describe(client, id);
  if (known) await handle.update((previous) => ({ ...previous, spec, action, policies }));
  else await client.schedule.create({ scheduleId: id, spec, action, policies });
  const { info } = await handle.describe();
  const catchupWindow = Math.max(leastCatchupMs, everyMs ?? shortestGap(info.nextActionTimes));
  await handle.update((previous) => ({ ...previous, policies: { ...policies, catchupWindow } }));
  return { made: !known, next: info.nextActionTimes };
}

function shortestGap(times: readonly Date[]): number {
  const gaps = times.slice(1).map((time, i) => time.getTime() - (times[i]?.getTime() ?? 0));
  return gaps.length > 0 ? Math.min(...gaps) : leastCatchupMs;
}

/** Pauses, unpauses, triggers or deletes; false when the connection has no schedule. */
export async function changeSchedule(
  client: Client,
  workflow: SyncWorkflow,
  connection: string,
  verb: 'pause' | 'unpause' | 'trigger' | 'delete',
): Promise<boolean> {
  const handle = client.schedule.getHandle(scheduleId(workflow, connection));
  try {
    // The note of the SDK ends in a stray quote.
    await (verb === 'pause' ? handle.pause('npx syncline schedule pause') : handle[verb]());
    return true;
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return false;
    throw error;
  }
}

/** The schedule of a connection, or null. */
export async function findSchedule(
  client: Client,
  workflow: SyncWorkflow,
  connection: string,
): Promise<ScheduleView | null> {
  const found = await describe(client, scheduleId(workflow, connection));
  return found && view(workflow, connection, found);
}

/**
 * Schedules of syncs that somebody made under ids of their own, with Temporal's CLI, UI or client; one made a moment ago
 * may still be missing. `ours` are the ids of `scheduleId`, which are passed over.
 */
export async function otherSchedules(client: Client, ours: ReadonlySet<string>): Promise<ScheduleView[]> {
  const found: ScheduleView[] = [];
  for await (const { scheduleId: id, action } of client.schedule.list()) {
    const workflow = syncWorkflows.find((one) => one === action?.workflowType);
    if (workflow === undefined || ours.has(id)) continue;
    const description = await describe(client, id);
    const [input] = (description?.action.args ?? []) as ({ connection?: unknown } | undefined)[];
    if (description && typeof input?.connection === 'string') found.push(view(workflow, input.connection, description));
  }
  return found;
}

/** Run that the schedule of a connection started last; null without one. */
export async function latestScheduled(
  client: Client,
  workflow: SyncWorkflow,
  connection: string,
): Promise<Execution | null> {
  return (await findSchedule(client, workflow, connection))?.last ?? null;
}

async function describe(client: Client, id: string): Promise<ScheduleDescription | null> {
  try {
    return await client.schedule.getHandle(id).describe();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return null;
    throw error;
  }
}

function view(workflow: SyncWorkflow, connection: string, description: ScheduleDescription): ScheduleView {
  const { spec, state, info } = description;
  const last = info.recentActions.at(-1);
  const [interval] = spec.intervals ?? [];
  const [calendar] = spec.calendars ?? [];
  return {
    id: description.scheduleId,
    workflow,
    connection,
    everyMs: interval?.every ?? null,
    cron: calendar?.comment || null,
    timeZone: spec.timezone || 'UTC',
    paused: state.paused,
    note: state.note ?? null,
    next: state.paused ? null : (info.nextActionTimes[0] ?? null),
    last: last
      ? {
          workflowId: last.action.workflow.workflowId,
          runId: last.action.workflow.firstExecutionRunId,
          at: last.takenAt,
        }
      : null,
    missed: info.numActionsMissedCatchupWindow,
    skipped: info.numActionsSkippedOverlap,
  };
}
