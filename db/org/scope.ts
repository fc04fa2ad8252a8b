import type { Client } from '../client.ts';
import type { Plan } from './plan.ts';
import { stageTables } from './stage.ts';
import type { Stream } from './stageRows.ts';

/** Key in `org.plans.doubts` under which an applied plan says that its change of scope is not settled for a list. */
const unsettled = (list: Stream) => `unsettled ${list}`;

/**
 * Lists of which somebody may be missing only because he is out of scope: the scope is another one than that of the last
 * applied plan, or that plan left the change unsettled.
 */
export async function rescopedLists(client: Client, plan: Plan): Promise<Record<Stream, boolean>> {
  const { rows } = await client.query(
    `SELECT last.scope <> p.scope OR last.doubts ? '${unsettled('groups')}' AS groups, last.scope <> p.scope OR last.doubts ? '${unsettled('users')}' AS users
     FROM org.plans p JOIN org.plans last ON last.connection_id = p.connection_id AND last.verdict = 'applied' AND NOT last.partial
     WHERE p.id = $1 AND p.verdict = 'planned' ORDER BY last.id DESC LIMIT 1`,
    [plan.id],
  );
  return rows[0] ?? { groups: false, users: false };
}

/**
 * A change of scope is settled once nobody lives on whom the source does not bring any more. Whose deletion was switched
 * off, or not proven, would else be deleted unasked by a later run. Asked before the stage goes.
 */
export async function keepUnsettled(client: Client, plan: Plan): Promise<void> {
  const { connection } = plan.claim;
  const rescoped = await rescopedLists(client, plan);
  for (const list of ['groups', 'users'] as const) {
    if (!rescoped[list]) continue;
    const { rows } = await client.query(
      `SELECT count(*)::int AS n FROM org.${list} o LEFT JOIN ${stageTables(plan.id)[list]} s ON s.id = o.id
       WHERE o.connection_id = $1 AND o.deleted_at IS NULL AND s.id IS NULL`,
      [connection],
    );
    const { n } = rows[0];
    if (n === 0) continue;
    const doubt = `${n} ${list} stay from before a change of scope, their deletion was switched off or not proven: until a run deletes or finds them (npx syncline start orgSync ${connection}), each deletion of ${list} is asked for`;
    await client.query(
      `UPDATE org.plans SET doubts = doubts || jsonb_build_object($2::text, $3::jsonb) WHERE id = $1`,
      [plan.id, unsettled(list), JSON.stringify([doubt])],
    );
  }
}
