import {
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  proxyActivities,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { Prepared } from '../activities/org/prepare.ts';
import type { ApplyStep, Plan, Range } from '../db/org/plan.ts';
import type { Stream } from '../db/org/stageRows.ts';
import { quick, slice, whole } from './options.ts';
import { Gate } from './org.gate.ts';
import { orgSyncInput, readInput } from './org.input.ts';
import { applySteps, type OrgSyncResult, RunView } from './org.view.ts';
import { terminal, tried, typeOf } from './tries.ts';

/** Workflow id of a connection's runs started by CLI and client. Other ids work too: the claim keeps runs apart. */
export const orgSyncId = (connection: string) => `orgSync-${connection}`;

/** The activities of one connection. Its name is the fairness key: 50 connections at once take turns at a worker's slots. */
function activitiesOf(connection: string) {
  const priority = { fairnessKey: connection };
  return {
    short: proxyActivities<Activities>({ ...quick, priority }),
    slices: proxyActivities<Activities>({ ...slice, priority }),
    long: proxyActivities<Activities>({ ...whole, priority }),
  };
}

/** What the parts of one run hand to each other. */
interface Run extends ReturnType<typeof activitiesOf> {
  plan: Plan;
  view: RunView;
  gate: Gate;
}

/** Changes of one step from which two activities share it: below, the second would only cost a round trip. */
const shareFrom = 40_000;

/** Company directory → org tables. Input: {@link orgSyncInput}; result: {@link OrgSyncResult}. */
export async function orgSync(input: unknown): Promise<OrgSyncResult> {
  const request = readInput(orgSyncInput, input, '{"connection":"acme"}');
  const view = new RunView(request.connection);
  const gate = new Gate(view);
  const activities = activitiesOf(request.connection);
  for (let attempt = 1; ; attempt++) {
    const prepared = await tried('prepare', () => prepareRun(request, attempt));
    if ('heldBy' in prepared) return heldBack(prepared.heldBy.workflowId, view);
    const run: Run = { ...activities, plan: prepared.plan, view, gate };
    try {
      return await runPlan(request, prepared, run);
    } catch (error) {
      await CancellationScope.nonCancellable(() => dropPlan(run, error));
      const again =
        typeOf(error) === 'StageLost' || (attempt === 1 && !isCancellation(error) && !terminal.has(typeOf(error)));
      if (!again) throw error;
      view.startOver(typeOf(error));
    }
  }

  async function prepareRun({ connection, mode, dryRun, only }: typeof request, attempt: number) {
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

async function runPlan(
  request: ReturnType<typeof readInput<typeof orgSyncInput>>,
  prepared: Prepared,
  run: Run,
): Promise<OrgSyncResult> {
  const { plan, view, gate, long } = run;
  const { scopeChanged } = prepared;
  const skipped = applySteps.filter((s) => (request.steps[s] ?? !prepared.off.includes(s)) === false);
  view.begin(plan.mode, skipped);

  await readList(run, 'groups');
  // The database plans the groups while the worker reads the people. Both are awaited, whichever fails.
  const [groups, users] = await Promise.allSettled([
    tried('markGroups', () => long.markGroups({ plan, skipped })),
    readList(run, 'users'),
  ]);
  if (groups.status === 'rejected') throw groups.reason;
  if (users.status === 'rejected') throw users.reason;
  view.marked('markGroups', groups.value);
  view.marked('markUsers', await tried('markUsers', () => long.markUsers({ plan, skipped })));
  const judgement = await tried('checkLimits', () =>
    long.checkLimits({ plan, skipped, scopeChanged, dryRun: request.dryRun }),
  );
  view.judged(judgement);
  if (request.dryRun) return finish(run, 'planned');
  if (judgement.breaches.length > 0 && !(await gate.approved(judgement, prepared.approvalHours)))
    return finish(run, 'declined');

  const renames = !skipped.includes(plan.mode === 'full' ? 'addUsers' : 'editUsers');
  for (const name of applySteps) {
    const range = judgement.ranges[name];
    if (skipped.includes(name) || !range) continue;
    view.applying(name);
    // All lanes end before a failure is met: one that still wrote would disturb the plan of a second attempt.
    const ends = await Promise.allSettled(lanes(range).map((lane) => applyLane(run, name, lane, renames)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    view.applied(name);
  }
  return finish(run, 'applied');
}

/** Reads a list into the stage, slice by slice, and asks one by one for what it did not bring. */
async function readList({ plan, view, gate, slices, long }: Run, stream: Stream): Promise<void> {
  const name = stream === 'groups' ? 'stageGroups' : 'stageUsers';
  let missing = false;
  for (let done = false; !done; ) {
    await gate.pass();
    const part = await tried(name, () => long[name]({ plan }));
    view.staged(name, part);
    ({ done, missing } = part);
    await gate.wait(part.waitMs);
  }
  while (missing) {
    const confirmed = await tried('confirmMissing', () => slices.confirmMissing({ plan, stream }));
    view.confirmed(stream, confirmed);
    missing = confirmed.waitMs > 0;
    await gate.wait(confirmed.waitMs);
  }
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
    const slice: { next: number | null; applied: number } = await tried(name, () =>
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

/** The stage of a failed or cancelled run goes; its changes stay readable. Whoever lost the claim has nothing to drop. */
async function dropPlan({ plan, short }: Run, error: unknown): Promise<void> {
  if (typeOf(error) === 'ClaimLost' || typeOf(error) === 'UserLimit') return;
  try {
    await short.finish({ plan, verdict: isCancellation(error) ? 'cancelled' : 'failed' });
  } catch (lost) {
    if (typeOf(lost) !== 'ClaimLost') throw lost;
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
