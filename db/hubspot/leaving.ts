import type { Pool } from '../client.ts';
import { knowRows } from '../statistics.ts';
import type { SentMapping } from './mapped.ts';
import { whoLeft } from './users.ts';

const keysAtOnce = 10_000;
const known = `connection_id = $1 AND NOT (told_left AND $2) AND (sent_hash IS NOT NULL OR hubspot_id IS NOT NULL)`;

/** How many contacts would be archived, or told that their user left, of those that are known. */
export interface Leaving {
  leaving: number;
  known: number;
}

/**
 * Counts the marked users who are deleted or out of scope and have a contact, and all contacts that are known. One whose
 * condition fails goes nowhere, and where nothing is sent for who is deleted he does not count; nor do those that were told
 * before, where contacts are told and not archived.
 * @param everybody everybody is about to be marked: whoever is known counts
 */
export async function countLeaving(
  pool: Pool,
  connection: string,
  mapping: Pick<SentMapping, 'from' | 'key' | 'where' | 'leave' | 'leaveValues'>,
  { keyCast, everybody }: { keyCast: string; everybody: boolean },
): Promise<Leaving> {
  const told = mapping.leave === 'update';
  const deletedToo = !told || Object.keys(mapping.leaveValues).length > 0;
  await knowRows(pool, 'syncline.hubspot_dirty', { connection_id: connection });
  await knowRows(pool, 'syncline.hubspot_contacts', { connection_id: connection });
  const { rows: counted } = await pool.query(
    `SELECT count(*)::int AS known FROM syncline.hubspot_contacts WHERE ${known}`,
    [connection, told],
  );
  let leaving = 0;
  for (let after: string | null = null; ; ) {
    const { rows }: { rows: { key: string }[] } = await pool.query(
      `SELECT key FROM syncline.hubspot_contacts ${everybody ? '' : 'JOIN syncline.hubspot_dirty USING (connection_id, key)'}
       WHERE ${known} AND ($3::text IS NULL OR key > $3) ORDER BY key LIMIT ${keysAtOnce}`,
      [connection, told, after],
    );
    const keys = rows.map((row) => row.key);
    leaving += (await whoLeft(pool, mapping, keyCast, keys, deletedToo)).length;
    if (keys.length < keysAtOnce) return { leaving, known: counted[0].known };
    after = keys.at(-1)!;
  }
}
