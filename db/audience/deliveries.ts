import { type Claim, writeUnderClaim } from '../claims.ts';
import type { Client, Pool } from '../client.ts';
import { partitionOf } from './freeze.ts';

/** What became of a recipient; see audience.deliveries. */
export type State =
  | 'planned'
  | 'claimed'
  | 'sending'
  | 'sent'
  | 'delivered'
  | 'refused'
  | 'failed'
  | 'unknown'
  | 'skipped';

export type StateCounts = Partial<Record<State, number>>;

/** A range of recipients that one activity attempt has for itself. */
export interface Shard {
  campaignNo: number;
  /** First and last place. */
  from: number;
  to: number;
  /** Fence of the attempt: who held the range before claims nothing more of it. */
  claim: Claim;
  /** Marks the rows that this attempt holds; like no other attempt's, also where ranges of an earlier run were cut elsewhere. */
  taker: number;
}

/** Grants are counted for a template of a channel's account. */
export interface GrantScope {
  channelId: string;
  template: string;
}

export interface Planned {
  no: number;
  user: string;
  address: string;
  attempt: number;
  records: number | null;
  orderId: string | null;
  /** Row of the user; null when it is gone since the freeze. */
  data: Record<string, unknown> | null;
}

/**
 * Takes what an attempt before left behind. `claimed` goes back: nothing was sent. `sending` may have been: it becomes
 * unknown, or is sent again where `again` is set. What went back keeps its grant.
 * @returns how many became unknown, or are sent again
 */
export async function takeOver(pool: Pool, shard: Shard, again: boolean, channelId: string): Promise<number> {
  const { campaignNo, from, to, claim } = shard;
  return writeUnderClaim(pool, claim, { name: 'take shard' }, async (client) => {
    await client.query(
      `DELETE FROM audience.busy b USING ${partitionOf(campaignNo)} d WHERE d.campaign_no = $1 AND d.no BETWEEN $2 AND $3
         AND d.state = 'sending' AND b.connection_id = $4 AND b.address = d.address AND b.taker = d.taker`,
      [campaignNo, from, to, channelId],
    );
    const { rows } = await client.query(
      `WITH left_behind AS (
         SELECT no, state FROM ${partitionOf(campaignNo)} WHERE campaign_no = $1 AND no BETWEEN $2 AND $3 AND state IN ('claimed', 'sending') FOR UPDATE),
       moved AS (
         UPDATE ${partitionOf(campaignNo)} d SET
           state = CASE WHEN l.state = 'sending' AND NOT $4::boolean THEN 'unknown' ELSE 'planned' END,
           reason = CASE WHEN l.state = 'sending' THEN 'worker_lost' END,
           attempt = d.attempt + CASE WHEN l.state = 'sending' THEN 1 ELSE 0 END,
           taker = CASE WHEN l.state = 'sending' AND NOT $4::boolean THEN d.taker END, at = now()
         FROM left_behind l WHERE d.campaign_no = $1 AND d.no = l.no RETURNING l.state)
       SELECT count(*)::int AS n FROM moved WHERE state = 'sending'`,
      [campaignNo, from, to, again],
    );
    return rows[0].n;
  });
}

/** Recipients behind a place that are due, with what their message is made from. */
export async function readPlanned(
  pool: Pool,
  { campaignNo, to }: Shard,
  connection: string,
  after: number,
  limit: number,
): Promise<Planned[]> {
  const { rows } = await pool.query({
    name: `planned ${campaignNo}`,
    text: `SELECT d.no, d.user_id AS user, d.address, d.attempt, d.records, d.order_id AS "orderId", u.data
           FROM (SELECT * FROM ${partitionOf(campaignNo)} WHERE campaign_no = $1 AND no > $2 AND no <= $3 AND state = 'planned'
                   AND (due_at IS NULL OR due_at <= now()) ORDER BY no LIMIT $5) d
           -- Looked up row by row, whatever the statistics say: a copy that was just landed has none, and a join ran 22 s.
           LEFT JOIN LATERAL (SELECT data FROM audience.users WHERE connection_id = $4 AND id = d.user_id AND deleted_at IS NULL LIMIT 1) u ON true ORDER BY d.no`,
    values: [campaignNo, after, to, connection, limit],
  });
  return rows;
}

/** What is decided of recipients before they are claimed. */
export interface Decisions {
  claim: readonly number[];
  /** Cannot be sent, with the reason; final. */
  refuse: readonly { no: number; reason: string; state: 'refused' | 'skipped' }[];
  /** Not before that moment, ms since 1970. */
  defer: readonly { no: number; dueMs: number }[];
}

/**
 * Claims recipients, takes a grant for each where the channel wants one, and writes down who cannot be sent to. A row that
 * went back with its grant takes no second one.
 * @returns places that were claimed; who had no grant is refused with `no_grant`
 */
