import type { Client, Pool } from '../client.ts';

/** How far the feed of a connection has been read; moments in ms by the source's clock. See syncline.stripe_feeds. */
export interface Feed {
  scope: string;
  markMs: number;
  hotEvent: string | null;
  seenMs: number;
  settledFirstMs: number;
  settledMs: number;
  /** The database's clock. */
  polledMs: number | null;
  liveMs: number | null;
}

const ms = (column: string) => `extract(epoch FROM ${column})::float8 * 1000`;
const at = (n: number) => `to_timestamp($${n}::float8 / 1000)`;

/** Null before the copy was begun. */
export async function readFeed(pool: Pool, connection: string): Promise<Feed | null> {
  const { rows } = await pool.query({
    name: 'stripe feed',
    text: `SELECT scope, hot_event AS "hotEvent", ${ms('mark_at')} AS "markMs", ${ms('seen_at')} AS "seenMs", ${ms('settled_first')} AS "settledFirstMs",
             ${ms('settled_at')} AS "settledMs", ${ms('polled_at')} AS "polledMs", ${ms('live_at')} AS "liveMs"
           FROM syncline.stripe_feeds WHERE connection_id = $1`,
    values: [connection],
  });
  return rows[0] ?? null;
}

/** Feeds of several connections, by connection. */
export async function readFeeds(
  pool: Pool,
  connections: readonly string[],
): Promise<Map<string, Pick<Feed, 'seenMs' | 'settledMs' | 'polledMs' | 'liveMs'>>> {
  const { rows } = await pool.query({
    name: 'stripe feeds',
    text: `SELECT connection_id AS id, ${ms('seen_at')} AS "seenMs", ${ms('settled_at')} AS "settledMs", ${ms('polled_at')} AS "polledMs",
             ${ms('live_at')} AS "liveMs" FROM syncline.stripe_feeds WHERE connection_id = ANY($1)`,
    values: [connections],
  });
  return new Map(rows.map(({ id, ...feed }) => [id, feed]));
}

/** Begins a copy at a mark: what the feed shows from `fromMs` on is to be applied. Forgets what was known of an earlier one. */
export async function beginFeed(
  client: Client,
  connection: string,
  { scope, markMs, fromMs, hotEvent }: { scope: string; markMs: number; fromMs: number; hotEvent: string | null },
): Promise<void> {
  await client.query(
    `INSERT INTO syncline.stripe_feeds AS f (connection_id, scope, mark_at, hot_event, seen_at, settled_first, settled_at)
     VALUES ($1, $2, ${at(3)}, $5, ${at(4)}, ${at(4)}, ${at(4)})
     ON CONFLICT (connection_id) DO UPDATE SET scope = excluded.scope, mark_at = excluded.mark_at, hot_event = excluded.hot_event,
       seen_at = excluded.seen_at, settled_first = excluded.settled_first, settled_at = excluded.settled_at, live_at = NULL, polled_at = NULL`,
    [connection, scope, markMs, fromMs, hotEvent],
  );
}

/** Writes what a copy was made of, once its source tells more of itself; nothing is read again for it. */
export async function nameFeed(client: Client, connection: string, scope: string): Promise<void> {
  await client.query('UPDATE syncline.stripe_feeds SET scope = $2 WHERE connection_id = $1', [connection, scope]);
}

/** What a reading of the feed has reached. Moments only grow. */
export type Reached = Partial<
  Pick<Feed, 'hotEvent' | 'seenMs' | 'settledFirstMs' | 'settledMs' | 'polledMs' | 'liveMs'>
>;

/** Moves the watermarks, inside the transaction that writes what they stand for, and tells who waits (`LISTEN stripe_feed`). */
export async function moveFeed(client: Client, connection: string, to: Reached): Promise<void> {
  await client.query({
    name: 'move stripe feed',
    text: `UPDATE syncline.stripe_feeds SET hot_event = coalesce($2, hot_event), seen_at = greatest(seen_at, ${at(3)}),
             settled_first = greatest(settled_first, ${at(4)}), settled_at = greatest(settled_at, ${at(5)}),
             polled_at = greatest(polled_at, ${at(6)}), live_at = coalesce(live_at, ${at(7)})
           WHERE connection_id = $1`,
    values: [
      connection,
      to.hotEvent ?? null,
      to.seenMs ?? null,
      to.settledFirstMs ?? null,
      to.settledMs ?? null,
      to.polledMs ?? null,
      to.liveMs ?? null,
    ],
  });
  await client.query(`SELECT pg_notify('stripe_feed', $1)`, [connection]);
}

/** Moment by the database's clock, ms: one clock for everybody who asks whether a reading began after something. */
export async function databaseNow(pool: Pool): Promise<number> {
  const { rows } = await pool.query({
    name: 'now',
    text: 'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms',
  });
  return rows[0].ms;
}

/** Asks the follower of a connection to look at once. */
export async function pokeFeed(pool: Pool, connection: string): Promise<void> {
  await pool.query(`SELECT pg_notify('stripe_poke', $1)`, [connection]);
}
