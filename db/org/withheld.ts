import type { Client } from '../client.ts';
import { changeFields } from '../schema/org.ts';
import type { Plan } from './plan.ts';
import { stageTables } from './stage.ts';

const ours = (active: string) => `ARRAY[${changeFields.user.map((f) => (f === 'active' ? active : `o.${f}::text`))}]`;

/**
 * Changes of living people who are handed back and whom the source suspends: that alone is written, for whoever left must
 * not keep access for a bad mail address. Two people under one id are not told apart, and whose name key an earlier plan
 * lent to somebody else cannot be written before it is back.
 */
export function suspensions(plan: Plan): string {
  return `
    SELECT 'user', 'edit', o.id, NULL::text, ${ours('o.active::text')}, ${ours(`'false'`)}, NULL::text[]
    FROM ${stageTables(plan.id).users} u JOIN org.users o ON o.connection_id = $1 AND o.id = u.id
    WHERE u.reason <> 'duplicate_id' AND NOT u.active AND o.active AND o.deleted_at IS NULL AND o.user_name_key IS NOT NULL
    ORDER BY o.id`;
}

/** What of the source's word about people who are handed back is written, and what they keep against it. */
export async function describeWithheld(client: Client, plan: Plan, suspended: number): Promise<string[]> {
  const stage = stageTables(plan.id);
  const { rows } = await client.query(
    `SELECT count(DISTINCT u.id)::int AS people, count(*)::int AS kept
     FROM ${stage.users} u JOIN org.memberships e ON e.connection_id = $1 AND e.user_id = u.id
     JOIN ${stage.tree} t ON t.id = e.group_id AND t.depth IS NOT NULL AND t.members_read
     WHERE u.reason <> 'out_of_scope' AND NOT EXISTS (SELECT 1 FROM ${stage.members} m
       WHERE m.group_id = e.group_id AND m.member_id = e.user_id AND m.is_group IS NOT TRUE)`,
    [plan.claim.connection],
  );
  const { people, kept } = rows[0];
  return [
    ...(suspended > 0
      ? [`${suspended} people who are handed back are suspended as the source says; nothing else of them is written`]
      : []),
    ...(kept > 0
      ? [
          `${people} people who are handed back keep ${kept} memberships that the source tells no more: npx syncline rejects ${plan.claim.connection}`,
        ]
      : []),
  ];
}
