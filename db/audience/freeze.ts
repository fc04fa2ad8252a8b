import { type Claim, writeUnderClaim } from '../claims.ts';
import type { Pool } from '../client.ts';
import { campaignUnknown, type Frozen } from './campaigns.ts';
import { countsOf, type People, peopleSql, Statement, setBased, sharedSql } from './people.ts';

/** The campaign's partition of audience.deliveries. */
export const partitionOf = (campaignNo: number) => `audience.deliveries_${Math.trunc(campaignNo)}`;

/** Nobody is left to send to. */
export class EmptyAudience extends Error {
  override name = 'EmptyAudience';
  constructor(campaign: string, skipped: Record<string, number>) {
    const left = Object.entries(skipped).map(([reason, n]) => `${n} ${reason}`);
    super(
      `Campaign "${campaign}" has nobody to send to: ${left.length > 0 ? `left out are ${left.join(', ')}` : 'its filter meets nobody'}. Nothing was frozen; look with: npx syncline campaign preview ${campaign}`,
    );
  }
}

/** Rows are rewritten three times in place: half of each page is left for that. */
const fillFactor = 50;

/**
 * Freezes an audience by one statement into a partition of its own: who gets the message, and who is left out with the
 * reason. Indexes are built after the load (a million rows: 5 s instead of 19 s), and prove that each user and each address
 * stands there once. All in one transaction: a kill leaves nothing, and asking again after the end returns the same counts.
 * @param perMessageId true: callbacks name messages by the channel's id, which gets an index
 */
export async function freezeAudience(
  pool: Pool,
  claim: Claim,
  campaign: { id: string; no: number },
  people: People,
  perMessageId: boolean,
): Promise<Frozen> {
  return writeUnderClaim(pool, claim, { name: 'freeze', heavy: true }, async (client) => {
    // The row stays locked: nobody deletes the campaign meanwhile, and what leaves from now on is not behind its end.
    const known = await client.query('UPDATE audience.campaigns SET ended_at = NULL WHERE no = $1 RETURNING frozen', [
      campaign.no,
    ]);
    if (!known.rows[0]) throw await campaignUnknown(client, campaign.id);
    if (known.rows[0].frozen) return known.rows[0].frozen;
    const table = partitionOf(campaign.no);
    await client.query(
      `SET LOCAL maintenance_work_mem = '256MB'; CREATE TABLE ${table} (LIKE audience.deliveries INCLUDING DEFAULTS) WITH (fillfactor = ${fillFactor}, autovacuum_vacuum_scale_factor = 0.5)`,
    );
    await setBased(client);
    const statement = new Statement();
    const no = statement.put(campaign.no);
    const shared = sharedSql(people, statement);
    const { rows } = await client.query(
      `WITH p AS (${peopleSql(people, statement)}),
       put AS (
         INSERT INTO ${table} (campaign_no, no, user_id, address, state, reason, records, order_id, same_person)
         SELECT ${no}, row_number() OVER (ORDER BY (reason IS NOT NULL)), id, CASE WHEN reason IS NULL THEN p.address END,
           CASE WHEN reason IS NULL THEN 'planned' ELSE 'skipped' END, reason, records, order_id, ${shared ? 's.ids' : 'NULL'}
         FROM p ${shared ? `LEFT JOIN (${shared}) s ON p.reason IS NULL AND s.address = p.address` : ''}
         RETURNING reason, records)
       SELECT reason, count(*)::int AS n, sum(records)::int AS records FROM put GROUP BY reason`,
      statement.values,
    );
    await client.query(`
      ALTER TABLE ${table} ADD PRIMARY KEY (campaign_no, no);
      ALTER TABLE ${table} ADD UNIQUE (campaign_no, user_id);
      ALTER TABLE ${table} ADD UNIQUE (campaign_no, address);
      ${perMessageId ? `CREATE INDEX ON ${table} (provider_id) WHERE provider_id IS NOT NULL;` : ''}
      ALTER TABLE ${table} ADD CONSTRAINT own CHECK (campaign_no = ${Math.trunc(campaign.no)});
      ALTER TABLE audience.deliveries ATTACH PARTITION ${table} FOR VALUES IN (${Math.trunc(campaign.no)})`);
    // Without statistics the first shards would be read by the plans of an empty table.
    // Grants and unsubscribes come in by the thousand before a campaign: without fresh statistics taking them was slower than sending.
    await client.query(`ANALYZE ${table}, audience.grants, audience.unsubscribes`);
    const counts = countsOf(rows);
    // The transaction is rolled back: what is corrected can be frozen anew.
    if (counts.recipients === 0) throw new EmptyAudience(campaign.id, counts.skipped);
    const total = rows.reduce((sum, row) => sum + row.n, 0);
    const frozen: Frozen = { ...counts, total };
    await client.query('UPDATE audience.campaigns SET frozen_at = now(), frozen = $2 WHERE id = $1', [
      campaign.id,
      JSON.stringify(frozen),
    ]);
    return frozen;
  });
}
