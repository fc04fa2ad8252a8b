import {
  type ChangeCount,
  type ChangeRow,
  countChanges,
  listChanges,
  listPlans,
  type PlanRow,
} from '../../db/org/report.ts';
import { describeWritten } from '../../workflows/org.shown.ts';
import { applySteps } from '../../workflows/org.view.ts';
import { requireWorkflow } from './choose.ts';
import type { Session } from './session.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { ago, columns, count } from './words.ts';

interface ChangesOptions {
  plan?: number;
  step?: string;
  id?: string;
  limit: number;
  json?: boolean;
}

/** Plans before the one shown, for going back. */
const earlierPlans = 4;

/** Shows a plan, the latest unless one is named: counts by step, then rows with the fields that differ. */
export async function changes(session: Session, name: string, options: ChangesOptions): Promise<undefined> {
  if (options.step !== undefined && !applySteps.some((step) => step === options.step))
    throw wrongUse(`--step: got "${options.step.slice(0, 40)}", accepted ${applySteps.join(', ')}`);
  await requireWorkflow(session, name, 'orgSync');
  const pool = await session.pool();
  const { print } = session.terminal;
  const [plan, ...earlier] = await listPlans(pool, name, 1 + earlierPlans, options.plan);
  if (!plan) {
    if (options.plan !== undefined)
      throw new CommandError(
        `Connection ${name} has no plan ${options.plan}; npx syncline changes ${name} lists the last ones`,
      );
    print(`No plan yet. Make one that writes nothing: npx syncline start orgSync ${name} --dry-run --wait`);
    return undefined;
  }
  const counts = await countChanges(pool, plan.id);
  const rows = await listChanges(pool, plan.id, { step: options.step, sourceId: options.id, limit: options.limit });
  if (options.json) {
    print(JSON.stringify({ plan, counts, changes: rows, earlier }, null, 2));
    return undefined;
  }
  print(describePlan(plan));
  for (const line of describeCounts(counts)) print(`  ${line}`);
  for (const row of rows) print(describeChange(row));
  const total = counts.reduce((sum, { count: n }) => sum + n, 0);
  if (rows.length === options.limit && rows.length < total)
    print(`… ${count(total)} in all; narrow with --step or --id, or show more with --limit`);
  if (earlier.length > 0) {
    print('Earlier plans (--plan N):');
    for (const one of earlier) print(`  ${describePlan(one)}`);
  }
  return undefined;
}

/** The counts of a plan as lines: one a step. */
export function describeCounts(counts: readonly ChangeCount[]): string[] {
  if (counts.length === 0) return ['no changes'];
  const steps = [...new Set(counts.map(({ step }) => step))];
  return columns(
    steps.map((step) => [
      step,
      counts
        .filter((c) => c.step === step)
        .map((c) => `${c.kind} ${c.action} ${count(c.count)}`)
        .join(', '),
    ]),
  );
}

function describePlan({ id, mode, verdict, dryRun, partial, createdAt, written }: PlanRow): string {
  const stays = describeWritten(written);
  const ended = stays === '' ? verdict : `${verdict}, written in part (${stays})`;
  const what = verdict !== 'planned' ? ended : dryRun ? 'dry run' : 'open';
  return `plan ${id}: ${mode}${partial ? ' of one person' : ''}, ${what}, made ${ago(createdAt)}`;
}

function describeChange({ step, kind, action, sourceId, groupId, before, after }: ChangeRow): string {
  const who = groupId === null ? `${kind} ${sourceId}` : `user ${sourceId} in group ${groupId}`;
  const fields = differences(before, after);
  return [`${step}: ${action} ${who}`, ...fields.map((line) => `    ${line}`)].join('\n');
}

/** `title: "Clerk" -> "Keeper"` for each field that differs; a field that is not there shows as `none`. */
function differences(before: ChangeRow['before'], after: ChangeRow['after']): string[] {
  // Whoever is asked to approve a deletion must see whom it takes.
  if (after === null) return Object.entries(before ?? {}).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  const keys = new Set([...Object.keys(before ?? {}), ...Object.keys(after)]);
  const text = (value: unknown) => (value === undefined || value === null ? 'none' : JSON.stringify(value));
  return [...keys].flatMap((key) => {
    const [was, is] = [text(before?.[key]), text(after[key])];
    if (was === is) return [];
    return [before === null ? `${key}: ${is}` : `${key}: ${was} -> ${is}`];
  });
}
