import { sameTexts } from '../capture/functions.ts';
import type { CaptureMapping } from '../capture/probe.ts';
import { type Pool, transaction } from '../client.ts';
import { knowRows } from '../statistics.ts';
import { userOf } from './mapped.ts';

/** How many contacts would be archived, or told that their user left, of those that are known. */
export interface Leaving {
  leaving: number;
  known: number;
}

/**
 * Counts the marked users who are deleted or out of scope and have a contact, and all contacts that are known.
 * @param told contacts are told and not archived: those that were told before do not count
 */
export async function countLeaving(
  pool: Pool,
  connection: string,
  mapping: Pick<CaptureMapping, 'from' | 'key' | 'where'>,
  keyCast: string,
  told: boolean,
): Promise<Leaving> {
  await knowRows(pool, 'syncline.hubspot_dirty', { connection_id: connection });
  await knowRows(pool, 'syncline.hubspot_contacts', { connection_id: connection });
  return transaction(pool, { name: `leaving ${connection}` }, async (client) => {
    await client.query(sameTexts);
    const { rows } = await client.query(
      `WITH known AS (SELECT key FROM syncline.hubspot_contacts
         WHERE connection_id = $1 AND NOT (told_left AND $2) AND (sent_hash IS NOT NULL OR hubspot_id IS NOT NULL))
       SELECT (SELECT count(*)::int FROM known) AS known,
         (SELECT count(*)::int FROM syncline.hubspot_dirty d JOIN known USING (key) WHERE d.connection_id = $1
           AND NOT EXISTS (SELECT 1 FROM ${userOf(mapping, keyCast, 'd.key')} AND (${mapping.where ?? 'true'})::boolean)) AS leaving`,
      [connection, told],
    );
    return rows[0];
  });
}
