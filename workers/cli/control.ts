import { setTimeout as delay } from 'node:timers/promises';
import type { StoredConnection } from '../../db/connections.ts';
import { liftQuota } from '../../db/quota.ts';
import { pause as pauseUpdate, resume as resumeUpdate } from '../../workflows/control.ts';
import { sendUpdate } from './answer.ts';
import { findConnection } from './choose.ts';
import { isHubspot } from './connect.hubspot.ts';
import { openCatalog } from './connectors.ts';
import { findOpen } from './find.ts';
import { describeRun, handleOf, isPolled, nobodyPolls, type Run } from './runs.ts';
import type { Session } from './session.ts';
import { CommandError } from './trouble.ts';
import { duration } from './words.ts';

interface ControlOptions {
  /** One of several open runs. */
  id?: string;
}

/** A page or chunk in hand is finished first; an LDAP chain or a whole plan may take this long. */
const cancelMs = 60_000;

/** Stops runs before their next slice. */
export async function pause(session: Session, name: string, options: ControlOptions): Promise<undefined> {
  for (const who of await updateAll(session, name, 'pause', options))
    session.terminal.print(
      `Paused ${who}: the slice in hand is finished first. Go on with: npx syncline resume ${name}`,
    );
  return undefined;
}

/** Lets paused runs go on, and those that wait for a quota ask again: it may have been raised, or was never used up. */
export async function resume(session: Session, name: string, options: ControlOptions): Promise<undefined> {
  const stored = await session.connection(name);
  if (await liftQuota(await session.pool(), await budgetOf(session, stored), name)) {
    const what = isHubspot(stored.platform) ? 'the daily limit' : 'a used-up quota';
    session.terminal.print(`The wait for ${what} of ${name} is lifted.`);
    // Whoever comes next asks the source: that is what was wanted where nobody is at work.
    if ((await findOpen(session, await findConnection(session, name))).length === 0) return undefined;
  }
  for (const who of await updateAll(session, name, 'resume', options)) session.terminal.print(`Resumed ${who}.`);
  return undefined;
}

/** Under which name the limits of a connection are counted. */
async function budgetOf(session: Session, { platform, options }: StoredConnection): Promise<string> {
  const { budgetOwner, connectors } = await openCatalog(session);
  return budgetOwner(platform, options, Object.hasOwn(connectors, platform) ? connectors[platform] : undefined);
}

/** Ends runs after the page or chunk in hand and waits for their ends. */
export async function cancel(session: Session, name: string, options: ControlOptions): Promise<number | undefined> {
  const runs = await openRuns(session, name, 'cancel', options);
  const client = await session.client();
  const { print } = session.terminal;
  for (const run of runs) await handleOf(client, run).cancel();
  if (!(await isPolled(client, session.config.taskQueue))) {
    for (const run of runs) print(`Asked the run ${run.workflowId} to end. ${nobodyPolls(session.config.taskQueue)}`);
    return 1;
  }
  const deadline = Date.now() + cancelMs;
  let exitCode: number | undefined;
  for (const run of runs) {
    if (await ends(session, run, deadline)) {
      print(`Cancelled ${name} (${run.workflowId}). What it wrote stays; ${nextOf(run)}.`);
      continue;
    }
    print(
      `The run ${run.workflowId} was asked to end and still finishes what it has in hand after ${duration(cancelMs)}: npx syncline status ${name}`,
    );
    exitCode = 1;
  }
  return exitCode;
}

/** A directory is planned whole: what was read of it so far is dropped. */
function nextOf({ type }: Run): string {
  if (type === 'orgSync') return 'the next run reads the directory anew and plans what is left';
  return type === 'verifyStripe' ? 'the next comparison begins anew' : 'the next run goes on from there';
}

async function ends(session: Session, run: Run, deadline: number): Promise<boolean> {
  const client = await session.client();
  while (Date.now() < deadline) {
    const seen = await describeRun(client, { workflowId: run.workflowId, runId: run.firstRunId });
    if (seen === null || seen.status !== 'RUNNING') return true;
    await delay(200);
  }
  return false;
}

/** Runs that a person started, open at the moment: one as a rule, several while replays go on. Their streams follow them. */
async function openRuns(session: Session, name: string, verb: string, { id }: ControlOptions): Promise<Run[]> {
  const runs = await findOpen(session, await findConnection(session, name));
  if (runs.length === 0) throw new CommandError(`No run of ${name} is open: nothing to ${verb}`);
  const chosen = id === undefined ? runs : runs.filter(({ workflowId }) => workflowId === id);
  if (chosen.length > 0) return chosen;
  const open = runs.map(({ workflowId }) => workflowId).join(', ');
  throw new CommandError(`--id: got "${id?.slice(0, 80)}", open runs of ${name}: ${open}`);
}

/** Tells each run; returns what to call them. */
async function updateAll(
  session: Session,
  name: string,
  verb: 'pause' | 'resume',
  options: ControlOptions,
): Promise<string[]> {
  const runs = await openRuns(session, name, verb, options);
  const client = await session.client();
  for (const run of runs)
    await sendUpdate(session, () => handleOf(client, run).executeUpdate(verb === 'pause' ? pauseUpdate : resumeUpdate));
  return runs.map(({ workflowId }) => (runs.length > 1 ? `${name} (${workflowId})` : name));
}
