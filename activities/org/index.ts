import { applyChunk, flushCommits, releaseNames } from '../../db/org/apply.ts';
import { type Seats, seatEarly } from '../../db/org/effective.ts';
import { markGroups } from '../../db/org/groups.ts';
import { judgePlan } from '../../db/org/limits.ts';
import { planOnce } from '../../db/org/marks.ts';
import { confirmNames } from '../../db/org/names.ts';
import { type ApplyStep, applySteps, closePlan, type Plan, type Range, type Verdict } from '../../db/org/plan.ts';
import type { Stream } from '../../db/org/stageRows.ts';
import { markUsers } from '../../db/org/users.ts';
import { untouched } from '../../db/org/written.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { type Call, step } from '../step.ts';
import { confirmMissing, confirmPerson } from './confirm.ts';
import { connectionOf, type PrepareInput, prepare } from './prepare.ts';
import { directoryOptionsOf, openSource } from './sources.ts';
import { stageSlice } from './stage.ts';

export interface PlanInput {
  plan: Plan;
}
export interface StreamInput extends PlanInput {
  stream: Stream;
}
export interface MarkInput extends PlanInput {
  /** Steps that will not run. */
  skipped: ApplyStep[];
}
export interface PeopleInput extends MarkInput {
  /** As `markGroups` gave it; absent from a run that an older version began. */
  seats?: Seats;
}
export interface JudgeInput extends MarkInput {
  scopeChanged: boolean;
  dryRun: boolean;
}
export interface ApplyInput extends PlanInput {
  /** Whether this run writes the edits of people: only then may they give their names away. */
  renames: boolean;
  range: Range;
}
export interface FinishInput extends PlanInput {
  verdict: Verdict;
}

/** The steps of orgSync, each an activity of its own name. */
export function orgActivities(deps: Deps) {
  const { pool } = deps;
  const apply = (name: ApplyStep) => step(name, (input: ApplyInput, call) => applySlice(deps, name, input, call));
  return {
    prepare: step('prepare', (input: PrepareInput, call) => prepare(deps, input, call)),
    stageGroups: step('stageGroups', ({ plan }: PlanInput, call) => stageSlice(deps, plan, 'groups', call)),
    stageUsers: step('stageUsers', ({ plan }: PlanInput, call) => stageSlice(deps, plan, 'users', call)),
    confirmMissing: step('confirmMissing', ({ plan, stream }: StreamInput, call) =>
      confirmMissing(deps, plan, stream, call),
    ),
    markGroups: step('markGroups', async ({ plan, skipped }: MarkInput) => {
      const options = directoryOptionsOf(await connectionOf(deps, plan));
      const parentsNamed = 'parentAttribute' in options && options.parentAttribute !== undefined;
      return planOnce(pool, plan, 'markGroups', async (client) => {
        const { maxDepth, allowEmpty: mayBeFlat } = options;
        const namesMayRepeat = 'baseDn' in options && options.groupNameAttribute === undefined;
        const groupsStay = skipped.includes('addGroups');
        const marks = await markGroups(client, plan, { maxDepth, parentsNamed, mayBeFlat, namesMayRepeat, groupsStay });
        return marks && { ...marks, seats: await seatEarly(client, plan, groupsStay) };
      });
    }),
    markUsers: step('markUsers', async ({ plan, skipped, seats = 'later' }: PeopleInput, call) => {
      await confirmPerson(deps, plan, call);
      const connection = await connectionOf(deps, plan);
      const source = openSource(connection, deps);
      const { usersWithoutGroup, attributes, allowEmpty } = directoryOptionsOf(connection);
      const rules = {
        clearAbsent: plan.mode === 'full' || source.absentMeansNone,
        extras: Object.keys(attributes),
        nullIsAbsent: source.absentMeansNone,
        absentIsActive: source.absentIsActive,
        mayBeUnlocked: allowEmpty,
        narrowed: source.narrowed,
        usersWithoutGroup,
        skipped,
        groupsStay: skipped.includes('addGroups'),
        seats,
      };
      return planOnce(pool, plan, 'markUsers', (client) => markUsers(client, plan, rules));
    }),
    checkLimits: step('checkLimits', async ({ plan, skipped, scopeChanged, dryRun }: JudgeInput) => {
      const { userLimit, guards } = directoryOptionsOf(await deps.connection(plan.claim.connection));
      const judgement = await judgePlan(pool, plan, { userLimit, guards, scopeChanged, skipped }, dryRun, deps.isOpen);
      if (judgement.overLimit && !dryRun) {
        const { limit, living, planned, reserved, reservedBy } = judgement.overLimit;
        const held = reserved
          ? ` + ${reserved} reserved by open runs of ${reservedBy.join(', ')} (npx syncline status ${reservedBy[0]})`
          : '';
        const unwritten = await untouched(pool, plan, 'written');
        await closePlan(pool, plan, 'declined');
        throw new SyncError(
          'UserLimit',
          `The tenant's user limit of ${limit} would be exceeded: ${living} living people + ${planned} new${held}; ${unwritten}. Raise it with: npx syncline connect ${plan.claim.connection} --option userLimit=N, or narrow the scope.`,
        );
      }
      return judgement;
    }),
    confirmNames: step('confirmNames', ({ plan, skipped }: MarkInput) =>
      planOnce(pool, plan, 'confirmNames', (client) => confirmNames(client, plan, skipped)),
    ),
    ...(Object.fromEntries(applySteps.map((name) => [name, apply(name)])) as Record<
      ApplyStep,
      ReturnType<typeof apply>
    >),
    finish: step('finish', ({ plan, verdict }: FinishInput) => closePlan(pool, plan, verdict)),
  };
}

/** Applies chunks until the range ends or the slice's time is up; `next` is where the following slice begins. */
async function applySlice(
  deps: Deps,
  name: ApplyStep,
  { plan, range, renames }: ApplyInput,
  call: Call,
): Promise<{ next: number | null; applied: number }> {
  let from = range.from;
  let applied = 0;
  if (renames && (name === 'addUsers' || name === 'editUsers')) await releaseNames(deps.pool, plan);
  while (from <= range.to) {
    const chunk = await applyChunk(deps.pool, plan, name, { from, to: range.to });
    from = chunk.next;
    applied += chunk.applied;
    call.report({ applied });
    if (call.shouldEnd()) break;
  }
  await flushCommits(deps.pool, plan);
  return { next: from <= range.to ? from : null, applied };
}

export type OrgActivities = ReturnType<typeof orgActivities>;
