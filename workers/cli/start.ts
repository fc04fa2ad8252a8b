import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Execution } from '../../db/claims.ts';
import type { StoredConnection } from '../../db/connections.ts';
import { type SyncWorkflow, syncWorkflows, usualId } from '../pipelines.ts';
import { requireWorkflow } from './choose.ts';
import { findOpen } from './find.ts';
import { watchHubspot } from './follow.hubspot.ts';
import { watchOrg } from './follow.org.ts';
import { watchStreams } from './follow.platform.ts';
import { watchStripe } from './follow.stripe.ts';
import { follow } from './follow.ts';
import { describeRun, isPolled, nobodyPolls, type Run } from './runs.ts';
import type { Session } from './session.ts';
import { inputOf, type RunOptions } from './start.input.ts';
import { checkStreams } from './streams.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { ago } from './words.ts';

interface StartOptions extends RunOptions {
  wait?: boolean;
  id?: string;
}

/** Starts a run as the Temporal UI would: workflow type, task queue, one JSON object. */
export async function start(
  session: Session,
  type: string,
  name: string,
  options: StartOptions,
): Promise<number | undefined> {
  const workflow = syncWorkflows.find((one) => one === type);
  if (!workflow) throw wrongUse(`workflow: got "${type.slice(0, 40)}", accepted ${syncWorkflows.join(', ')}`);
  const input = inputOf(workflow, name, options);
  const connection = await requireWorkflow(session, name, workflow);
  checkStreams(connection, '--streams', options.streams ?? []);
  const [open, ...others] = await findOpen(session, connection, workflow);
  if (open?.type === workflow) throw alreadyRunning(workflow, name, open);
  // A replay has its stream for itself and leaves the others to this run.
  for (const one of open ? [open, ...others] : [])
    session.terminal.warn(`${one.type} ${one.workflowId} is at work: this run does not read its stream.`);
  const workflowId = options.id ?? usualId[workflow](name);
  const run = await launch(session, { workflow, name, workflowId, input });
  if (!options.wait) {
    session.terminal.print(`Follow it with: npx syncline status ${name}`);
    return undefined;
  }
  return follow(session, await watch(session, workflow, connection, run));
}

async function watch(session: Session, workflow: SyncWorkflow, connection: StoredConnection, run: Execution) {
  if (workflow === 'hubspotSync') return watchHubspot(session, connection.id, run);
  if (workflow === 'stripeSync') return watchStripe(session, connection.id, run);
  return workflow === 'orgSync' ? watchOrg(session, connection.id, run) : watchStreams(session, connection, [run]);
}

/** Starts a workflow and says where it is to be seen. @throws CommandError when a run of that id is open */
export async function launch(
  session: Session,
  { workflow, name, workflowId, input }: { workflow: string; name: string; workflowId: string; input: object },
): Promise<Execution> {
  const client = await session.client();
  const { taskQueue, namespace } = session.config;
  const { print, warn } = session.terminal;
  const runId = await client.workflow
    .start(workflow, { workflowId, taskQueue, args: [input], staticSummary: `${workflow} ${name}` })
    .then(
      (handle) => handle.firstExecutionRunId,
      async (error: unknown) => {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        const run = await describeRun(client, { workflowId, runId: '' });
        throw run ? alreadyRunning(workflow, name, run) : error;
      },
    );
  print(`Started ${workflow} of ${name}: workflow id ${workflowId}, run id ${runId}`);
  const ui = await session.uiAddress();
  if (ui) print(`See ${ui}/namespaces/${namespace}/workflows/${encodeURIComponent(workflowId)}/${runId}`);
  if (!(await isPolled(client, taskQueue))) warn(nobodyPolls(taskQueue));
  return { workflowId, runId };
}

/** The run that is in the way, and what to do. */
export function alreadyRunning(workflow: string, name: string, run: Run): CommandError {
  const which = `${workflow} of ${name} runs already, since ${ago(run.startedAt)}: workflow id ${run.workflowId}. `;
  if (workflow === 'campaignTest') return new CommandError(`${which}It ends by itself within minutes; try again then`);
  const [look, end] =
    workflow === 'campaign' ? (['campaign report', 'campaign cancel'] as const) : (['status', 'cancel'] as const);
  // Without its id, what follows the account would be ended as well.
  const id = workflow === 'verifyStripe' ? ` --id ${run.workflowId}` : '';
  return new CommandError(
    `${which}Look at it with: npx syncline ${look} ${name}, or end it with: npx syncline ${end} ${name}${id}`,
  );
}
