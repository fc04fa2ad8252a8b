import type { Pool } from '../client.ts';
import type { Part, ReadTable } from './tables.ts';

/**
 * Writers whose changes fire no trigger of ours, each a sentence: a subscription applies rows without statement triggers,
 * and sessions with `session_replication_role = replica` fire only triggers that are ENABLE ALWAYS. A session that sets
 * it for itself cannot be seen.
 */
export async function silentWriters(pool: Pool, tables: readonly ReadTable[]): Promise<string[]> {
  const oids = tables.map(({ oid }) => oid);
  const fed = await pool.query(
    `SELECT DISTINCT s.subname AS subscription, t.name FROM unnest($1::oid[], $2::text[]) AS t(oid, name)
     JOIN pg_subscription_rel r ON r.srrelid = t.oid OR r.srrelid IN (SELECT relid FROM pg_partition_tree(t.oid))
     JOIN pg_subscription s ON s.oid = r.srsubid ORDER BY 1, 2`,
    [oids, tables.map(({ name }) => name)],
  );
  const muted = await pool.query(
    `SELECT CASE WHEN setrole = 0 THEN 'every role' ELSE 'role ' || setrole::regrole::text END AS who FROM pg_db_role_setting
     WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
       AND 'session_replication_role=replica' = ANY (setconfig)
     UNION SELECT 'this server' WHERE current_setting('session_replication_role') = 'replica' ORDER BY 1`,
  );
  return [
    ...fed.rows.map(
      ({ subscription, name }) =>
        `${name} is fed by the subscription ${subscription}, whose rows fire no statement trigger: such changes are not captured. Send everybody from time to time: --mode full`,
    ),
    ...muted.rows.map(
      ({ who }) =>
        `sessions of ${who} have session_replication_role = replica, which fires no trigger that is not ENABLE ALWAYS: their changes may not be captured`,
    ),
  ];
}

/** A partition that came after the triggers were made. Rows that came with it are seen by the shape of its table. */
export const sayBare = ({ name, table }: Part & { table: Part }, connection: string) =>
  `${name} has come to ${table.name} without triggers: the next run looks at everybody, but statements that name ${name} itself are not captured. Capture them: npx syncline capture install ${connection}`;
