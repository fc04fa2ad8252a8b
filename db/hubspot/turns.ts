import pg from 'pg';
import { type Claim, ClaimLost, isHeld, takenOver, writeUnderClaim } from '../claims.ts';
import { type Client, type Pool, type TransactionOptions, transaction } from '../client.ts';

/**
 * Who of one run may write: the latest attempt of its writing step. An attempt that Temporal gave up may live on; it must
 * neither begin calls nor clear marks beside its successor.
 */
export interface Turn {
  claim: Claim;
  turn: number;
}

/**
 * Characters of an id in the calls that is no key of ours, at most: it stands in indexes, whose rows end at 2,700 bytes, and one
 * that did not fit failed every run. HubSpot takes addresses of 254.
 */
export const longestId = 500;

/**
 * A call of unknown outcome leaves a contact of which nobody knows what it holds: it equals no hash any more. A user whose
 * values went back to those confirmed before was skipped as sent, and HubSpot kept what the call had brought.
 */
export const onDoubt = `ON CONFLICT (connection_id, key) DO UPDATE SET sent_hash = CASE WHEN c.sent_hash IS NOT NULL THEN ''::bytea END,
  doubt_id = coalesce(excluded.doubt_id, c.doubt_id)`;

/**
 * Begins an attempt. Calls that earlier attempts left under way may still land: their rows are held until they no longer
 * can, so that no older version is written over a newer one.
 * @returns the turn, and how many rows are held
 */
export async function takeTurn(pool: Pool, claim: Claim): Promise<{ turn: Turn; held: number }> {
  return writeUnderClaim(pool, claim, { name: 'hubspot turn' }, async (client) => {
    // Waits for the transactions of attempts before this one.
    const { rows } = await client.query(
      'UPDATE syncline.hubspot_syncs SET turn = turn + 1 WHERE connection_id = $1 RETURNING turn',
      [claim.connection],
    );
    const { rowCount } = await client.query(
      `WITH calls AS (DELETE FROM syncline.hubspot_calls WHERE connection_id = $1 RETURNING keys, ids, lands_until),
         flying AS (SELECT key, max(lands_until) AS until, max(id) AS id FROM calls, unnest(keys, ids) AS t (key, given)
           CROSS JOIN LATERAL (SELECT CASE WHEN length(given) <= ${longestId} THEN given END AS id) i GROUP BY 1),
         tried AS (INSERT INTO syncline.hubspot_contacts AS c (connection_id, key, doubt_id) SELECT $1, key, id FROM flying ORDER BY key ${onDoubt})
       INSERT INTO syncline.hubspot_dirty AS d (connection_id, key, version, held_until)
       SELECT $1, key, nextval('syncline.hubspot_versions'), until FROM flying ORDER BY key
       ON CONFLICT (connection_id, key) DO UPDATE SET held_until = greatest(d.held_until, excluded.held_until)`,
      [claim.connection],
    );
    return { turn: { claim, turn: rows[0].turn }, held: rowCount ?? 0 };
  });
}

/** One transaction of this attempt. @throws ClaimLost when a later run or attempt took over */
export async function writeInTurn<T>(
  pool: Pool,
  { claim, turn }: Turn,
  options: TransactionOptions,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const { connection } = claim;
  // Of both in one statement: a slice writes some 50 times a second.
  const first = `SELECT (SELECT epoch FROM syncline.claims WHERE ${isHeld(claim)} FOR SHARE) AS epoch,
    (SELECT turn FROM syncline.hubspot_syncs WHERE connection_id = ${pg.escapeLiteral(connection)} AND turn = ${turn} FOR SHARE) AS turn`;
  return transaction(pool, { ...options, name: `${options.name} ${connection}`, first }, async (client, { rows }) => {
    if (rows[0].epoch === null) throw takenOver(claim);
    if (rows[0].turn !== null) return work(client);
    throw new ClaimLost(`A later attempt of this step works on "${connection}": this one writes nothing more.`);
  });
}
