import { setTimeout as delay } from 'node:timers/promises';
import { pause as pauseUpdate, resume as resumeUpdate } from '../../workflows/org.gate.ts';
import { sendUpdate } from './answer.ts';
import { describeRun, isPolled, nobodyPolls, type Run } from './runs.ts';
import type { Session } from './session.ts';
import { findOpen } from './start.ts';
import { CommandError } from './trouble.ts';
import { duration } from './words.ts';

/** A page or chunk in hand is finished first; an LDAP chain or a whole plan may take this long. */
const cancelMs = 60_000;

/** Stops a run before its next slice. */
export async function pause(session: Session, name: string): Promise<undefined> {
  const run = await openRun(session, name, 'pause');
  await update(session, run, pauseUpdate);
  session.terminal.print(
    `Paused ${name}: the slice in hand is finished first. Go on with: npx syncline resume ${name}`,
  );
  return undefined;
}

/** Lets a paused run go on. */
export async function resume(session: Session, name: string): Promise<undefined> {
  const run = await openRun(session, name, 'resume');
  await update(session, run, resumeUpdate);
  session.terminal.print(`Resumed ${name}.`);
  return undefined;
}

/** Ends a run after the page or chunk in hand and waits for its end. */
export async function cancel(session: Session, name: string): Promise<number | undefined> {
  const run = await openRun(session, name, 'cancel');
  const client = await session.client();
  const { print } = session.terminal;
  await client.workflow.getHandle(run.workflowId, run.runId).cancel();
  if (!(await isPolled(client, session.config.taskQueue))) {
    print(`Asked the run ${run.workflowId} to end. ${nobodyPolls(session.config.taskQueue)}`);
    return 1;
  }
  const deadline = Date.now() + cancelMs;
  while (Date.now() < deadline) {
    const seen = await describeRun(client, run);
    if (seen === null || seen.status !== 'RUNNING') {
      print(`Cancelled ${name} (${run.workflowId}). What it wrote stays; the next run goes on from there.`);
      return undefined;
    }
    await delay(200);
  }
  print(
    `The run ${run.workflowId} was asked to end and still finishes what it has in hand after ${duration(cancelMs)}: npx syncline status ${name}`,
  );
  return 1;
}

async function openRun(session: Session, name: string, verb: string): Promise<Run> {
  await session.connection(name);
  const run = await findOpen(session, name);
  if (!run) throw new CommandError(`No run of ${name} is open: nothing to ${verb}`);
  return run;
}

async function update(session: Session, run: Run, definition: typeof pauseUpdate): Promise<void> {
  const client = await session.client();
  const handle = client.workflow.getHandle(run.workflowId, run.runId);
  await sendUpdate(session, () => handle.executeUpdate(definition));
}
