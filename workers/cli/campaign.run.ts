import { setTimeout as delay } from 'node:timers/promises';
import { loadCampaign } from '../../db/audience/campaigns.ts';
import type { StateCounts } from '../../db/audience/deliveries.ts';
import { reportCampaign } from '../../db/audience/report.ts';
import { campaignInput, campaignTestInput } from '../../workflows/audience.input.ts';
import { type CampaignResult, campaignId, campaignTestId } from '../../workflows/audience.ts';
import type { CampaignProgress } from '../../workflows/audience.view.ts';
import { pause as pauseUpdate, resume as resumeUpdate } from '../../workflows/control.ts';
import { sendUpdate } from './answer.ts';
import { findRun, isOver, picturesOf, upToDate } from './campaign.find.ts';
import { ended, follow } from './follow.ts';
import { askProgress, describeRun, handleOf, outcomeOf, type Run } from './runs.ts';
import type { Session } from './session.ts';
import { checked } from './start.input.ts';
import { launch } from './start.ts';
import { CommandError } from './trouble.ts';
import { columns, count } from './words.ts';

const cancelMs = 60_000;

/** Starts a campaign and returns at once; with `--wait` follows it to its end. */
export async function start(
  session: Session,
  name: string,
  { wait, id }: { wait?: boolean; id?: string },
): Promise<number | undefined> {
  const input = checked(campaignInput, { campaign: name }, '{"campaign":"spring"}');
  const { no, frozen } = await loadCampaign(await session.pool(), name);
  const open = await findRun(session, name);
  if (open?.status === 'RUNNING')
    throw new CommandError(
      `Campaign ${name} is sent already: workflow id ${open.workflowId}. Look at it with: npx syncline campaign report ${name}`,
    );
  if (frozen && isOver((await reportCampaign(await session.pool(), no)).states))
    throw new CommandError(
      `Everybody of campaign ${name} has an outcome: a start would send to nobody. Look at it with: npx syncline campaign report ${name}, or make another campaign: npx syncline campaign create NAME FILE`,
    );
  const workflowId = id ?? campaignId(name);
  const started = await launch(session, { workflow: 'campaign', name, workflowId, input });
  if (!wait) {
    session.terminal.print(`Follow it with: npx syncline campaign report ${name}`);
    return undefined;
  }
  const client = await session.client();
  const countNow = counterOf(session, no);
  return follow(session, async () => {
    const run = await describeRun(client, started);
    if (!run) throw new CommandError(`Temporal no longer knows the run ${workflowId}: somebody deleted it`);
    const progress = await askProgress<CampaignProgress>(client, run);
    const states = progress?.audience && session.terminal.interactive ? await countNow() : null;
    const picture = progress ? picturesOf(states ? upToDate(progress, states, run) : progress) : [];
    const events = progress?.notes ?? [];
    if (run.status === 'RUNNING') return { picture, events, end: null };
    const outcome = await outcomeOf<CampaignResult>(client, run);
    if ('failure' in outcome) throw new CommandError(`The campaign ${ended(run.status)}: ${outcome.failure}`);
    return {
      picture,
      events,
      end: { lines: linesOf(outcome.result), exitCode: exitCodeOf(outcome.result) },
    };
  });
}

/** Counts a campaign's rows by state, and keeps what it found for twenty times as long as that took: ten million take a second. */
function counterOf(session: Session, no: number): () => Promise<StateCounts> {
  let found: StateCounts = {};
  let until = 0;
  return async () => {
    const began = Date.now();
    if (began < until) return found;
    found = (await reportCampaign(await session.pool(), no)).states;
    until = Date.now() + 20 * (Date.now() - began);
    return found;
  };
}

