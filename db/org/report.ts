import type { Pool } from '../client.ts';
import type { HandedBackFilter } from '../report.ts';
import { applySteps } from './plan.ts';
import type { Written } from './written.ts';

/** Read-only questions of people: what stands in the tables, what a plan changes, what was handed back. */

/** Whether Postgres answers at all; why it does not is no part of the question. */
export async function postgresAnswers(pool: Pool): Promise<boolean> {
  return pool.query('SELECT 1').then(
    () => true,
    () => false,
  );
}

/** Where a connection stands in the database; Temporal knows what its run does. */
export interface Standing {
  living: { users: number; groups: number; memberships: number };
  /** Handed back and not repaired yet. */
  open: { rejects: number; conflicts: number };
  /** Last applied plan of the whole directory: the tables show the source as of `readAt`, when its reading began. */
  applied: { plan: number; readAt: Date; appliedAt: Date } | null;
  /** What that plan was not told or could not trust, as sentences: who is missing may still be held. */
  doubts: string[];
}

export async function readStanding(pool: Pool, connection: string): Promise<Standing> {
  const { rows } = await pool.query(
    `SELECT (SELECT count(*)::int FROM org.users WHERE connection_id = $1 AND deleted_at IS NULL) AS users,
            (SELECT count(*)::int FROM org.groups WHERE connection_id = $1 AND deleted_at IS NULL) AS groups,
            (SELECT count(*)::int FROM org.memberships WHERE connection_id = $1) AS memberships,
            (SELECT count(*)::int FROM syncline.rejects
             WHERE connection_id = $1 AND pipeline = 'org' AND resolved_at IS NULL) AS rejects,
            (SELECT count(*)::int FROM org.conflicts WHERE connection_id = $1 AND resolved_at IS NULL) AS conflicts`,
    [connection],
  );
  const applied = await pool.query(
    `SELECT id::int AS plan, created_at AS "readAt", applied_at AS "appliedAt",
            ARRAY(SELECT jsonb_array_elements_text(d.value) FROM jsonb_each(doubts) d) AS doubts
     FROM org.plans WHERE connection_id = $1 AND verdict = 'applied' AND NOT partial ORDER BY id DESC LIMIT 1`,
    [connection],
  );
  const { users, groups, memberships, rejects, conflicts } = rows[0];
  const { doubts, ...last } = applied.rows[0] ?? {};
  return {
    living: { users, groups, memberships },
    open: { rejects, conflicts },
    applied: applied.rows.length > 0 ? last : null,
    doubts: doubts ?? [],
  };
}

export interface PlanRow {
  id: number;
  mode: 'full' | 'incremental';
  /** As in org.plans; a plan that waits and that of a dry run are `planned`. */
  verdict: string;
  dryRun: boolean;
  partial: boolean;
  workflowId: string;
  createdAt: Date;
  appliedAt: Date | null;
  /** Of a failed or cancelled plan: how many of its changes stand, by step. */
  written: Written;
}

/** Plans of a connection, the latest first; `id` picks one. */
export async function listPlans(pool: Pool, connection: string, limit: number, id?: number): Promise<PlanRow[]> {
  const { rows } = await pool.query(
    `SELECT id::int, mode, verdict, dry_run AS "dryRun", partial, workflow_id AS "workflowId", created_at AS "createdAt",
            applied_at AS "appliedAt", written
     FROM org.plans WHERE connection_id = $1 AND ($2::bigint IS NULL OR id = $2) ORDER BY plans.id DESC LIMIT $3`,
    [connection, id ?? null, limit],
  );
  return rows;
}

export interface ChangeCount {
  step: string;
  kind: 'user' | 'group' | 'membership';
  action: string;
  count: number;
}

/** Place of a step in the order of application; numbers are given in the order of planning. */
const applied = `array_position(ARRAY[${applySteps.map((step) => `'${step}'`).join(', ')}], step)`;

/** What a plan changes, counted; steps in the order they are applied. */
export async function countChanges(pool: Pool, plan: number): Promise<ChangeCount[]> {
  const { rows } = await pool.query(
    `SELECT step, kind, action, count(*)::int AS count FROM org.changes WHERE plan_id = $1 GROUP BY 1, 2, 3
     ORDER BY ${applied}, 2, 3`,
    [plan],
  );
  return rows;
}

export interface ChangeRow {
  no: number;
  step: string;
  kind: 'user' | 'group' | 'membership';
  action: string;
  sourceId: string;
  groupId: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
}

/** Changes of a plan in the order they are applied. `sourceId` finds a person's memberships and a group's members too. */
export async function listChanges(
  pool: Pool,
  plan: number,
  filter: { step?: string; sourceId?: string; limit: number },
): Promise<ChangeRow[]> {
  const { rows } = await pool.query(
    `SELECT no, step, kind, action, source_id AS "sourceId", group_id AS "groupId", before, after FROM org.changes
     WHERE plan_id = $1 AND ($2::text IS NULL OR step = $2) AND ($3::text IS NULL OR source_id = $3 OR group_id = $3)
     ORDER BY ${applied}, no, kind DESC, group_id LIMIT $4`,
    [plan, filter.step ?? null, filter.sourceId ?? null, filter.limit],
  );
  return rows;
}

export interface ConflictRow {
  connection: string;
  sourceId: string;
  ownerConnection: string;
  ownerSourceId: string;
  firstSeen: Date;
  /** The name both want, only when asked for: it is personal data. */
  userName?: string;
}

/** People whose user name somebody else in the tenant holds, the longest waiting first, and how many there are in all. */
export async function listConflicts(
  pool: Pool,
  filter: Omit<HandedBackFilter, 'stream'> & { names: boolean },
): Promise<{ rows: ConflictRow[]; total: number }> {
  const where = 'resolved_at IS NULL AND ($1::text IS NULL OR connection_id = $1)';
  const connection = filter.connection ?? null;
  const { rows } = await pool.query(
    `SELECT connection_id AS connection, source_id AS "sourceId", owner_connection_id AS "ownerConnection",
            owner_source_id AS "ownerSourceId", first_seen AS "firstSeen" ${filter.names ? ', user_name AS "userName"' : ''}
     FROM org.conflicts WHERE ${where} ORDER BY first_seen, connection_id, source_id LIMIT $2`,
    [connection, filter.limit],
  );
  const total = await pool.query(`SELECT count(*)::int AS n FROM org.conflicts WHERE ${where}`, [connection]);
  return { rows, total: total.rows[0].n };
}
