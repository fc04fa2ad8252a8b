import { type ClaimRequest, type Execution, writeUnderClaim } from '../claims.ts';
import type { Client, Pool } from '../client.ts';
import { changeFields } from '../schema/org.ts';
import { type ApplyStep, knowDirectory, type Plan, type StepRange } from './plan.ts';
import { rescopedLists } from './scope.ts';
import type { Stream } from './stageRows.ts';

export interface Guard {
  count: number;
  percent: number;
  smallCount: number;
  smallPercent: number;
}

export interface Limits {
  userLimit: number | null;
  guards: {
    users: Guard;
    groups: Guard & { changesPercent: number };
    deactivations: Guard;
    membershipsPercent: number;
    additionsPercent: number;
    editsPercent: number;
  };
  /**
   * Another scope than last time. Edits and deactivations keep their guards and say so: a mistyped mapping is the likeliest
   * mass edit, and who typed it is there.
   */
  scopeChanged: boolean;
  /** Steps that will not run: their changes are not judged. */
  skipped: ApplyStep[];
}

/** A guard the plan breaks. Numbers only. */
export interface Breach {
  guard: string;
  planned: number;
  /** Living rows the share is taken of. */
  of: number;
  allowed: number;
}

export interface Judgement {
  breaches: Breach[];
  /** Set when the tenant's user limit would be exceeded; `reservedBy`: connections whose open runs hold the reserved seats. */
  overLimit: { limit: number; living: number; planned: number; reserved: number; reservedBy: string[] } | null;
  /** Identifies exactly this list of changes; an approval is bound to it. Null when nothing has to be approved. */
  digest: string | null;
  ranges: Partial<Record<ApplyStep, StepRange>>;
}

type IsOpen = ClaimRequest['isOpen'];

/** Guards look at small companies and first fills with other eyes (Okta: from 100 users on). */
const small = 100;

/**
 * Judges the whole plan before anything is written, and reserves its seats in the tenant. A run of one person meets the
 * same guards: who set one to 0 is asked for everybody.
 */
export async function judgePlan(
  pool: Pool,
  plan: Plan,
  limits: Limits,
  dryRun: boolean,
  isOpen: IsOpen,
): Promise<Judgement> {
  await knowDirectory(pool, plan);
  return writeUnderClaim(pool, plan.claim, { name: 'checkLimits', heavy: true }, async (client) => {
    const { rows } = await client.query('SELECT steps FROM org.plans WHERE id = $1', [plan.id]);
    const ranges: Judgement['ranges'] = rows[0].steps;
    // A plan without changes breaks nothing: counting everybody for it took a fifth of a second of 300,000.
    const counts = Object.keys(ranges).length > 0 ? await countPlan(client, plan, limits.skipped) : null;
    const breaches = counts ? judge(counts, limits, await rescopedLists(client, plan)) : [];
    const seats = counts ? counts.user.add - counts.user.delete : 0;
    const overLimit = await reserveSeats(client, plan, seats, { limit: limits.userLimit, dryRun, isOpen });
    const digest = breaches.length > 0 || dryRun ? await digestPlan(client, plan) : null;
    return { breaches, overLimit, digest, ranges };
  });
}

interface Counts {
  user: { add: number; delete: number; edit: number; deactivate: number; living: number };
  group: { add: number; delete: number; change: number; living: number };
  membership: { remove: number; living: number };
}

/** Place of `active` in the values of a person's change, as SQL counts. */
const active = changeFields.user.indexOf('active') + 1;

