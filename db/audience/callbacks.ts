import { createHash } from 'node:crypto';
import { type Client, type Pool, transaction } from '../client.ts';
import { isStanding } from '../connections.ts';
import { partitionOf } from './freeze.ts';

/** What a channel tells of a message that left. */
export interface ToldOutcome {
  /** Our key, or the channel's id of the message. */
  id: string;
  delivered: boolean;
  reason?: string;
  /** Who got it, and by which template, where the channel tells: for messages whose id we never heard. */
  address?: string;
  template?: string;
}

export interface ToldGrant {
  address: string;
  template: string;
  change: 'one-more' | 'none';
  /** What makes the event one of its kind. */
  event: string;
}

/** Messages older than this are no longer looked for. */
const lookedFor = '35 days';
const remembered = '30 days';
/** An answer that is still on its way loses against what the channel tells; of a message that would be sent again it tells that it need not be. */
const open = `(d.state IN ('sending', 'sent', 'unknown') OR d.state IN ('planned', 'claimed') AND d.attempt > 0 AND $1::boolean)`;

/** Applies outcomes; one that comes twice changes nothing. @returns how many recipients they moved */
export async function applyOutcomes(
  pool: Pool,
  channelId: string,
  by: 'key' | 'provider',
  events: readonly ToldOutcome[],
): Promise<number> {
  let moved = 0;
  for (const event of events)
    moved += by === 'key' ? await applyByKey(pool, channelId, event) : await applyByProvider(pool, channelId, event);
  return moved;
}

async function applyByKey(pool: Pool, channelId: string, event: ToldOutcome): Promise<number> {
  const parts = /^([a-z0-9][a-z0-9_-]{0,63})\.(\d{1,9})\.(\d{1,9})$/.exec(event.id);
  if (!parts) return 0;
  const [, id, campaignNo, no] = parts;
  const { rows } = await pool.query(
    'SELECT no FROM audience.campaigns WHERE id = $1 AND no = $2 AND channel_id = $3 AND frozen_at IS NOT NULL',
    [id, campaignNo, channelId],
  );
  if (!rows[0]) return 0;
  const { rowCount } = await pool.query(
    `UPDATE ${partitionOf(rows[0].no)} d SET ${told} WHERE d.campaign_no = $3 AND d.no = $4 AND ${open}`,
    [...values(event), rows[0].no, no],
  );
  return rowCount ?? 0;
}

async function applyByProvider(pool: Pool, channelId: string, event: ToldOutcome): Promise<number> {
  const campaigns = await pool.query(
    `SELECT no FROM audience.campaigns WHERE channel_id = $1 AND frozen_at > now() - interval '${lookedFor}'
       AND ($2::text IS NULL OR definition->'template'->>'templateId' = $2) ORDER BY no DESC`,
    [channelId, event.template ?? null],
  );
  const nos = campaigns.rows.map((row) => row.no);
  if (nos.length === 0) return 0;
  const named = await pool.query(
    `UPDATE audience.deliveries d SET ${told} WHERE d.campaign_no = ANY($3) AND d.provider_id = $4 AND ${open}`,
    [...values(event), nos, event.id],
  );
  if (named.rowCount || event.address === undefined) return named.rowCount ?? 0;
  // Known already, under its id: it came before.
  const known = await pool.query(
    'SELECT 1 FROM audience.deliveries d WHERE d.campaign_no = ANY($1) AND d.provider_id = $2 LIMIT 1',
    [nos, event.id],
  );
  if (known.rows[0]) return 0;
  const nameless = await pool.query(
    `UPDATE audience.deliveries d SET ${told}, provider_id = $5 WHERE (d.campaign_no, d.no) = (
       SELECT d.campaign_no, d.no FROM audience.deliveries d WHERE d.campaign_no = ANY($3) AND d.address = $4 AND d.provider_id IS NULL
         AND (d.state IN ('sending', 'unknown') OR d.state IN ('planned', 'claimed') AND d.attempt > 0 AND $1::boolean) ORDER BY d.at DESC LIMIT 1)
       AND ${open}`,
    [...values(event), nos, event.address, event.id],
  );
  return nameless.rowCount ?? 0;
}

/** $1 delivered, $2 reason: the first parameters of every statement. A message that left has used its grant. */
const told = `state = CASE WHEN $1::boolean THEN 'delivered' ELSE 'failed' END, reason = CASE WHEN $1::boolean THEN NULL ELSE $2::text END,
  granted = false, at = now()`;
const values = ({ delivered, reason }: ToldOutcome) => [delivered, reason ?? 'failed'];

/** Grants that people gave or took back; an event that comes twice counts once. @returns how many were new */
export async function applyGrants(pool: Pool, channelId: string, events: readonly ToldGrant[]): Promise<number> {
  if (events.length === 0) return 0;
  return transaction(pool, { name: `grants ${channelId}` }, async (client) => {
    let applied = 0;
    if (!(await isStanding(client, channelId))) return applied;
    for (const event of events)
      if (await isNew(client, channelId, event)) applied += await applyGrant(client, channelId, event);
    await client.query(`DELETE FROM audience.callbacks WHERE at < now() - interval '${remembered}'`);
    return applied;
  });
}

async function isNew(client: Client, channelId: string, { event }: ToldGrant): Promise<boolean> {
  const digest = createHash('sha256').update(event).digest('hex').slice(0, 32);
  const { rowCount } = await client.query(
    'INSERT INTO audience.callbacks (connection_id, event) VALUES ($1, $2) ON CONFLICT DO NOTHING',
    [channelId, digest],
  );
  return rowCount === 1;
}

async function applyGrant(
  client: Client,
  channelId: string,
  { address, template, change }: ToldGrant,
): Promise<number> {
  const { rowCount } = await client.query(
    change === 'one-more'
      ? `INSERT INTO audience.grants AS g (connection_id, address, template, remaining) VALUES ($1, $2, $3, 1)
         ON CONFLICT (connection_id, template, address) DO UPDATE SET remaining = g.remaining + 1`
      : 'UPDATE audience.grants SET remaining = 0 WHERE connection_id = $1 AND address = $2 AND template = $3',
    [channelId, address, template],
  );
  return rowCount ?? 0;
}
