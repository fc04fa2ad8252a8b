import { type Claim, writeUnderClaim } from '../claims.ts';
import type { Pool } from '../client.ts';
import { type GrantScope, restore, type StateCounts } from './deliveries.ts';
import { partitionOf } from './freeze.ts';

/** Recipients of a campaign by state, and of those with a reason by state and reason. */
export interface Report {
  states: StateCounts;
  /** E.g. `{"refused 43101": 12, "skipped unsubscribed": 3}`. */
  reasons: Record<string, number>;
}

/** Counts a frozen campaign. */
export async function reportCampaign(pool: Pool, campaignNo: number): Promise<Report> {
  const { rows } = await pool.query(
    `SELECT state, reason, count(*)::int AS n FROM ${partitionOf(campaignNo)} WHERE campaign_no = $1 GROUP BY state, reason ORDER BY n DESC`,
    [campaignNo],
  );
  const states: Record<string, number> = {};
  const reasons: Record<string, number> = {};
  for (const { state, reason, n } of rows) {
    states[state] = (states[state] ?? 0) + n;
    if (reason !== null) reasons[`${state} ${reason}`] = n;
  }
  return { states, reasons };
}

export interface ListedRecipient {
  no: number;
  user: string;
  address: string | null;
  state: string;
  reason: string | null;
  attempt: number;
  providerId: string | null;
  at: Date | null;
}

/** Recipients in a state, for people who must look after them one by one. */
export async function listRecipients(
  pool: Pool,
  campaignNo: number,
  state: string,
  limit: number,
): Promise<ListedRecipient[]> {
  const { rows } = await pool.query(
    `SELECT no, user_id AS user, address, state, reason, attempt, provider_id AS "providerId", at FROM ${partitionOf(campaignNo)}
     WHERE campaign_no = $1 AND state = $2 ORDER BY no LIMIT $3`,
    [campaignNo, state, limit],
  );
  return rows;
}

/**
 * Closes a run of a campaign: what a lost worker left behind is told as unknown, or is planned again where `again` is set and
 * time is left (its grant stays with it: a message may have used it), grants that no message used go back, and after
 * the deadline whoever was not sent to is left out. Of a cancelled run the others stay planned: another start goes on with them.
 */
export async function finishCampaign(
  pool: Pool,
  claim: Claim,
  campaignNo: number,
  { late, again, grants }: { late: boolean; again: boolean; grants: GrantScope | null },
): Promise<Report> {
  const table = partitionOf(campaignNo);
  await writeUnderClaim(pool, claim, { name: 'finish', heavy: true }, async (client) => {
    await client.query(
      `UPDATE ${table} SET state = CASE WHEN state = 'sending' AND NOT $2::boolean THEN 'unknown' ELSE 'planned' END,
         reason = CASE WHEN state = 'sending' THEN 'worker_lost' END, attempt = attempt + CASE WHEN state = 'sending' THEN 1 ELSE 0 END,
         at = now() WHERE campaign_no = $1 AND state IN ('claimed', 'sending')`,
      [campaignNo, again && !late],
    );
    if (late)
      await client.query(
        `UPDATE ${table} SET state = 'skipped', reason = 'deadline', at = now() WHERE campaign_no = $1 AND state = 'planned'`,
        [campaignNo],
      );
    await client.query('UPDATE audience.campaigns SET ended_at = now() WHERE no = $1', [campaignNo]);
    if (!grants) return;
    const { rows } = await client.query(
      `SELECT no FROM ${table} WHERE campaign_no = $1 AND granted AND state IN ('planned', 'skipped', 'refused', 'failed')
         AND reason IS DISTINCT FROM 'worker_lost'`,
      [campaignNo],
    );
    if (rows.length > 0)
      await restore(
        client,
        table,
        campaignNo,
        rows.map((row) => row.no),
        grants,
      );
  });
  return reportCampaign(pool, campaignNo);
}