/** Sends the message to named users at once; nothing is written down. */
export async function test(session: Session, name: string, options: { users: string[] }): Promise<number> {
  const users = [...new Set(options.users)];
  const input = checked(campaignTestInput, { campaign: name, users }, '{"campaign":"spring","users":["u1"]}');
  await loadCampaign(await session.pool(), name);
  const client = await session.client();
  const started = await launch(session, { workflow: 'campaignTest', name, workflowId: campaignTestId(name), input });
  const run = { ...started };
  for (;;) {
    const seen = await describeRun(client, run);
    if (!seen) throw new CommandError(`Temporal no longer knows the run ${run.workflowId}`);
    if (seen.status === 'RUNNING') {
      await delay(200);
      continue;
    }
    const outcome = await outcomeOf<{ users: { outcome: string; code: string | null }[] }>(client, seen);
    if ('failure' in outcome) throw new CommandError(`The test ${ended(seen.status)}: ${outcome.failure}`);
    const { result } = outcome;
    for (const line of columns(result.users.map((one, i) => [users[i] as string, one.outcome, one.code ?? ''])))
      session.terminal.print(line);
    return result.users.every((one) => one.outcome === 'sent') ? 0 : 1;
  }
}

/** Nothing more leaves until `resume`; messages on their way are still written down. */
export async function pause(session: Session, name: string): Promise<undefined> {
  const run = await openRun(session, name, 'pause');
  const client = await session.client();
  const told = await sendUpdate(session, () => handleOf(client, run).executeUpdate(pauseUpdate));
  session.terminal.print(`Campaign ${name}: ${told}. Go on with: npx syncline campaign resume ${name}`);
  return undefined;
}

export async function resume(session: Session, name: string): Promise<undefined> {
  const run = await openRun(session, name, 'resume');
  const client = await session.client();
  await sendUpdate(session, () => handleOf(client, run).executeUpdate(resumeUpdate));
  session.terminal.print(`Campaign ${name} goes on.`);
  return undefined;
}

/** Ends a campaign: messages on their way are still written down, everybody else stays planned. */
export async function cancel(session: Session, name: string): Promise<number | undefined> {
  const run = await openRun(session, name, 'cancel');
  const client = await session.client();
  await handleOf(client, run).cancel();
  const deadline = Date.now() + cancelMs;
  while (Date.now() < deadline) {
    const seen = await describeRun(client, { workflowId: run.workflowId, runId: run.firstRunId });
    if (seen?.status !== 'RUNNING') {
      session.terminal.print(
        `Cancelled campaign ${name}. Who was not sent to stays planned: npx syncline campaign report ${name}`,
      );
      return undefined;
    }
    await delay(200);
  }
  session.terminal.print(
    `Campaign ${name} was asked to end and still finishes what is on its way: npx syncline campaign report ${name}`,
  );
  return 1;
}

async function openRun(session: Session, name: string, verb: string): Promise<Run> {
  await loadCampaign(await session.pool(), name);
  const run = await findRun(session, name);
  if (run?.status === 'RUNNING') return run;
  throw new CommandError(`Campaign ${name} is not sent at the moment: nothing to ${verb}`);
}

/** Of a run that ended by itself: 1 when somebody was left out for the deadline or nobody was reached, 4 when nobody can tell whether anybody was. */
function exitCodeOf({ outcome, states }: CampaignResult): number {
  if (outcome === 'late') return 1;
  if (reachedOf(states) > 0) return 0;
  return (states.unknown ?? 0) > 0 ? 4 : 1;
}

const reachedOf = ({ sent = 0, delivered = 0 }: CampaignResult['states']) => sent + delivered;

function linesOf({ campaign, outcome, states, reasons }: CampaignResult): string[] {
  const counts = Object.entries(states).map(([what, n]) => `${what} ${count(n)}`);
  const head = outcome === 'late' ? 'The deadline came first' : reachedOf(states) > 0 ? 'Done' : nobody(states);
  return [
    `${head}: ${counts.join(', ')}`,
    ...Object.entries(reasons).map(([what, n]) => `  ${what}: ${count(n)}`),
    ...((states.unknown ?? 0) > 0
      ? [`Look after the unknown ones: npx syncline campaign report ${campaign} --list unknown`]
      : []),
  ];
}

function nobody({ unknown = 0 }: CampaignResult['states']): string {
  return unknown > 0 ? 'Nobody is known to have been reached' : 'Nobody was reached';
}
