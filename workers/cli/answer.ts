import { WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError } from '@temporalio/client';
import { countChanges, listPlans } from '../../db/org/report.ts';
import { approvedButPaused, approve as approveUpdate, decline as declineUpdate } from '../../workflows/org.gate.ts';
import { describeWritten } from '../../workflows/org.shown.ts';
import type { OrgSyncProgress } from '../../workflows/org.view.ts';
import { describeCounts } from './changes.ts';
import { requireWorkflow } from './choose.ts';
import { findOpen } from './find.ts';
import { describeParked } from './follow.org.ts';
import { askProgress, handleOf, isPolled, nobodyPolls } from './runs.ts';
import type { Session } from './session.ts';
import { CommandError, wrongUse } from './trouble.ts';

interface AnswerOptions {
  plan?: string;
  yes?: boolean;
}

const updateMs = 20_000;

/** Lets the run that waits write its plan. */
export function approve(session: Session, name: string, options: AnswerOptions): Promise<number | undefined> {
  return answer(session, 'approve', name, options);
}

/** Ends the run that waits; nothing of its plan is written. */
export function decline(session: Session, name: string, options: AnswerOptions): Promise<number | undefined> {
  return answer(session, 'decline', name, options);
}

async function answer(
  session: Session,
  verb: 'approve' | 'decline',
  name: string,
  options: AnswerOptions,
): Promise<number | undefined> {
  const connection = await requireWorkflow(session, name, 'orgSync');
  const { terminal, config } = session;
  const [run] = await findOpen(session, connection, 'orgSync');
  if (!run) throw new CommandError(`No run of ${name} is open: nothing to ${verb}`);
  const client = await session.client();
  const progress = await askProgress<OrgSyncProgress>(client, run);
  if (!progress) {
    const polled = await isPolled(client, config.taskQueue);
    throw new CommandError(
      polled ? `The run ${run.workflowId} does not answer at the moment; try again` : nobodyPolls(config.taskQueue),
    );
  }
  const { parked } = progress;
  if (parked === null || parked.digest === null)
    throw new CommandError(
      `The run of ${name} does not wait for an answer (it is ${progress.state}): nothing to ${verb}`,
    );
  if (options.plan !== undefined && options.plan !== parked.digest)
    throw new CommandError(
      `--plan: got "${options.plan.slice(0, 40)}", but plan ${parked.digest} waits. Look at it first: npx syncline changes ${name}`,
    );
  for (const line of describeParked(name, progress).slice(0, -1)) terminal.print(line);
  const [plan] = await listPlans(await session.pool(), name, 1);
  if (plan)
    for (const line of describeCounts(await countChanges(await session.pool(), plan.id))) terminal.print(`  ${line}`);
  if (!options.yes) {
    if (!terminal.interactive) throw wrongUse(`Nobody can be asked here; say --yes to ${verb} plan ${parked.digest}`);
    const typed = await terminal.ask(
      `${verb === 'approve' ? 'Write this plan' : 'Drop this plan'} (${parked.digest})? y/N `,
    );
    if (!/^y(es)?$/i.test(typed.trim())) {
      terminal.print('Nothing was done; the run waits on.');
      return 1;
    }
  }
  const handle = handleOf(client, run);
  const update = verb === 'approve' ? approveUpdate : declineUpdate;
  const said = await sendUpdate(session, () =>
    handle.executeUpdate(update, { args: [{ digest: parked.digest as string }] }),
  );
  terminal.print(verb === 'approve' ? approved(name, said) : declined(progress));
  return undefined;
}

function approved(name: string, said: string): string {
  if (said === approvedButPaused)
    return `Approved, but the run is paused: it writes the plan when it goes on. Let it: npx syncline resume ${name}`;
  return `Approved: the run writes the plan. Follow it with: npx syncline status ${name}`;
}

function declined({ written }: OrgSyncProgress): string {
  const before = describeWritten(written);
  if (before === '') return 'Declined: the run ends, nothing was written.';
  return `Declined: the run ends. Nothing of this plan was written; an attempt before it has written ${before}, which stays.`;
}

/** Sends an update and waits for its answer; a refusal comes as the run's own sentence. */
export async function sendUpdate(session: Session, send: () => Promise<string>): Promise<string> {
  const client = await session.client();
  const { taskQueue } = session.config;
  if (!(await isPolled(client, taskQueue))) throw new CommandError(nobodyPolls(taskQueue));
  try {
    return await client.withDeadline(Date.now() + updateMs, send);
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) throw new CommandError(error.cause?.message ?? error.message);
    if (!(error instanceof WorkflowUpdateRPCTimeoutOrCancelledError)) throw error;
    throw new CommandError(`The run did not answer within ${updateMs / 1000} s; look with: npx syncline status`);
  }
}