async function countPlan(client: Client, plan: Plan, skipped: ApplyStep[]): Promise<Counts> {
  const { rows } = await client.query(
    `WITH planned AS (
       SELECT kind, action, step, count(*)::int AS n,
              count(*) FILTER (WHERE kind = 'user' AND action = 'edit' AND before[${active}] = 'true' AND after[${active}] = 'false')::int AS off
       FROM org.change_rows WHERE plan_id = $1 AND step <> ALL($3) GROUP BY 1, 2, 3)
     SELECT (SELECT coalesce(sum(n), 0)::int FROM planned WHERE kind = 'user' AND action = 'add') AS user_add,
            (SELECT coalesce(sum(n), 0)::int FROM planned WHERE kind = 'user' AND action = 'delete') AS user_delete,
            (SELECT coalesce(sum(n), 0)::int FROM planned WHERE kind = 'user' AND action = 'edit') AS user_edit,
            (SELECT coalesce(sum(off), 0)::int FROM planned) AS user_off,
            (SELECT coalesce(sum(n), 0)::int FROM planned WHERE kind = 'group' AND action = 'add') AS group_add,
            (SELECT coalesce(sum(n), 0)::int FROM planned WHERE kind = 'group' AND action = 'delete') AS group_delete,
            (SELECT coalesce(sum(n), 0)::int FROM planned WHERE kind = 'group' AND action IN ('move', 'edit')) AS group_change,
            (SELECT coalesce(sum(n), 0)::int FROM planned WHERE kind = 'membership' AND action = 'remove' AND step <> 'deleteUsers') AS removed,
            (SELECT count(*)::int FROM org.users WHERE connection_id = $2 AND deleted_at IS NULL) AS users,
            (SELECT count(*)::int FROM org.groups WHERE connection_id = $2 AND deleted_at IS NULL) AS groups,
            (SELECT count(*)::int FROM org.memberships WHERE connection_id = $2) AS memberships`,
    [plan.id, plan.claim.connection, skipped],
  );
  const r = rows[0];
  return {
    user: { add: r.user_add, delete: r.user_delete, edit: r.user_edit, deactivate: r.user_off, living: r.users },
    group: { add: r.group_add, delete: r.group_delete, change: r.group_change, living: r.groups },
    membership: { remove: r.removed, living: r.memberships },
  };
}

/**
 * Pure: which guards a plan breaks.
 * @param asked lists of which every deletion is asked for: whoever is missing may only be out of scope
 */
export function judge(counts: Counts, limits: Limits, asked: Record<Stream, boolean>): Breach[] {
  const { user, group, membership } = counts;
  const { guards, scopeChanged } = limits;
  const afterChange = (changed: boolean) => (changed ? ' after a change of scope' : '');
  const rescoped = afterChange(scopeChanged);
  const breaches: Breach[] = [];
  const check = (guard: string, planned: number, of: number, allowed: number) => {
    if (planned > allowed) breaches.push({ guard, planned, of, allowed });
  };
  for (const [kind, { add, delete: gone, living }, guard, all] of [
    ['user', user, guards.users, asked.users],
    ['group', group, guards.groups, asked.groups],
  ] as const) {
    check(`${kind} deletions${afterChange(all)}`, gone, living, all ? 0 : mostOf(guard, living));
    check(`${kind} additions`, add, living, fromSmall(guards.additionsPercent, living));
  }
  const { deactivate, edit, living } = user;
  check(`user deactivations${rescoped}`, deactivate, living, mostOf(guards.deactivations, living));
  check(`user edits${rescoped}`, edit, living, fromSmall(guards.editsPercent, living));
  check(`group changes${rescoped}`, group.change, group.living, fromSmall(guards.groups.changesPercent, group.living));
  const { remove, living: held } = membership;
  check('membership removals', remove, held, fromSmall(guards.membershipsPercent, held));
  return breaches;
}

const percentOf = (share: number, of: number) => Math.floor((share * of) / 100);

/** The smaller of count and share. */
function mostOf(guard: Guard, living: number): number {
  const [most, percent] = living < small ? [guard.smallCount, guard.smallPercent] : [guard.count, guard.percent];
  return Math.min(most, percentOf(percent, living));
}

/** A share that is judged only where there are enough rows for one. */
function fromSmall(percent: number, living: number): number {
  return living < small ? Number.POSITIVE_INFINITY : percentOf(percent, living);
}

/**
 * Reserves the seats of a plan in its tenant. The lock makes two connections of one tenant judge one after the other: both
 * could fit alone and exceed the limit together.
 */
