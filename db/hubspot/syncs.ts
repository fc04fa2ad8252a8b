import { type Claim, writeUnderClaim } from '../claims.ts';
import { type Client, type Pool, transaction } from '../client.ts';
import { isStanding } from '../connections.ts';
import { askMark } from './mark.ts';

/** What is known of a connection's contacts as a whole. */
export interface SyncState {
  mapping: string | null;
  judged: string | null;
  catalog: unknown;
  mark: 'all' | 'resend' | null;
  timeZone: string | null;
  /** Number of the account that was sent to, and a digest of the key that told it. */
  account: string | null;
  tripped: Tripped | null;
}

/** Too many rows were refused, and nobody has looked since. */
export interface Tripped {
  /** By what they were judged: another mapping or catalog lets runs go on. */
  judged: string;
  bad: number;
  of: number;
}

/** Whether a breaker that tripped ends a run that is judged by `judged` before it sends anything. */
export function breakerHolds(tripped: Tripped | null, judged: string | null, rejectPercent: number): boolean {
  return tripped !== null && tripped.judged === judged && tripped.bad * 100 > tripped.of * rejectPercent;
}

export async function readSync(pool: Pool, connection: string): Promise<SyncState | null> {
  const { rows } = await pool.query(
    'SELECT mapping, judged, catalog, mark, time_zone AS "timeZone", account, tripped FROM syncline.hubspot_syncs WHERE connection_id = $1',
    [connection],
  );
  return rows[0] ?? null;
}

export interface Standard {
  mapping: string;
  judged: string;
  catalog: unknown;
  timeZone: string;
  account: string | null;
}

/**
 * Stores by what rows are judged from now on, and marks who is to be looked at again: everybody at first and after a
 * change of the mapping, everybody with what was sent forgotten for a full resync, and the parked ones after a change of the catalog.
 * @param only one user is sent: the run behind it is the first one still, where none was before
 * @returns what is to be marked as is told to people, and how many parked rows come back
 */
export async function setStandard(
  pool: Pool,
  claim: Claim,
  standard: Standard,
  { full, only }: { full: boolean; only: boolean },
): Promise<{ mark: 'all' | 'resend' | null; returned: number }> {
  return writeUnderClaim(pool, claim, { name: 'hubspot standard' }, async (client) => {
    const { connection } = claim;
    const { mapping, judged, catalog, timeZone, account } = standard;
    await client.query('INSERT INTO syncline.hubspot_syncs (connection_id) VALUES ($1) ON CONFLICT DO NOTHING', [
      connection,
    ]);
    const before = await client.query(
      'SELECT mapping FROM syncline.hubspot_syncs WHERE connection_id = $1 FOR UPDATE',
      [connection],
    );
    const known = before.rows[0].mapping as string | null;
    if (full) await askMark(client, connection, 'resend');
    else if (known !== mapping) await askMark(client, connection, 'all');
    const { rows } = await client.query(
      `UPDATE syncline.hubspot_syncs SET mapping = $2, judged = $3, catalog = $4, time_zone = $5, account = coalesce($6, account) WHERE connection_id = $1 RETURNING mark`,
      [connection, only && known === null ? null : mapping, judged, JSON.stringify(catalog), timeZone, account],
    );
    const returned = await client.query(
      `INSERT INTO syncline.hubspot_dirty AS d (connection_id, key, version)
       SELECT $1, key, nextval('syncline.hubspot_versions') FROM syncline.hubspot_contacts
       WHERE connection_id = $1 AND parked_hash IS NOT NULL AND parked_under IS DISTINCT FROM $2 ORDER BY key
       ON CONFLICT (connection_id, key) DO UPDATE SET version = excluded.version, tries = 0`,
      [connection, judged],
    );
    // That a first run looks at everybody is no news.
    return { mark: known === null && !full ? null : rows[0].mark, returned: returned.rowCount ?? 0 };
  });
}

/** A property is gone, and with it what every contact had of it: once it is there again, everybody is sent. */
export async function forgetSent(pool: Pool, claim: Claim): Promise<void> {
  await writeUnderClaim(pool, claim, { name: 'hubspot forget' }, (client) =>
    askMark(client, claim.connection, 'resend'),
  );
}

/** Lets every run that is judged by the same end at once; null: a person has looked. */
export async function setTripped(pool: Pool | Client, connection: string, tripped: Tripped | null): Promise<void> {
  await pool.query('UPDATE syncline.hubspot_syncs SET tripped = $2 WHERE connection_id = $1', [connection, tripped]);
}

/**
 * Lets parked rows be tried again by the next run, although nothing changed. A run may be open, whose settlements lock contacts
 * in an order of their own: each of them shares the row of `hubspot_syncs` that is written here first, so that neither waits
 * for contacts of the other. @returns how many
 */
export async function releaseParked(pool: Pool, connection: string): Promise<number> {
  return transaction(pool, { name: `replay ${connection}` }, async (client) => {
    if (!(await isStanding(client, connection))) return 0;
    await setTripped(client, connection, null);
    return freeParked(client, connection);
  });
}

async function freeParked(client: Client, connection: string): Promise<number> {
  const { rowCount } = await client.query(
    `WITH free AS (UPDATE syncline.hubspot_contacts SET parked_under = '' WHERE connection_id = $1 AND parked_hash IS NOT NULL RETURNING key)
     INSERT INTO syncline.hubspot_dirty AS d (connection_id, key, version)
     SELECT $1, key, nextval('syncline.hubspot_versions') FROM free ORDER BY key
     ON CONFLICT (connection_id, key) DO UPDATE SET version = excluded.version, tries = 0`,
    [connection],
  );
  return rowCount ?? 0;
}

/** Why a user is parked. */
export async function whyParked(
  pool: Pool,
  connection: string,
  key: string,
): Promise<{ code: string; property: string | null }> {
  const { rows } = await pool.query(
    `SELECT reason AS code, field AS property FROM syncline.rejects
     WHERE connection_id = $1 AND pipeline = 'hubspot' AND source_id = $2 AND resolved_at IS NULL`,
    [connection, key],
  );
  return rows[0] ?? { code: 'refused', property: null };
}

/** The next dirty user behind a key who is not held; null: the first one. */
export async function nextDirty(
  pool: Pool,
  connection: string,
  after: string | null,
): Promise<{ key: string; version: number; parked: boolean } | null> {
  const { rows } = await pool.query(
    `SELECT d.key, d.version, c.parked_hash IS NOT NULL AS parked
     FROM syncline.hubspot_dirty d LEFT JOIN syncline.hubspot_contacts c USING (connection_id, key)
     WHERE connection_id = $1 AND ($2::text IS NULL OR key > $2) AND (held_until IS NULL OR held_until <= now()) ORDER BY key LIMIT 1`,
    [connection, after],
  );
  return rows[0] ? { ...rows[0], version: Number(rows[0].version) } : null;
}

/** How many users are dirty, how many of them wait for a call that may still land, and for how long the first of these. */
export async function dirtyState(
  pool: Pool,
  connection: string,
  only?: string,
): Promise<{ dirty: number; held: number; freeMs: number }> {
  const { rows } = await pool.query(
    `SELECT count(*)::int AS dirty, count(*) FILTER (WHERE held_until > now())::int AS held,
       coalesce(extract(epoch FROM min(held_until) FILTER (WHERE held_until > now()) - now()) * 1000, 0)::float8 AS "freeMs"
     FROM syncline.hubspot_dirty WHERE connection_id = $1 AND ($2::text IS NULL OR key = $2)`,
    [connection, only ?? null],
  );
  return rows[0];
}
