import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Execution } from '../../db/claims.ts';
import { readHolder } from '../../db/org/report.ts';
import { orgSyncInput, readInput } from '../../workflows/org.input.ts';
import { orgSyncId } from '../../workflows/org.ts';
import { applySteps } from '../../workflows/org.view.ts';
import { latestScheduled } from '../schedules.ts';
import { follow } from './follow.ts';
import { describeRun, findRun, isPolled, nobodyPolls, type Run } from './runs.ts';
import type { Session } from './session.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { ago } from './words.ts';

interface StartOptions {
  mode?: string;
  dryRun?: boolean;
  onlyUser?: string;
  skip?: string[];
  wait?: boolean;
  id?: string;
}

/** Workflows that can be started, by the name the Temporal UI takes too. A new one is an entry here. */
const workflows: Record<string, (connection: string, options: StartOptions) => { id: string; input: object }> = {
  orgSync: (connection, { mode, dryRun, onlyUser, skip }) => {
    const unknown = skip?.find((step) => !applySteps.some((known) => known === step));
    if (unknown !== undefined)
      throw wrongUse(`--skip: got "${unknown.slice(0, 40)}", accepted ${applySteps.join(', ')}`);
    const steps = Object.fromEntries((skip ?? []).map((step) => [step, false]));
    const input = {
      connection,
      ...(mode !== undefined && { mode }),
      ...(dryRun && { dryRun }),
      ...(onlyUser !== undefined && { only: { user: onlyUser } }),
      ...(skip && { steps }),
    };
    try {
      readInput(orgSyncInput, input, '{"connection":"acme"}');
    } catch (error) {
      throw wrongUse((error as Error).message);
    }
    return { id: orgSyncId(connection), input };
  },
};

/** Starts a run as the Temporal UI would: workflow type, task queue, one JSON object. */
export async function start(
  session: Session,
  workflow: string,
  name: string,
  options: StartOptions,
): Promise<number | undefined> {
  const known = Object.hasOwn(workflows, workflow) ? workflows[workflow] : undefined;
  if (!known) throw wrongUse(`workflow: got "${workflow.slice(0, 40)}", accepted ${Object.keys(workflows).join(', ')}`);
  const { id, input } = known(name, options);
  await session.connection(name);
  const client = await session.client();
  const { taskQueue } = session.config;
  const { print, warn } = session.terminal;
  const open = await findOpen(session, name);
  if (open) throw alreadyRunning(workflow, name, open);
  const workflowId = options.id ?? id;
  const run = await launch(session, { workflow, name, workflowId, input });
  print(`Started ${workflow} of ${name}: workflow id ${run.workflowId}, run id ${run.runId}`);
  const ui = await session.uiAddress();
  if (ui)
    print(
      `See ${ui}/namespaces/${session.config.namespace}/workflows/${encodeURIComponent(run.workflowId)}/${run.runId}`,
    );
  if (!(await isPolled(client, taskQueue))) warn(nobodyPolls(taskQueue));
  if (!options.wait) {
    print(`Follow it with: npx syncline status ${name}`);
    return undefined;
  }
  return follow(session, name, run);
}

/** The open run of a connection, whoever started it; null when there is none. */
export async function findOpen(session: Session, name: string): Promise<Run | null> {
  const client = await session.client();
  const holder = await readHolder(await session.pool(), name);
  const run = await findRun(client, name, [holder, await latestScheduled(client, name)]);
  return run?.status === 'RUNNING' ? run : null;
}

async function launch(
  session: Session,
  { workflow, name, workflowId, input }: { workflow: string; name: string; workflowId: string; input: object },
): Promise<Execution> {
  const client = await session.client();
  try {
    const handle = await client.workflow.start(workflow, {
      workflowId,
      taskQueue: session.config.taskQueue,
      args: [input],
      staticSummary: `${workflow} ${name}`,
    });
    return { workflowId, runId: handle.firstExecutionRunId };
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const run = await describeRun(client, { workflowId, runId: '' });
    throw run ? alreadyRunning(workflow, name, run) : error;
  }
}

function alreadyRunning(workflow: string, name: string, run: Run): CommandError {
  return new CommandError(
    `${workflow} of ${name} runs already, since ${ago(run.startedAt)}: workflow id ${run.workflowId}. ` +
      `Look at it with: npx syncline status ${name}, or end it with: npx syncline cancel ${name}`,
  );
}