async function reserveSeats(
  client: Client,
  plan: Plan,
  seats: number,
  { limit, dryRun, isOpen }: { limit: number | null; dryRun: boolean; isOpen: IsOpen },
): Promise<Judgement['overLimit']> {
  if (seats > 0) {
    await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('syncline seats ' || $1, 0))`, [plan.tenant]);
    const over = limit === null ? null : await overSeats(client, plan, limit, seats, isOpen);
    if (over !== null) return over;
  }
  if (!dryRun) await client.query('UPDATE org.plans SET seats = $2 WHERE id = $1', [plan.id, seats]);
  return null;
}

/**
 * The tenant's people and reserved seats, where the plan does not fit beside them. Then Temporal is asked for the runs that
 * hold the seats: a terminated one closes no plan, and needs none. What is found closed may have ended well meanwhile, so
 * people and seats are counted again without it.
 */
async function overSeats(client: Client, plan: Plan, limit: number, seats: number, isOpen: IsOpen) {
  const closed: number[] = [];
  for (;;) {
    const { living, holders } = await countSeats(client, plan, closed);
    const reserved = holders.reduce((sum, each) => sum + each.seats, 0);
    if (living + reserved + seats <= limit) return null;
    const known = closed.length;
    for (const { id, workflowId, runId } of holders) if (!(await isOpen({ workflowId, runId }))) closed.push(id);
    const reservedBy = holders.map(({ connection }) => connection);
    if (closed.length === known) return { limit, living, planned: seats, reserved, reservedBy };
  }
}

interface Holder extends Execution {
  /** Its plan. */
  id: number;
  connection: string;
  seats: number;
}

/** In one statement: what a plan writes in between is counted once. */
async function countSeats(
  client: Client,
  plan: Plan,
  closed: readonly number[],
): Promise<{ living: number; holders: Holder[] }> {
  const { rows } = await client.query(
    `WITH holders AS (
       SELECT p.id, p.connection_id AS connection, p.workflow_id AS "workflowId", p.run_id AS "runId", p.seats - w.added + w.deleted AS seats
       FROM org.plans p
       JOIN syncline.claims c ON c.connection_id = p.connection_id AND c.pipeline = $3 AND c.epoch = p.epoch
       CROSS JOIN LATERAL (
         SELECT count(*) FILTER (WHERE r.action = 'add' AND u.deleted_at IS NULL)::int AS added,
                count(*) FILTER (WHERE r.action = 'delete' AND u.deleted_at IS NOT NULL)::int AS deleted
         FROM org.change_rows r JOIN org.users u ON u.connection_id = p.connection_id AND u.id = r.source_id AND u.generation = p.id
         WHERE r.plan_id = p.id AND r.kind = 'user') w
       WHERE p.tenant = $1 AND p.id <> $2 AND p.verdict = 'planned' AND EXISTS (SELECT 1 FROM org.stages s WHERE s.plan_id = p.id)
         AND p.connection_id <> $4 AND p.id <> ALL($5))
     SELECT (SELECT count(*)::int FROM org.users WHERE tenant = $1 AND deleted_at IS NULL) AS living,
            (SELECT coalesce(jsonb_agg(h ORDER BY h.connection), '[]') FROM holders h WHERE h.seats > 0) AS holders`,
    [plan.tenant, plan.id, plan.claim.pipeline, plan.claim.connection, closed],
  );
  return rows[0];
}

/** Sum of the changes' hashes: the same list gives the same digest, whatever its order. */
async function digestPlan(client: Client, plan: Plan): Promise<string> {
  const { rows } = await client.query(
    `SELECT to_hex(hashtextextended(coalesce(sum(hashtextextended(ROW(step, kind, action, source_id, group_id, before, after, groups)::text, 0)::numeric), 0)::text, 0)) AS digest
     FROM org.change_rows WHERE plan_id = $1`,
    [plan.id],
  );
  return rows[0].digest;
}
