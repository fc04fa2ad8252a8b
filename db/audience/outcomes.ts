import { type Pool, transaction } from '../client.ts';
import { type GrantScope, restore, type Shard } from './deliveries.ts';
import { partitionOf } from './freeze.ts';

/** How a request for one recipient ended. */
export interface Outcome {
  no: number;
  state: 'planned' | 'sent' | 'refused' | 'failed' | 'unknown';
  reason: string | null;
  /** The try counts. */
  counts: boolean;
  /** `planned`: not before, ms since 1970. */
  dueMs: number | null;
  providerId: string | null;
  /** What becomes of the grant it holds: used by a message, given back, kept for the next try, or the channel says there are none left. */
  grant: 'used' | 'back' | 'kept' | 'none-left';
}

export interface Marked {
  /** Places whose requests may leave. */
  sending: number[];
  /** Places that wait because a message to the same address is on its way. */
  busy: number[];
}

export interface ExchangeScope {
  /** Connection of the people, for unsubscribes. */
  connection: string;
  /** Name of the channel. */
  channel: string;
  channelId: string;
  grants: GrantScope | null;
  /** One message at a time to an address. */
  serial: boolean;
}

/** A message whose worker was lost frees its address after this. */
const busySeconds = 90;

/**
 * One commit for both ends of a group: outcomes that came in are stored, and the next group is marked `sending` before its
 * first byte leaves. The commit is flushed, whatever the database's setting: a mark that a crash takes back would be sent
 * twice. Who unsubscribed in the meantime is skipped here, at the last moment. An outcome is the truth about a request, so it
 * counts also for a row that was given up as unknown meanwhile; a row that somebody else holds is left alone.
 */
export async function exchange(
  pool: Pool,
  shard: Shard,
  outcomes: readonly Outcome[],
  marks: readonly number[],
  scope: ExchangeScope,
): Promise<Marked> {
  const { campaignNo, taker } = shard;
  const table = partitionOf(campaignNo);
  const rare = outcomes.some(({ grant }) => grant === 'back' || grant === 'none-left');
  if (!scope.grants || !rare)
    return scope.serial
      ? exchangeSerial(pool, shard, outcomes, marks, scope)
      : exchangePlain(pool, shard, outcomes, marks, scope);
  return transaction(pool, { name: 'exchange' }, async (client) => {
    await client.query('SET LOCAL synchronous_commit = on');
    if (outcomes.length > 0) {
      const { rows: stored } = await client.query({
        name: `store ${campaignNo}`,
        text: `WITH ${storeSql(table)} SELECT no FROM stored`,
        values: storeValues(shard, outcomes),
      });
      const mine = new Set(stored.map((row) => row.no));
      const nos = (grant: Outcome['grant']) =>
        outcomes.filter((one) => one.grant === grant && mine.has(one.no)).map((one) => one.no);
      if (scope.grants) {
        if (nos('back').length > 0) await restore(client, table, campaignNo, nos('back'), scope.grants);
        if (nos('none-left').length > 0)
          await client.query(
            `UPDATE audience.grants g SET remaining = 0 FROM ${table} d
             WHERE g.connection_id = $1 AND g.template = $2 AND g.address = d.address AND d.campaign_no = $3 AND d.no = ANY($4::int[])`,
            [scope.grants.channelId, scope.grants.template, campaignNo, nos('none-left')],
          );
      }
      if (scope.serial)
        await client.query(
          `DELETE FROM audience.busy b USING ${table} d WHERE d.campaign_no = $1 AND d.no = ANY($2::int[]) AND b.connection_id = $3
             AND b.address = d.address AND b.taker = $4`,
          [campaignNo, outcomes.map((one) => one.no), scope.channelId, taker],
        );
    }
    if (marks.length === 0) return { sending: [], busy: [] };
    const free = scope.serial ? await reserve() : [...marks];
    const { rows } = await client.query({
      name: `mark ${campaignNo}`,
      text: `WITH ${markSql(table, '$3')} SELECT no, state FROM marked`,
      values: [campaignNo, taker, free, scope.connection, scope.channel],
    });
    const sending = rows.filter((row) => row.state === 'sending').map((row) => row.no as number);
    const kept = new Set(free);
    return { sending, busy: marks.filter((no) => !kept.has(no)) };

    async function reserve(): Promise<number[]> {
      const { rows: taken } = await client.query({
        name: `reserve ${campaignNo}`,
        text: `WITH wanted AS (SELECT no, address FROM ${table} WHERE campaign_no = $1 AND no = ANY($2::int[])),
                 put AS (
                   INSERT INTO audience.busy AS b (connection_id, address, taker, until)
                   SELECT $3, address, $4, now() + interval '${busySeconds} s' FROM wanted ORDER BY address
                   ON CONFLICT (connection_id, address) DO UPDATE SET taker = excluded.taker, until = excluded.until WHERE b.until < now() OR b.taker = excluded.taker
                   RETURNING address)
               SELECT w.no FROM wanted w JOIN put USING (address)`,
        values: [campaignNo, marks, scope.channelId, taker],
      });
      return taken.map((row) => row.no);
    }
  });
}

const flushed = `flushed AS (SELECT set_config('synchronous_commit', 'on', true))`;

