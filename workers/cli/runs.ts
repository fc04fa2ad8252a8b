import {
  ActivityFailure,
  ChildWorkflowFailure,
  type Client,
  QueryNotRegisteredError,
  ServiceError,
  WorkflowContinuedAsNewError,
  WorkflowFailedError,
  type WorkflowHandle,
  WorkflowNotFoundError,
} from '@temporalio/client';
import type { Execution } from '../../db/claims.ts';
import { type PendingActivity, pendingActivity, time } from './pending.ts';

export type { PendingActivity } from './pending.ts';

/**
 * A run as Temporal tells it; works without a worker. A run whose history got long is several executions in a row: what
 * stands here is of the latest, but for the beginning.
 */
export interface Run extends Execution {
  /** Workflow type, e.g. orgSync. */
  type: string;
  /** Run id of its first execution; with the workflow id it names the run for all its life. */
  firstRunId: string;
  /** Run that started it as its child; null for one that a person, a client or a schedule started. */
  parent: Execution | null;
  /** RUNNING, COMPLETED, FAILED, CANCELLED, TERMINATED or TIMED_OUT. */
  status: string;
  startedAt: Date;
  endedAt: Date | null;
  pending: PendingActivity[];
}

/** Longest wait for an answer that needs a worker. */
const answerMs = 3_000;
/** A worker asks for tasks at least once a minute; the server still lists it minutes after its end. */
const pollMs = 75_000;

/** A run by its id and the run id of any of its executions, or the latest of the id without; null when Temporal does not know it (any more). */
export async function describeRun(client: Client, { workflowId, runId }: Execution): Promise<Run | null> {
  const latest = await describeExecution(client, workflowId);
  const found =
    latest === null || runId === '' || runId === latest.firstRunId || runId === latest.runId
      ? latest
      : await describeLast(client, workflowId, runId);
  if (found === null || found.runId === found.firstRunId) return found;
  const first = await describeExecution(client, workflowId, found.firstRunId);
  return { ...found, startedAt: first?.startedAt ?? found.startedAt };
}

/** The last execution of a run whose id was used again since. */
async function describeLast(client: Client, workflowId: string, runId: string): Promise<Run | null> {
  const run = await describeExecution(client, workflowId, runId);
  if (run?.status !== 'CONTINUED_AS_NEW') return run;
  try {
    await client.workflow.getHandle(workflowId, runId, { followRuns: false }).result();
  } catch (error) {
    if (error instanceof WorkflowContinuedAsNewError) return describeLast(client, workflowId, error.newExecutionRunId);
    throw error;
  }
  return run;
}

async function describeExecution(client: Client, workflowId: string, runId?: string): Promise<Run | null> {
  try {
    const info = await client.workflow.getHandle(workflowId, runId).describe();
    return {
      type: info.type,
      workflowId,
      runId: info.runId,
      firstRunId: info.raw.workflowExecutionInfo?.firstRunId || info.runId,
      parent: parentOf(info.parentExecution),
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

function parentOf(raw: { workflowId?: string | null; runId?: string | null } | undefined): Execution | null {
  return raw?.workflowId && raw.runId ? { workflowId: raw.workflowId, runId: raw.runId } : null;
}

/** For updates and cancellation: whatever execution of the run is at work when they arrive. */
export function handleOf(client: Client, { workflowId, firstRunId }: Run): WorkflowHandle {
  return client.workflow.getHandle(workflowId, undefined, { firstExecutionRunId: firstRunId });
}

/** What a run's query `progress` answers, or null when no worker gives it in time. A closed run answers as well, replayed. */
export async function askProgress<P>(client: Client, run: Execution): Promise<P | null> {
  const handle = client.workflow.getHandle(run.workflowId, run.runId);
  try {
    return await client.withDeadline(Date.now() + answerMs, () => handle.query<P>('progress'));
  } catch (error) {
    // No worker, a busy one, or a run that has not had its first task: nothing to show, and nothing wrong with asking.
    const noAnswer = [ServiceError, QueryNotRegisteredError, WorkflowNotFoundError];
    if (noAnswer.some((kind) => error instanceof kind)) return null;
    throw error;
  }
}

/**
 * The progress of a run with the counters of the slices in hand, and the run as it is behind that progress. The progress
 * is asked first: a slice that ends in between is missing for a moment and never counted twice.
 * @param withBeats adds what the pending activities have told since
 */
export async function look<P>(
  client: Client,
  seen: Run,
  withBeats: (progress: P, pending: readonly PendingActivity[]) => P,
): Promise<{ run: Run; progress: P | null }> {
  const told = await askProgress<P>(client, seen);
  if (told === null || seen.status !== 'RUNNING') return { run: seen, progress: told };
  const run = (await describeRun(client, { workflowId: seen.workflowId, runId: seen.firstRunId })) ?? seen;
  if (run.status === 'RUNNING') return { run, progress: withBeats(told, run.pending) };
  return { run, progress: (await askProgress<P>(client, run)) ?? told };
}

/** What a closed run returned or failed with. */
export async function outcomeOf<R>(client: Client, run: Run): Promise<{ result: R } | { failure: string }> {
  const handle = client.workflow.getHandle(run.workflowId, run.runId, { followRuns: false });
  try {
    return { result: (await client.withDeadline(Date.now() + 10_000, () => handle.result())) as R };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    return { failure: sentenceOf(error) };
  }
}

/** The first cause that says something: around it stand "Workflow execution failed" and "Activity task failed". */
function sentenceOf(error: Error): string {
  let said = error;
  while (
    (said instanceof WorkflowFailedError || said instanceof ActivityFailure || said instanceof ChildWorkflowFailure) &&
    said.cause instanceof Error
  )
    said = said.cause;
  return said.message || error.message;
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
