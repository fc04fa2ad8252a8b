import type { Client } from '../client.ts';
import type { ApplyStep, Plan, StepRange } from './plan.ts';

/** What became of a plan that waited. */
export interface NamesConfirmed {
  /** New people, and people with edits, whose name somebody else took meanwhile: handed back as conflicts. */
  added: number;
  edited: number;
  ranges: Partial<Record<ApplyStep, StepRange>>;
}

/**
 * Looks again, right before a plan that waited is written, for names that another connection of the tenant has taken
 * since. Whoever wants one is handed back and leaves the plan: what was approved is written without him. One who keeps
 * his old name may hold another's new one, so it is asked again until nobody is added.
 * @param skipped steps that will not run: they take and give back no names
 */
export async function confirmNames(client: Client, plan: Plan, skipped: ApplyStep[]): Promise<NamesConfirmed> {
  const { connection } = plan.claim;
  const done = { added: 0, edited: 0 };
  for (;;) {
    const { rows } = await client.query(
      `WITH wants AS (
         SELECT c.source_id AS id, c.after[1] AS user_name FROM org.change_rows c
         LEFT JOIN org.users m ON m.connection_id = $1 AND m.id = c.source_id
         WHERE c.plan_id = $3 AND c.kind = 'user' AND c.action IN ('add', 'edit') AND c.step <> ALL($4)
           AND m.user_name_key IS DISTINCT FROM lower(c.after[1])),
       held AS (
         SELECT w.id, w.user_name, o.connection_id, o.id AS owner_id FROM wants w
         JOIN org.users o ON o.tenant = $2 AND o.user_name_key = lower(w.user_name) AND (o.connection_id, o.id) <> ($1, w.id)
         WHERE NOT (o.connection_id = $1 AND EXISTS (
           SELECT 1 FROM org.change_rows g WHERE g.plan_id = $3 AND g.kind = 'user' AND g.source_id = o.id AND g.step <> ALL($4)
             AND (g.action = 'delete' OR (g.action = 'edit' AND lower(g.after[1]) <> o.user_name_key))))),
       told AS (
         INSERT INTO org.conflicts (connection_id, source_id, user_name, owner_connection_id, owner_source_id, plan_id)
         SELECT $1, id, user_name, connection_id, owner_id, $3 FROM held
         ON CONFLICT (connection_id, source_id) DO UPDATE SET user_name = excluded.user_name, plan_id = $3, resolved_at = NULL,
           owner_connection_id = excluded.owner_connection_id, owner_source_id = excluded.owner_source_id)
       DELETE FROM org.change_rows c USING held h
       WHERE c.plan_id = $3 AND c.source_id = h.id AND (c.kind = 'user' OR (c.kind = 'membership'
         AND NOT EXISTS (SELECT 1 FROM org.change_rows d
           WHERE d.plan_id = $3 AND d.kind = 'group' AND d.action = 'delete' AND d.source_id = c.group_id)))
       RETURNING c.kind, c.action`,
      [connection, plan.tenant, plan.id, skipped],
    );
    const people = rows.filter(({ kind }) => kind === 'user');
    if (people.length === 0) break;
    const added = people.filter(({ action }) => action === 'add').length;
    done.added += added;
    done.edited += people.length - added;
  }
  return { ...done, ranges: await countAnew(client, plan, done.added) };
}

/** The plan's ranges and seats without those who left it. */
async function countAnew(client: Client, plan: Plan, fewer: number): Promise<NamesConfirmed['ranges']> {
  const { rows } = await client.query(
    `UPDATE org.plans p SET seats = p.seats - $2, steps = coalesce((
       SELECT jsonb_object_agg(step, jsonb_build_object('from', first, 'to', last, 'count', n))
       FROM (SELECT step, min(no) AS first, max(no) AS last, count(*) AS n FROM org.change_rows WHERE plan_id = $1 GROUP BY 1) s), '{}')
     WHERE id = $1 RETURNING steps`,
    [plan.id, fewer],
  );
  return rows[0].steps;
}