async function exchangePlain(
  pool: Pool,
  shard: Shard,
  outcomes: readonly Outcome[],
  marks: readonly number[],
  scope: ExchangeScope,
): Promise<Marked> {
  const { campaignNo } = shard;
  const table = partitionOf(campaignNo);
  const { rows } = await pool.query({
    name: `exchange ${campaignNo}`,
    text: `WITH ${flushed}, ${storeSql(table)}, ${markSql(table, '$10')} SELECT no FROM marked, flushed WHERE state = 'sending'`,
    values: [...storeValues(shard, outcomes), marks, scope.connection, scope.channel],
  });
  return { sending: rows.map((row) => row.no), busy: [] };
}

/** The same for a channel that takes one message at a time to an address: addresses are freed and reserved in the same statement. */
async function exchangeSerial(
  pool: Pool,
  shard: Shard,
  outcomes: readonly Outcome[],
  marks: readonly number[],
  scope: ExchangeScope,
): Promise<Marked> {
  const { campaignNo, taker } = shard;
  const table = partitionOf(campaignNo);
  const { rows } = await pool.query({
    name: `exchange serial ${campaignNo}`,
    text: `WITH ${flushed}, ${storeSql(table)},
      freed AS (DELETE FROM audience.busy b USING stored s WHERE b.connection_id = $13 AND b.address = s.address AND b.taker = $2),
      reserved AS (
        INSERT INTO audience.busy AS b (connection_id, address, taker, until)
        SELECT $13, w.address, $2, now() + interval '${busySeconds} s' FROM ${table} w WHERE w.campaign_no = $1 AND w.no = ANY($10::int[]) ORDER BY w.address
        ON CONFLICT (connection_id, address) DO UPDATE SET taker = excluded.taker, until = excluded.until WHERE b.until < now() OR b.taker = excluded.taker
        RETURNING address),
      ${markSql(table, '$10', 'reserved')} SELECT no, state FROM marked, flushed`,
    values: [...storeValues(shard, outcomes), marks, scope.connection, scope.channel, scope.channelId],
  });
  const sending = rows.filter((row) => row.state === 'sending').map((row) => row.no as number);
  const skipped = rows.filter((row) => row.state !== 'sending').map((row) => row.no as number);
  if (skipped.length > 0)
    await pool.query(
      `DELETE FROM audience.busy b USING ${table} d WHERE d.campaign_no = $1 AND d.no = ANY($2::int[]) AND b.connection_id = $3 AND b.address = d.address AND b.taker = $4`,
      [campaignNo, skipped, scope.channelId, taker],
    );
  const marked = new Set([...sending, ...skipped]);
  // Who is not claimed by us any more is no concern of ours, and is not touched.
  return { sending, busy: marks.filter((no) => !marked.has(no)) };
}

/** $1 campaign, $2 taker, $3-$9 outcomes. */
function storeSql(table: string): string {
  return `stored AS (
    UPDATE ${table} d SET state = x.state, reason = x.reason, attempt = d.attempt + x.counts::int, due_at = to_timestamp(x.due / 1000),
      provider_id = coalesce(x.provider, d.provider_id), granted = d.granted AND x.keeps, at = now()
    FROM unnest($3::int[], $4::text[], $5::text[], $6::boolean[], $7::float8[], $8::text[], $9::boolean[]) AS x(no, state, reason, counts, due, provider, keeps)
    WHERE d.campaign_no = $1 AND d.no = x.no AND d.taker = $2 AND d.state IN ('sending', 'unknown') RETURNING d.no, d.address)`;
}

function storeValues({ campaignNo, taker }: Shard, outcomes: readonly Outcome[]): unknown[] {
  return [
    campaignNo,
    taker,
    outcomes.map((one) => one.no),
    outcomes.map((one) => one.state),
    outcomes.map((one) => one.reason),
    outcomes.map((one) => one.counts),
    outcomes.map((one) => one.dueMs),
    outcomes.map((one) => one.providerId),
    outcomes.map((one) => one.grant === 'kept' || one.grant === 'back'),
  ];
}

/** $1 campaign, $2 taker, then the places, the connection of the people and the channel. `reserved`: only of addresses in that part of the statement. */
function markSql(table: string, places: string, reserved?: 'reserved'): string {
  const own = reserved
    ? `(SELECT w.no FROM ${table} w JOIN reserved USING (address) WHERE w.campaign_no = $1 AND w.no = ANY(${places}::int[])) AS m`
    : `unnest(${places}::int[]) AS m(no)`;
  const [connection, channel] = [1, 2].map((ahead) => `$${Number(places.slice(1)) + ahead}`);
  return `marked AS (
    UPDATE ${table} d SET at = now(),
      state = CASE WHEN gone.no IS NULL THEN 'sending' ELSE 'skipped' END, reason = CASE WHEN gone.no IS NULL THEN NULL ELSE 'unsubscribed' END
    FROM ${own} LEFT JOIN (
      SELECT w.no FROM ${table} w JOIN audience.unsubscribes s ON s.connection_id = ${connection} AND s.channel IN ('', ${channel})
        AND (s.kind = 'user' AND s.value = ANY(array_prepend(w.user_id, w.same_person)) OR s.kind = 'address' AND s.value = w.address)
      WHERE w.campaign_no = $1 AND w.no = ANY(${places}::int[])) gone USING (no)
    WHERE d.campaign_no = $1 AND d.no = m.no AND d.taker = $2 AND d.state = 'claimed' RETURNING d.no, d.state)`;
}
