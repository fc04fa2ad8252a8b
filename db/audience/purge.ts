import { randomUUID } from 'node:crypto';
import { type Execution, takeClaim, writeUnderClaim } from '../claims.ts';
import type { Pool } from '../client.ts';
import { partitionOf } from './freeze.ts';

/** A frozen campaign whose last run ended before a moment. */
export interface PastCampaign {
  id: string;
  no: number;
  /** Connection of the people. */
  connection: string;
  /** Rows of its partition. */
  total: number;
  endedAt: Date;
  /** Days of the longest cap among the campaigns to the same people, where these days go back to before its end; else null. */
  cappedBy: number | null;
}

/** Where a run was cut off nobody wrote down its end: its last outcome stands for that. */
export async function pastCampaigns(pool: Pool, before: Date): Promise<PastCampaign[]> {
  const { rows } = await pool.query(
    `SELECT c.id, c.no, c.connection_id AS connection, (c.frozen->>'total')::int AS total, c.frozen_at AS "frozenAt", c.ended_at AS "endedAt", m.days,
       now() - m.days * interval '1 day' AS "capFrom"
     FROM audience.campaigns c CROSS JOIN LATERAL (
       SELECT max((o.definition #>> '{cap,days}')::int) AS days FROM audience.campaigns o WHERE o.connection_id = c.connection_id) m
     WHERE c.frozen_at < $1 AND (c.ended_at IS NULL OR c.ended_at < $1) ORDER BY c.no`,
    [before],
  );
  const found: PastCampaign[] = [];
  for (const { frozenAt, days, capFrom, ...row } of rows) {
    const endedAt: Date = row.endedAt ?? (await lastOutcome(pool, row.no)) ?? frozenAt;
    const cappedBy = capFrom !== null && endedAt > capFrom ? days : null;
    if (endedAt < before) found.push({ ...row, endedAt, cappedBy });
  }
  return found;
}

async function lastOutcome(pool: Pool, no: number): Promise<Date | null> {
  const { rows } = await pool.query(`SELECT max(at) AS at FROM ${partitionOf(no)}`);
  return rows[0].at;
}

/** Somebody reads or freezes deliveries for longer than this: whoever sends must not wait behind us. */
const lockWait = '5s';

/**
 * Deletes a campaign: its definition, its deliveries, its claims. Under its claim, so that no run of it is at work or begins
 * meanwhile. Unsubscribes and grants stay.
 * @param before null: whenever it ended, and also where it was never frozen
 * @returns false while a run of it is open, or where one ended later after all
 */
export async function purgeCampaign(
  pool: Pool,
  { id, no }: Pick<PastCampaign, 'id' | 'no'>,
  before: Date | null,
  isOpen: (execution: Execution) => Promise<boolean>,
): Promise<boolean> {
  const connection = `campaign ${id}`;
  const nobody = { workflowId: 'campaign purge', runId: randomUUID() };
  const claim = await takeClaim(pool, { connection, pipeline: 'campaign', ...nobody, isOpen });
  if ('heldBy' in claim) return false;
  return writeUnderClaim(pool, claim, { name: 'purge' }, async (client) => {
    await client.query(`SET LOCAL lock_timeout = '${lockWait}'`);
    const { rowCount } = await (before === null
      ? client.query('DELETE FROM audience.campaigns WHERE no = $1', [no])
      : client.query(
          `DELETE FROM audience.campaigns WHERE no = $1 AND coalesce(ended_at, (SELECT max(at) FROM ${partitionOf(no)}), frozen_at) < $2`,
          [no, before],
        ));
    if (rowCount === 0) return false;
    await client.query(`DROP TABLE IF EXISTS ${partitionOf(no)}`);
    await client.query('DELETE FROM syncline.claims WHERE connection_id = $1', [connection]);
    return true;
  });
}
