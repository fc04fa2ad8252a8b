import type { Client, Pool } from '../client.ts';
import { connectionUnknown, isStanding, stands } from '../connections.ts';
import type { AudienceCounts } from './people.ts';

export interface StoredCampaign {
  id: string;
  no: number;
  connection: string;
  channel: string;
  /** As stored: check it. */
  definition: unknown;
  createdAt: Date;
  frozenAt: Date | null;
  /** When its last run ended; null before, and while one is at work. */
  endedAt: Date | null;
  frozen: Frozen | null;
}

/** What the freeze counted. */
export interface Frozen extends AudienceCounts {
  /** Rows of the partition: recipients and those left out. */
  total: number;
}

/** No campaign of that name: the message lists the names there are. */
export class CampaignUnknown extends Error {
  override name = 'CampaignUnknown';
}

/** The audience is frozen: the definition stands. */
export class CampaignFrozen extends Error {
  override name = 'CampaignFrozen';
}

const columns = `id, no, connection_id AS connection, channel_id AS channel, definition, created_at AS "createdAt", frozen_at AS "frozenAt", ended_at AS "endedAt", frozen`;

/** When and how fast, which may change after the freeze: it does not change who gets what. */
const changeable = ['deadline', 'throttle', 'quiet'];

/**
 * Writes a campaign's definition; the same again changes nothing. Of a frozen one deadline, throttle and quiet hours can be
 * changed: a run at work goes by them from its next slice on.
 * @throws CampaignFrozen for another definition once the audience is frozen; ConnectionUnknown
 */
export async function saveCampaign(
  pool: Pool,
  id: string,
  definition: { audience: { connection: string }; channel: string },
): Promise<'created' | 'changed' | 'same'> {
  const { rows } = await pool.query(
    `INSERT INTO audience.campaigns AS c (id, connection_id, channel_id, definition)
     SELECT $1, $2, $3, $4 WHERE ${stands('$2')} AND ${stands('$3')}
     ON CONFLICT (id) DO UPDATE SET connection_id = $2, channel_id = $3, definition = $4
       WHERE c.definition <> $4::jsonb AND (c.frozen_at IS NULL OR c.definition - $5::text[] = $4::jsonb - $5::text[])
     RETURNING xmax = 0 AS fresh`,
    [id, definition.audience.connection, definition.channel, JSON.stringify(definition), changeable],
  );
  if (rows[0]) return rows[0].fresh ? 'created' : 'changed';
  for (const name of [definition.audience.connection, definition.channel])
    if (!(await isStanding(pool, name))) throw await connectionUnknown(pool, name);
  const same = await pool.query('SELECT definition = $2::jsonb AS same FROM audience.campaigns WHERE id = $1', [
    id,
    JSON.stringify(definition),
  ]);
  if (same.rows[0]?.same) return 'same';
  throw new CampaignFrozen(
    `Campaign "${id}" is frozen: its audience, its text and its rules stand; only ${changeable.join(', ')} can be changed. Make another campaign for the rest: npx syncline campaign create NAME FILE`,
  );
}

/** @throws CampaignUnknown */
export async function loadCampaign(pool: Pool, id: string): Promise<StoredCampaign> {
  const { rows } = await pool.query(`SELECT ${columns} FROM audience.campaigns WHERE id = $1`, [id]);
  if (rows[0]) return rows[0];
  throw await campaignUnknown(pool, id);
}

export async function campaignUnknown(pool: Pool | Client, id: string): Promise<CampaignUnknown> {
  const known = await pool.query('SELECT id FROM audience.campaigns ORDER BY created_at DESC LIMIT 20');
  const names = known.rows.map((row) => row.id).join(', ') || 'none yet';
  return new CampaignUnknown(
    `Campaign "${id.slice(0, 64)}" does not exist. Known campaigns: ${names}. Make it with: npx syncline campaign create ${id.slice(0, 64)} FILE`,
  );
}

/** All campaigns, the newest first. */
export async function listCampaigns(pool: Pool, limit: number): Promise<StoredCampaign[]> {
  const { rows } = await pool.query(`SELECT ${columns} FROM audience.campaigns ORDER BY no DESC LIMIT $1`, [limit]);
  return rows;
}
