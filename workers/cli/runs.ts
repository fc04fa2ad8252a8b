import {
  type Client,
  QueryNotRegisteredError,
  ServiceError,
  WorkflowFailedError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import type { Execution } from '../../db/claims.ts';
import { progress } from '../../workflows/org.gate.ts';
import { orgSyncId } from '../../workflows/org.ts';
import type { OrgSyncProgress, OrgSyncResult } from '../../workflows/org.view.ts';

/** An execution as Temporal tells it; works without a worker. */
export interface Run extends Execution {
  /** RUNNING, COMPLETED, FAILED, CANCELLED, TERMINATED or TIMED_OUT. */
  status: string;
  startedAt: Date;
  endedAt: Date | null;
  pending: PendingActivity[];
}

/** An activity in hand or between two tries. */
export interface PendingActivity {
  name: string;
  attempt: number;
  /** Why the last try failed, in our own words (activities/errors.ts). */
  failure: string | null;
  /** When the next try is due; null while one runs. */
  nextAt: Date | null;
  /** Counters of its last heartbeat, such as rows. */
  counters: Record<string, number>;
}

/** Longest wait for an answer that needs a worker. */
const answerMs = 3_000;
/** A worker asks for tasks at least once a minute; the server still lists it minutes after its end. */
const pollMs = 75_000;

/**
 * The run of a connection that a person means: the open one, else the one that began last. Looked for where runs can be:
 * the usual id, the holder of the claim (started from the UI under any id), and the schedule's last runs.
 */
export async function findRun(
  client: Client,
  connection: string,
  others: readonly (Execution | null)[],
): Promise<Run | null> {
  const wanted = new Map<string, Promise<Run | null>>();
  wanted.set(orgSyncId(connection), describeRun(client, { workflowId: orgSyncId(connection), runId: '' }));
  for (const other of others)
    if (other && other.workflowId !== orgSyncId(connection))
      wanted.set(`${other.workflowId} ${other.runId}`, describeRun(client, other));
  const found = (await Promise.all(wanted.values())).filter((run) => run !== null);
  const later = (a: Run, b: Run) => b.startedAt.getTime() - a.startedAt.getTime();
  return (
    found.sort((a, b) => Number(b.status === 'RUNNING') - Number(a.status === 'RUNNING') || later(a, b))[0] ?? null
  );
}

/** One execution, the latest of its id without a run id; null when Temporal does not know it (any more). */
export async function describeRun(client: Client, { workflowId, runId }: Execution): Promise<Run | null> {
  try {
    const info = await client.workflow.getHandle(workflowId, runId || undefined).describe();
    return {
      workflowId,
      runId: info.runId,
      status: info.status.name,
      startedAt: info.startTime,
      endedAt: info.closeTime ?? null,
      pending: (info.raw.pendingActivities ?? []).map(pendingActivity),
    };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

type RawPending = NonNullable<
  Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['describe']>>['raw']['pendingActivities']
>[number];

function pendingActivity(raw: RawPending): PendingActivity {
  const waits = raw.state === 1;
  return {
    name: raw.activityType?.name ?? 'activity',
    attempt: raw.attempt ?? 1,
    failure: raw.lastFailure?.message ?? null,
    nextAt: waits && raw.scheduledTime ? time(raw.scheduledTime) : null,
    counters: countersOf(raw.heartbeatDetails?.payloads?.[0]?.data),
  };
}

function countersOf(data: Uint8Array | null | undefined): Record<string, number> {
  if (!data) return {};
  const value: unknown = JSON.parse(Buffer.from(data).toString('utf8'));
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}

function time({ seconds, nanos }: { seconds?: unknown; nanos?: number | null }): Date {
  return new Date(Number(seconds ?? 0) * 1000 + (nanos ?? 0) / 1e6);
}

/** The progress of a run, or null when no worker gives it in time. A closed run answers as well, replayed. */
export async function askProgress(client: Client, run: Execution): Promise<OrgSyncProgress | null> {
  const handle = client.workflow.getHandle(run.workflowId, run.runId);
  try {
    return await client.withDeadline(Date.now() + answerMs, () => handle.query(progress));
  } catch (error) {
    // No worker, a busy one, or a run that has not had its first task: nothing to show, and nothing wrong with asking.
    const noAnswer = [ServiceError, QueryNotRegisteredError, WorkflowNotFoundError];
    if (noAnswer.some((kind) => error instanceof kind)) return null;
    throw error;
  }
}

/** What a closed run returned or failed with. */
export async function outcomeOf(client: Client, run: Run): Promise<{ result: OrgSyncResult } | { failure: string }> {
  const handle = client.workflow.getHandle(run.workflowId, run.runId, { followRuns: false });
  try {
    return { result: (await client.withDeadline(Date.now() + 10_000, () => handle.result())) as OrgSyncResult };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    return { failure: error.cause?.message || error.message };
  }
}

/** Whether a worker asked for tasks of the queue lately. A worker that was killed counts for a minute more. */
export async function isPolled(client: Client, taskQueue: string): Promise<boolean> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: 1,
  });
  const now = Date.now();
  return (pollers ?? []).some((p) => p.lastAccessTime && now - time(p.lastAccessTime).getTime() < pollMs);
}

export function nobodyPolls(taskQueue: string): string {
  return `Nobody polls the task queue "${taskQueue}": runs wait until a worker is there. Start one with: npm start`;
}
