import {
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  workflowInfo,
} from '@temporalio/workflow';
import type { Prepared } from '../activities/org/prepare.ts';
import type { ApplyStep, Range } from '../db/org/plan.ts';
import type { Written } from '../db/org/written.ts';
import { Gate } from './org.gate.ts';
import { orgSyncInput, readInput } from './org.input.ts';
import { activitiesOf, planGroups, type Run, readList, type Standing } from './org.read.ts';
import type { OrgSyncResult } from './org.result.ts';
import type { Shown } from './org.shown.ts';
import { applySteps, RunView } from './org.view.ts';
import { sentenceOf, tried, typeOf, verdictOf } from './tries.ts';

/** Workflow id of a connection's runs started by CLI and client. Other ids work too: the claim keeps runs apart. */
export const orgSyncId = (connection: string) => `orgSync-${connection}`;

/** What an execution whose history got long hands to the next one, which is the same run under the same claim. */
interface Carried {
  at: Standing;
  attempt: number;
  restarted: boolean;
  paused: boolean;
  shown: Shown;
}

type Request = ReturnType<typeof readInput<typeof orgSyncInput>>;

/** Changes of one step from which two activities share it: below, the second would only cost a round trip. */
const shareFrom = 40_000;

/** Why the lists are read anew, by the type of the failure. */
const rereads: Record<string, string> = {
  StageLost: 'the stage was lost with the database and is read again',
  ScopeChanged: 'what the connection reads was changed while it was read: it is read again under the new scope',
};

/** Company directory → org tables. Input: {@link orgSyncInput}; result: {@link OrgSyncResult}. */
export async function orgSync(input: unknown, handed?: Carried): Promise<OrgSyncResult> {
  const request = readInput(orgSyncInput, input, '{"connection":"acme"}');
  // Nobody types it: only an execution that continued as this one hands something over.
  const carried = workflowInfo().continuedFromExecutionRunId ? handed : undefined;
  const view = new RunView(request.connection, carried?.shown);
  const gate = new Gate(view, carried?.paused);
  const activities = activitiesOf(request.connection);
  let { attempt, restarted } = carried ?? { attempt: 1, restarted: false };
  let at = carried?.at;
  for (; ; attempt++) {
    if (!at) {
      const prepared = await tried(view, 'prepare', () => prepareRun(request, attempt));
      if ('heldBy' in prepared) return heldBack(prepared.heldBy.workflowId, view);
      at = { prepared, phases: { groups: 'list', users: 'list' } };
      view.begin(prepared.plan.mode, skippedSteps(request, prepared));
    }
    const run: Run = { ...activities, plan: at.prepared.plan, at, view, gate };
    try {
      const result = await runPlan(request, run);
      if (result) return result;
      break;
    } catch (error) {
      view.stays(await CancellationScope.nonCancellable(() => dropPlan(run, error)));
      const verdict = verdictOf(error);
      if (verdict === 'end' || (verdict === 'again' && restarted)) throw error;
      // A lost stage or another scope is no failed step: it does not use up the one new start that those have.
      restarted ||= verdict === 'again';
      view.startOver(
        rereads[typeOf(error)] ?? `a step failed three times and the run starts over once: ${sentenceOf(error)}`,
      );
      at = undefined;
    }
  }
  await condition(allHandlersFinished);
  return continueAsNew<typeof orgSync>(input, {
    at,
    attempt,
    restarted,
    paused: gate.isPaused(),
    shown: view.carry(),
  });

  async function prepareRun({ connection, mode, dryRun, only }: Request, attempt: number) {
    const { workflowId, firstExecutionRunId } = workflowInfo();
    return activities.short.prepare({
      connection,
      mode: mode ?? null,
      dryRun,
      only: only?.user ?? null,
      attempt,
      workflowId,
      runId: firstExecutionRunId,
    });
  }
}

