import type { Client } from '../client.ts';
import type { Plan } from './plan.ts';

/**
 * Keeps what a pass hands back.
 * @param stream groups, users or memberships
 * @param select query with columns source_id, reason, field, record, position
 * @returns how many it hands back
 */
export async function keepRejects(client: Client, plan: Plan, stream: string, select: string): Promise<number> {
  const { connection, pipeline, epoch } = plan.claim;
  const { rowCount } = await client.query(
    `INSERT INTO syncline.rejects AS r (connection_id, pipeline, stream, source_id, reason, field, record, position, epoch)
     SELECT $1, $2, $3, s.* , $4 FROM (${select}) s ORDER BY 4
     ON CONFLICT (connection_id, pipeline, stream, source_id) DO UPDATE
       SET reason = excluded.reason, field = excluded.field, record = excluded.record, position = excluded.position,
           epoch = $4, last_seen = now(), resolved_at = NULL`,
    [connection, pipeline, stream, epoch],
  );
  return rowCount ?? 0;
}

/**
 * Settles what an applied plan of the whole directory handed back no more. Not before it is applied: a record repaired at
 * the source stays open after a plan that wrote nothing of it.
 */
export async function settleHandedBack(client: Client, { id, claim }: Plan): Promise<void> {
  const { connection, pipeline, epoch } = claim;
  await client.query(
    `UPDATE syncline.rejects SET resolved_at = now()
     WHERE connection_id = $1 AND pipeline = $2 AND resolved_at IS NULL AND epoch < $3`,
    [connection, pipeline, epoch],
  );
  await client.query(
    'UPDATE org.conflicts SET resolved_at = now() WHERE connection_id = $1 AND resolved_at IS NULL AND plan_id < $2',
    [connection, id],
  );
}
