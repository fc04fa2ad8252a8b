import type { Client } from '@temporalio/client';
import type { Execution } from '../../db/claims.ts';
import { type Holder, readHolders } from '../../db/report.ts';
import { streamSyncId } from '../../workflows/platform.ts';
import { readsStreams, type SyncWorkflow, usualId, workflowsOf } from '../pipelines.ts';
import { latestScheduled } from '../schedules.ts';
import { findComparisons } from './find.verify.ts';
import { describeRun, type Run } from './runs.ts';
import type { Session } from './session.ts';

export interface Whereabouts {
  connection: string;
  workflow: SyncWorkflow;
  /** Of all claims of the connection. */
  holders: readonly Holder[];
  /** Run that the schedule started last. */
  scheduled: Execution | null;
}

/**
 * Runs of a connection that a person may mean, no children: open ones first, those of the workflow before replays, then
 * the latest. Looked for where runs can be: the usual id, the holders of the claims (started from the UI under any id),
 * and the schedule's last run.
 */
export async function findRuns(client: Client, where: Whereabouts): Promise<Run[]> {
  const asked = new Map<string, Promise<Run | null>>();
  const describe = (one: Execution) => {
    const key = `${one.workflowId} ${one.runId}`;
    const run = asked.get(key) ?? describeRun(client, one);
    asked.set(key, run);
    return run;
  };
  const found = await Promise.all([
    describe({ workflowId: usualId[where.workflow](where.connection), runId: '' }),
    ...(where.scheduled ? [describe(where.scheduled)] : []),
    ...where.holders
      .filter(({ pipeline }) => isClaimOf(pipeline, where.workflow))
      .map((holder) => starterOf(holder, describe)),
  ]);
  const runs = new Map(found.flatMap((run) => (run ? [[`${run.workflowId} ${run.firstRunId}`, run]] : [])));
  const rank = ({ status, type }: Run) => (status === 'RUNNING' ? (type === where.workflow ? 0 : 1) : 2);
  return [...runs.values()].sort((a, b) => rank(a) - rank(b) || b.startedAt.getTime() - a.startedAt.getTime());
}

/** Claims of whole connections, by name. */
const claims: Record<string, SyncWorkflow> = { org: 'orgSync', stripe: 'stripeSync', hubspot: 'hubspotSync' };

/** Whether runs of a workflow take a claim of that name; those that read lists take one a stream. */
function isClaimOf(pipeline: string, workflow: SyncWorkflow): boolean {
  return streamOf(pipeline) === null ? claims[pipeline] === workflow : readsStreams(workflow);
}

/** Stream whose claim it is; null for a claim of another pipeline. */
export function streamOf(pipeline: string): string | null {
  return /^platform\/(.+)$/.exec(pipeline)?.[1] ?? null;
}

/** The run that a person started: the holder, or the run whose child it is. */
async function starterOf(holder: Holder, describe: (one: Execution) => Promise<Run | null>): Promise<Run | null> {
  const stream = streamOf(holder.pipeline);
  const suffix = stream === null ? null : streamSyncId('', stream);
  if (suffix !== null && holder.workflowId.endsWith(suffix)) {
    // A child never outlives its parent: which of the parent's runs is asked for makes no difference.
    const parent = await describe({ workflowId: holder.workflowId.slice(0, -suffix.length), runId: '' });
    if (parent && readsStreams(parent.type)) return parent;
  }
  return describe(holder);
}

/** Open runs of a connection, whoever started them; of one workflow, or of all that read its platform, comparisons included. */
export async function findOpen(
  session: Session,
  { id, platform }: { id: string; platform: string },
  workflow?: SyncWorkflow,
): Promise<Run[]> {
  const client = await session.client();
  const holders = await readHolders(await session.pool(), id);
  const found: Run[] = [];
  for (const one of workflow ? [workflow] : workflowsOf(platform)) {
    const scheduled = await latestScheduled(client, one, id);
    const runs = await findRuns(client, { connection: id, workflow: one, holders, scheduled });
    found.push(...runs.filter(({ status }) => status === 'RUNNING'));
    if (workflow === undefined && one === 'stripeSync') found.push(...(await findComparisons(client, id)));
  }
  return found;
}