export async function claimRows(
  pool: Pool,
  shard: Shard,
  decisions: Decisions,
  grants: GrantScope | null,
): Promise<number[]> {
  const { campaignNo, claim, taker } = shard;
  const table = partitionOf(campaignNo);
  return writeUnderClaim(pool, claim, { name: 'claim', durable: false }, async (client) => {
    const { refuse, defer } = decisions;
    if (refuse.length > 0)
      await client.query(
        `UPDATE ${table} d SET state = x.state, reason = x.reason, at = now() FROM unnest($2::int[], $3::text[], $4::text[]) AS x(no, reason, state)
         WHERE d.campaign_no = $1 AND d.no = x.no AND d.state = 'planned'`,
        [campaignNo, refuse.map((r) => r.no), refuse.map((r) => r.reason), refuse.map((r) => r.state)],
      );
    if (defer.length > 0)
      await client.query(
        `UPDATE ${table} d SET due_at = to_timestamp(x.due / 1000) FROM unnest($2::int[], $3::float8[]) AS x(no, due)
         WHERE d.campaign_no = $1 AND d.no = x.no AND d.state = 'planned'`,
        [campaignNo, defer.map((r) => r.no), defer.map((r) => r.dueMs)],
      );
    if (refuse.length > 0 && grants)
      await restore(
        client,
        table,
        campaignNo,
        refuse.map((r) => r.no),
        grants,
      );
    if (decisions.claim.length === 0) return [];
    if (grants) await takeGrants(client, table, campaignNo, decisions.claim, grants);
    const { rows } = await client.query({
      name: `claim ${campaignNo}${grants ? ' granted' : ''}`,
      text: `UPDATE ${table} SET state = 'claimed', taker = $3, at = now()
             WHERE campaign_no = $1 AND no = ANY($2::int[]) AND state = 'planned' ${grants ? 'AND granted' : ''} RETURNING no`,
      values: [campaignNo, decisions.claim, taker],
    });
    return rows.map((row) => row.no).sort((a, b) => a - b);
  });
}

/** One statement takes grants where there are some; two campaigns that want the last one of a person take turns at its row. */
async function takeGrants(
  client: Client,
  table: string,
  campaignNo: number,
  nos: readonly number[],
  { channelId, template }: GrantScope,
): Promise<void> {
  await client.query(
    `WITH wanted AS (
       SELECT no, address FROM ${table} WHERE campaign_no = $1 AND no = ANY($2::int[]) AND state = 'planned' AND NOT granted),
     locked AS (
       SELECT g.address FROM audience.grants g JOIN wanted w USING (address) WHERE g.connection_id = $3 AND g.template = $4
       ORDER BY g.address FOR UPDATE OF g),
     taken AS (
       UPDATE audience.grants g SET remaining = remaining - 1 FROM locked l
       WHERE g.connection_id = $3 AND g.template = $4 AND g.address = l.address AND g.remaining > 0 RETURNING g.address)
     UPDATE ${table} d SET granted = t.address IS NOT NULL, state = CASE WHEN t.address IS NULL THEN 'refused' ELSE d.state END,
       reason = CASE WHEN t.address IS NULL THEN 'no_grant' ELSE d.reason END, at = now()
     FROM wanted w LEFT JOIN taken t USING (address) WHERE d.campaign_no = $1 AND d.no = w.no`,
    [campaignNo, nos, channelId, template],
  );
}

/** Grants that these rows hold go back: certainly no message used them. */
export async function restore(
  client: Client,
  table: string,
  campaignNo: number,
  nos: readonly number[],
  { channelId, template }: GrantScope,
): Promise<void> {
  await client.query(
    `WITH held AS (
       SELECT no, address FROM ${table} WHERE campaign_no = $1 AND no = ANY($2::int[]) AND granted FOR UPDATE),
     freed AS (UPDATE ${table} d SET granted = false FROM held h WHERE d.campaign_no = $1 AND d.no = h.no),
     locked AS (
       SELECT g.address FROM audience.grants g JOIN held h USING (address) WHERE g.connection_id = $3 AND g.template = $4
       ORDER BY g.address FOR UPDATE OF g)
     UPDATE audience.grants g SET remaining = remaining + 1 FROM locked l
     WHERE g.connection_id = $3 AND g.template = $4 AND g.address = l.address`,
    [campaignNo, nos, channelId, template],
  );
}

export interface Back {
  /** Also rows whose mark may have been committed although nothing was sent. */
  marked?: boolean;
  /** Not before so many milliseconds from now. */
  dueInMs?: number;
}

/** Rows that were claimed and not sent go back. */
export async function giveBack(
  pool: Pool,
  { campaignNo, taker }: Shard,
  nos: readonly number[],
  back: Back = {},
): Promise<void> {
  if (nos.length === 0) return;
  await pool.query(
    `UPDATE ${partitionOf(campaignNo)} SET state = 'planned', taker = NULL, due_at = now() + $4::float8 * interval '1 ms'
     WHERE campaign_no = $1 AND no = ANY($2::int[]) AND taker = $3 AND state IN ('claimed'${back.marked ? `, 'sending'` : ''})`,
    [campaignNo, nos, taker, back.dueInMs ?? null],
  );
}

/** Recipients of a shard by state, and the moment the first that waits is due, ms since 1970; null when none waits for a moment. */
export async function countShard(
  pool: Pool,
  { campaignNo, from, to }: Shard,
): Promise<{ states: StateCounts; dueMs: number | null }> {
  const { rows } = await pool.query(
    `SELECT state, count(*)::int AS n, extract(epoch FROM min(due_at) FILTER (WHERE state = 'planned' AND due_at > now()))::float8 * 1000 AS due
     FROM ${partitionOf(campaignNo)} WHERE campaign_no = $1 AND no BETWEEN $2 AND $3 GROUP BY state`,
    [campaignNo, from, to],
  );
  const due = rows.find((row) => row.due !== null)?.due ?? null;
  return { states: Object.fromEntries(rows.map((row) => [row.state, row.n])), dueMs: due };
}