/** @returns null when the history got long while the lists were read: the run goes on in another execution. */
async function runPlan(request: Request, run: Run): Promise<OrgSyncResult | null> {
  const { plan, view, gate, long } = run;
  const { prepared } = run.at;
  const skipped = skippedSteps(request, prepared);

  if (!(await readList(run, 'groups'))) return null;
  // The database plans the groups while the worker reads the people. Both are awaited, whichever fails.
  const [groups, users] = await Promise.allSettled([planGroups(run, skipped), readList(run, 'users')]);
  if (groups.status === 'rejected') throw groups.reason;
  if (users.status === 'rejected') throw users.reason;
  if (!users.value) return null;
  await planGroups(run, skipped);
  view.running('markUsers');
  const { seats } = run.at;
  view.marked('markUsers', await tried(view, 'markUsers', () => long.markUsers({ plan, skipped, seats })));
  view.running('checkLimits');
  const { scopeChanged, approvalHours } = prepared;
  const judgement = await tried(view, 'checkLimits', () =>
    long.checkLimits({ plan, skipped, scopeChanged, dryRun: request.dryRun }),
  );
  view.judged(judgement);
  if (request.dryRun) return finish(run, 'planned');
  let { ranges } = judgement;
  if (judgement.breaches.length > 0) {
    if (!(await gate.approved(judgement, approvalHours))) return finish(run, 'declined');
    await gate.pass();
    const names = await tried(view, 'confirmNames', () => long.confirmNames({ plan, skipped }));
    view.namesConfirmed(names);
    ranges = names.ranges;
  }

  const renames = !skipped.includes('editUsers');
  for (const name of applySteps) {
    const range = ranges[name];
    if (skipped.includes(name) || !range) continue;
    view.running(name);
    // All lanes end before a failure is met: one that still wrote would disturb the plan of a second attempt.
    const ends = await Promise.allSettled(lanes(range).map((lane) => applyLane(run, name, lane, renames)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    view.applied(name);
  }
  return finish(run, 'applied');
}

function skippedSteps({ steps }: Request, { off }: Prepared): ApplyStep[] {
  return applySteps.filter((step) => (steps[step] ?? !off.includes(step)) === false);
}

async function applyLane(
  { plan, view, gate, slices }: Run,
  name: ApplyStep,
  lane: Range,
  renames: boolean,
): Promise<void> {
  for (let from: number | null = lane.from; from !== null; ) {
    await gate.pass();
    const range: Range = { from, to: lane.to };
    const slice: { next: number | null; applied: number } = await tried(view, name, () =>
      slices[name]({ plan, range, renames }),
    );
    view.advanced(name, slice.applied);
    from = slice.next;
  }
}

/** Two halves of a long step use both cores of a small database server. */
function lanes({ from, to }: Range): Range[] {
  if (to - from + 1 < shareFrom) return [{ from, to }];
  const middle = Math.floor((from + to) / 2);
  return [
    { from, to: middle },
    { from: middle + 1, to },
  ];
}

async function finish({ plan, view, short }: Run, verdict: 'planned' | 'applied' | 'declined'): Promise<OrgSyncResult> {
  await short.finish({ plan, verdict });
  return view.finish(verdict, plan.id);
}

/** The stage of a failed or cancelled run goes, its changes stay readable; gives what of them was written. Whoever lost the claim has nothing to drop. */
async function dropPlan({ plan, short }: Run, error: unknown): Promise<Written> {
  if (typeOf(error) === 'ClaimLost' || typeOf(error) === 'UserLimit') return {};
  try {
    return await short.finish({ plan, verdict: isCancellation(error) ? 'cancelled' : 'failed' });
  } catch (lost) {
    if (typeOf(lost) !== 'ClaimLost') throw lost;
    return {};
  }
}

/** A scheduled run that finds another one at work is skipped; one that a person started says so loudly. */
function heldBack(workflowId: string, view: RunView): OrgSyncResult {
  const scheduled = workflowInfo().searchAttributes.TemporalScheduledById?.[0] !== undefined;
  if (scheduled) return view.skipped(workflowId);
  throw ApplicationFailure.nonRetryable(
    `Another run of this connection is at work: ${workflowId}. Wait for it (npx syncline status), or cancel it first.`,
    'AlreadyRunning',
  );
}
