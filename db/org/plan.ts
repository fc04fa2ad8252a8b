import { type Claim, type Execution, writeUnderClaim } from '../claims.ts';
import type { Client, Pool } from '../client.ts';
import { knowRows } from '../statistics.ts';
import { settleHandedBack } from './rejects.ts';
import { keepUnsettled } from './scope.ts';
import { createStage, dropStages } from './stage.ts';
import { countWritten, returnNames, type Written } from './written.ts';

/** Steps that write, in the order they are applied. */
export const applySteps = ['deleteUsers', 'addGroups', 'moveUsers', 'addUsers', 'editUsers', 'deleteGroups'] as const;
export type ApplyStep = (typeof applySteps)[number];
export type Mode = 'full' | 'incremental';

/** Numbers between which the changes of a step stand, both included; changes of other steps may stand among them. */
export interface Range {
  from: number;
  to: number;
}

/** The range of a step and how many changes in it are the step's own. */
export interface StepRange extends Range {
  count: number;
}

/** What the activities of a run hand to each other. Ids and settings only. */
export interface Plan {
  id: number;
  claim: Claim;
  tenant: string;
  mode: Mode;
  /** Source id when the run looks at one person. */
  only: string | null;
  attempt: number;
  /** Digest of what the connection said to read when the plan was opened; absent from a run that an older version began. */
  reads?: string;
}

/** A plan with the claim of whoever asks about it or closes it. */
export type PlanOfClaim = Pick<Plan, 'id' | 'claim'>;

export interface PlanRequest extends Execution {
  claim: Claim;
  tenant: string;
  /** Undefined: incremental. The first run and one after a change of scope are full, whatever was asked. */
  mode: Mode | undefined;
  scope: string;
  dryRun: boolean;
  only: string | null;
  attempt: number;
  changesDays: number;
}

/**
 * Opens a plan with an empty stage; closes plans that ended runs of the connection left open, drops their stages, and
 * history past its days.
 */
export async function openPlan(pool: Pool, request: PlanRequest): Promise<Plan & { scopeChanged: boolean }> {
  const { claim, only } = request;
  const left = await leftOpen(pool, request);
  for (const plan of left) await knowDirectory(pool, plan);
  return writeUnderClaim(pool, claim, { name: 'prepare' }, async (client) => {
    for (const plan of left) await endPlan(client, plan, 'cancelled');
    const last = await lastApplied(client, claim.connection);
    const scopeChanged = last !== null && last.scope !== request.scope;
    const mode = last === null || scopeChanged ? 'full' : (request.mode ?? 'incremental');
    // Stages first: they are found by their plan's row. The last applied plan stays, however old: it holds the scope.
    await dropStages(client, claim.connection);
    await client.query(
      `WITH old AS (
         DELETE FROM org.plans WHERE connection_id = $1 AND created_at < now() - make_interval(days => $2) AND id <> $3 RETURNING id)
       DELETE FROM org.change_rows c USING old WHERE c.plan_id = old.id`,
      [claim.connection, request.changesDays, last?.id ?? 0],
    );
    await client.query(
      'DELETE FROM org.conflicts WHERE connection_id = $1 AND resolved_at < now() - make_interval(days => $2)',
      [claim.connection, request.changesDays],
    );
    const { rows } = await client.query(
      `INSERT INTO org.plans (connection_id, tenant, epoch, attempt, workflow_id, run_id, mode, scope, dry_run, partial)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id::int`,
      [
        claim.connection,
        request.tenant,
        claim.epoch,
        request.attempt,
        request.workflowId,
        request.runId,
        mode,
        request.scope,
        request.dryRun,
        only !== null,
      ],
    );
    const id: number = rows[0].id;
    await createStage(client, claim.connection, id);
    return { id, claim, tenant: request.tenant, mode, only, attempt: request.attempt, scopeChanged };
  });
}

/**
 * Plans that nobody closes any more: their run was terminated. Those of this attempt are left out: an attempt of `prepare`
 * that stood still may come when its successor's plan is at work. A dry run's plan is open while it has a stage.
 */
async function leftOpen(pool: Pool, { claim, attempt }: PlanRequest): Promise<PlanOfClaim[]> {
  const { rows } = await pool.query(
    `SELECT id::int FROM org.plans p WHERE connection_id = $1 AND verdict = 'planned' AND (epoch, attempt) < ($2, $3)
       AND (NOT dry_run OR EXISTS (SELECT 1 FROM org.stages s WHERE s.plan_id = p.id))`,
    [claim.connection, claim.epoch, attempt],
  );
  return rows.map(({ id }) => ({ id, claim }));
}

async function lastApplied(client: Client, connection: string): Promise<{ id: number; scope: string } | null> {
  const { rows } = await client.query(
    `SELECT id::int, scope FROM org.plans WHERE connection_id = $1 AND verdict = 'applied' AND NOT partial ORDER BY id DESC LIMIT 1`,
    [connection],
  );
  return rows[0] ?? null;
}

/** Numbers changes as they are inserted and remembers which step they belong to. */
export class ChangeWriter {
  private next: number;
  readonly client: Client;
  readonly plan: Plan;
  private readonly ranges: Partial<Record<ApplyStep, StepRange>>;

  private constructor(client: Client, plan: Plan, next: number, ranges: Partial<Record<ApplyStep, StepRange>>) {
    this.client = client;
    this.plan = plan;
    this.next = next;
    this.ranges = ranges;
  }

