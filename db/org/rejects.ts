import type { Client } from '../client.ts';
import type { Plan } from './plan.ts';

/** Query for `keepRejects` when a pass hands nothing back. */
export const noRejects = `SELECT NULL::text AS source_id, NULL::text AS reason, NULL::text AS field, NULL::text AS record, NULL::text AS position WHERE false`;

/**
 * Keeps what a pass hands back and resolves what it no longer does.
 * @param stream groups, users or memberships
 * @param select query with columns source_id, reason, field, record, position
 * @returns how many stand after the pass
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
  if (plan.only === null) {
    await client.query(
      `UPDATE syncline.rejects SET resolved_at = now()
       WHERE connection_id = $1 AND pipeline = $2 AND stream = $3 AND resolved_at IS NULL AND epoch < $4`,
      [connection, pipeline, stream, epoch],
    );
  }
  return rowCount ?? 0;
}
