import { createHmac } from 'node:crypto';
import { type Client, type Pool, transaction } from './client.ts';
import { connectionUnknown } from './connections.ts';
import { seal, unseal } from './seal.ts';

export interface TokenPair {
  access: string;
  /** Absent where the platform gives none. */
  refresh?: string;
}

export interface Grant extends TokenPair {
  /** When the request that brought the pair left, ms since 1970. */
  askedMs: number;
  /** End of the access token, ms since 1970. */
  expiresMs: number;
}

/** What stands in the table for one consent of one connection. */
export interface TokenRow {
  /** Null before the first answer. */
  grant: Grant | null;
  /** 0 before the first pair. */
  version: number;
  /** Code of a refusal that is younger than `freshMs` of the question; null otherwise. */
  refused: string | null;
  /** When a request began whose answer never came here; null when none is open. */
  openSince: Date | null;
}

/** A row of `syncline.tokens`. */
export interface TokenKey {
  connection: string;
  /** Number of the stored connection; 0 for one that is tried before it is saved. */
  no: number;
  /** From `originOf`. */
  origin: string;
}

/**
 * Names the consent that a pair descends from without showing it. Another consent has a row of its own: its first refresh
 * token must never be covered by a pair of the one before, nor the other way round.
 */
export function originOf(key: Buffer, connection: string, consent: string): string {
  return createHmac('sha256', key).update(`${connection}\n${consent}`).digest('hex').slice(0, 32);
}

/** Reads the pair; null where no row is. Throws SealBroken. `freshMs`: how long a refusal counts. */
export async function readToken(pool: Pool, key: Buffer, at: TokenKey, freshMs: number): Promise<TokenRow | null> {
  const { rows } = await pool.query({
    name: 'readToken',
    text: `SELECT pair, asked_at AS "askedAt", expires_at AS "expiresAt", version,
             CASE WHEN refused_at > now() - $3 * interval '1 ms' THEN refused END AS refused, open_since AS "openSince"
           FROM syncline.tokens WHERE connection_id = $1 AND origin = $2`,
    values: [at.connection, at.origin, freshMs],
  });
  const row = rows[0] as
    | (Omit<TokenRow, 'grant'> & { pair: Buffer | null; askedAt: Date; expiresAt: Date })
    | undefined;
  if (!row) return null;
  const pair = row.pair && (JSON.parse(unseal(key, at.connection, row.pair)) as TokenPair);
  const grant = pair && { ...pair, askedMs: row.askedAt.getTime(), expiresMs: row.expiresAt.getTime() };
  return { grant, version: row.version, refused: row.refused, openSince: row.openSince };
}

/**
 * Takes the right to ask for the pair after `version`: one holder over all workers, until `heldMs` have passed. A row that
 * stands is locked for the length of this statement alone; nothing is held while the platform is asked.
 * @returns null when somebody else holds it, the version has moved, or a refusal is younger than `freshMs`. `lostSince`: when a holder before began a request
 * whose answer never came here, else null.
 * @throws ConnectionUnknown where it is no longer stored
 */
export async function claimRefresh(
  pool: Pool,
  at: TokenKey,
  claim: { holder: string; version: number; heldMs: number; freshMs: number },
): Promise<{ lostSince: Date | null } | null> {
  return durably(pool, at, async (client) => {
    if (!(await isStored(client, at))) throw await connectionUnknown(client, at.connection);
    const { rows } = await client.query(
      `INSERT INTO syncline.tokens AS t (connection_id, origin, version, holder, held_until, open_since)
       VALUES ($1, $2, $4, $3, now() + $5 * interval '1 ms', now())
       ON CONFLICT (connection_id, origin) DO UPDATE
         SET holder = $3, held_until = now() + $5 * interval '1 ms', open_since = coalesce(t.open_since, now())
         WHERE t.version = $4 AND (t.holder IS NULL OR t.held_until < now())
           AND (t.refused_at IS NULL OR t.refused_at <= now() - $6 * interval '1 ms')
       RETURNING CASE WHEN open_since < now() THEN open_since END AS "lostSince"`,
      [at.connection, at.origin, claim.holder, claim.version, claim.heldMs, claim.freshMs],
    );
    return (rows[0] as { lostSince: Date | null } | undefined) ?? null;
  });
}

/**
 * Writes the pair after `version`, flushed to disk. It asks for no holder: a holder that was slow and was given up may
 * have the only pair that lives. Pairs of earlier consents go 30 days after they came.
 * @returns false when the row has moved on, by somebody whose pair is newer or by this very write whose commit was not heard,
 * and where the connection is no longer stored: its pair is kept nowhere
 */
export async function storeToken(
  pool: Pool,
  key: Buffer,
  at: TokenKey,
  version: number,
  grant: Grant,
): Promise<boolean> {
  const { access, refresh, askedMs, expiresMs } = grant;
  const sealed = seal(key, at.connection, JSON.stringify({ access, refresh }));
  return durably(pool, at, async (client) => {
    if (!(await isStored(client, at))) return false;
    const stored = await client.query(
      `INSERT INTO syncline.tokens AS t (connection_id, origin, pair, asked_at, expires_at, version)
       VALUES ($1, $2, $3, $4, $5, $6::int + 1)
       ON CONFLICT (connection_id, origin) DO UPDATE
         SET pair = $3, asked_at = $4, expires_at = $5, version = $6::int + 1,
             holder = NULL, held_until = NULL, open_since = NULL, refused = NULL, refused_at = NULL
         WHERE t.version = $6
       RETURNING version`,
      [at.connection, at.origin, sealed, new Date(askedMs), new Date(expiresMs), version],
    );
    await client.query(
      `DELETE FROM syncline.tokens WHERE connection_id = $1 AND origin <> $2 AND asked_at < now() - interval '30 days'`,
      [at.connection, at.origin],
    );
    return stored.rowCount === 1;
  });
}

/** How a request for a pair ended that brought none. */
export interface Release {
  holder: string;
  /** True: no pair can have been lost, for the request never left or was answered with a refusal. */
  closed: boolean;
  /** Code of the refusal. */
  refused?: string;
}

/** Gives the right to ask back without a pair. Harmless when it was lost in the meantime. */
export async function releaseRefresh(pool: Pool, at: TokenKey, { holder, closed, refused }: Release): Promise<void> {
  await pool.query(
    `UPDATE syncline.tokens SET holder = NULL, held_until = NULL,
       open_since = CASE WHEN $4 THEN NULL ELSE open_since END,
       refused = $5::text, refused_at = CASE WHEN $5::text IS NULL THEN NULL ELSE now() END
     WHERE connection_id = $1 AND origin = $2 AND holder = $3`,
    [at.connection, at.origin, holder, closed, refused ?? null],
  );
}

/** A commit that the server has flushed, whatever the database's own setting says. */
async function durably<T>(pool: Pool, at: TokenKey, work: (client: Client) => Promise<T>): Promise<T> {
  return transaction(pool, { name: `token ${at.connection}` }, async (client) => {
    await client.query('SET LOCAL synchronous_commit = on');
    return work(client);
  });
}

/** By its number: another connection may have been given the name since. `disconnect` waits for the end of the transaction. */
async function isStored(client: Client, { connection, no }: TokenKey): Promise<boolean> {
  if (no === 0) return true;
  const { rowCount } = await client.query(
    'SELECT 1 FROM syncline.connections WHERE id = $1 AND no = $2 AND leaving IS NULL FOR KEY SHARE',
    [connection, no],
  );
  return rowCount === 1;
}