  /** Removes what an attempt of an older version wrote, which left no marks (db/org/marks.ts); goes on behind what stays. */
  static async open(client: Client, plan: Plan, kinds: readonly string[]): Promise<ChangeWriter> {
    await client.query('DELETE FROM org.change_rows WHERE plan_id = $1 AND kind = ANY($2)', [plan.id, kinds]);
    const { rows } = await client.query(
      `SELECT steps, (SELECT coalesce(max(no), 0) FROM org.change_rows WHERE plan_id = $1) AS no FROM org.plans WHERE id = $1`,
      [plan.id],
    );
    return new ChangeWriter(client, plan, rows[0].no + 1, rows[0].steps);
  }

  /**
   * Inserts the changes that `select` gives for one step.
   * @param select query with columns kind, action, source_id, group_id, before, after, groups, in the order of application
   * @param values its parameters from $1 on
   */
  async add(step: ApplyStep, select: string, values: unknown[]): Promise<number> {
    const n = values.length;
    const { rowCount } = await this.client.query(
      `INSERT INTO org.change_rows (plan_id, no, step, kind, action, source_id, group_id, before, after, groups)
       SELECT $${n + 1}::bigint, $${n + 2}::int + (row_number() OVER ())::int, $${n + 3}::text, s.* FROM (${select}) s`,
      [...values, this.plan.id, this.next - 1, step],
    );
    return this.taken(step, rowCount ?? 0);
  }

  private taken(step: ApplyStep, count: number): number {
    if (count === 0) return 0;
    const known = this.ranges[step];
    this.ranges[step] = {
      from: known?.from ?? this.next,
      to: this.next + count - 1,
      count: (known?.count ?? 0) + count,
    };
    this.next += count;
    return count;
  }

  /** Stores the ranges with the plan. */
  async close(): Promise<void> {
    await this.client.query('UPDATE org.plans SET steps = $2 WHERE id = $1', [
      this.plan.id,
      JSON.stringify(this.ranges),
    ]);
  }
}

/** Keeps with the plan what a list did not tell or prove; people find it in `status` while the plan is the last applied one. */
export async function keepDoubts(client: Client, plan: Plan, list: string, doubts: readonly string[]): Promise<void> {
  await client.query(`UPDATE org.plans SET doubts = doubts || jsonb_build_object($2::text, $3::jsonb) WHERE id = $1`, [
    plan.id,
    list,
    JSON.stringify(doubts),
  ]);
}

/**
 * How a plan ended; `planned` is one that is open, or a dry run's. A failed or cancelled one may be written in part; one
 * whose run was terminated is cancelled when the next run of the connection begins.
 */
export type Verdict = 'planned' | 'applied' | 'declined' | 'failed' | 'cancelled';

/** Before steps that compare a directory with ours as a whole, or write many changes: see `knowRows`. */
export async function knowDirectory(pool: Pool, plan: PlanOfClaim): Promise<void> {
  for (const table of ['org.groups', 'org.users', 'org.memberships'])
    await knowRows(pool, table, { connection_id: plan.claim.connection });
  await knowRows(pool, 'org.change_rows', { plan_id: plan.id });
}

/** Rows a plan must have written for fresh statistics to be worth their 100 ms. */
const manyChanges = 500;

/**
 * The plan is done: its stage goes, its changes stay.
 * @returns what a failed or cancelled one has written nevertheless
 */
export async function closePlan(pool: Pool, plan: Plan, verdict: Verdict): Promise<Written> {
  if (verdict === 'failed' || verdict === 'cancelled') await knowDirectory(pool, plan);
  return writeUnderClaim(pool, plan.claim, { name: 'finish' }, async (client) => {
    const whole = verdict === 'applied' && plan.only === null;
    if (whole) await keepUnsettled(client, plan);
    const written = await endPlan(client, plan, verdict);
    await dropStages(client, plan.claim.connection);
    if (whole) await settleHandedBack(client, plan);
    if (verdict === 'applied') await refreshStatistics(client, plan);
    return written;
  });
}

/** @returns what a failed or cancelled plan has written */
async function endPlan(client: Client, plan: PlanOfClaim, verdict: Verdict): Promise<Written> {
  const broken = verdict === 'failed' || verdict === 'cancelled';
  const written = broken ? await countWritten(client, plan) : {};
  if (broken) await returnNames(client, plan);
  await client.query(
    `UPDATE org.plans SET verdict = $2, seats = 0, applied_at = CASE WHEN $2 = 'applied' THEN now() END, written = $3 WHERE id = $1`,
    [plan.id, verdict, JSON.stringify(written)],
  );
  return written;
}

/**
 * Without statistics the next plan joins 3,000 rows by nested loops (2.2 s instead of 0.1 s): autovacuum comes a minute
 * later. One run at a time does it; the others need not wait.
 */
async function refreshStatistics(client: Client, plan: Plan): Promise<void> {
  const { rows } = await client.query(
    `SELECT EXISTS (SELECT 1 FROM org.change_rows WHERE plan_id = $1 AND no >= $2)
            AND pg_try_advisory_xact_lock(hashtextextended('syncline org statistics', 0)) AS due`,
    [plan.id, manyChanges],
  );
  // Of people only what plans join by: the other columns took half of the time.
  if (rows[0].due)
    await client.query(
      'ANALYZE org.groups, org.users (connection_id, id, tenant, user_name_key, deleted_at), org.memberships',
    );
}
