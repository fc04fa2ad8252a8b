import pg from 'pg';
import { sameTexts } from '../capture/functions.ts';
import { type CaptureMapping, quoted } from '../capture/probe.ts';
import { type Pool, transaction } from '../client.ts';
import { rowFault } from './faults.ts';

/**
 * Rows of the users that have a text as their key, in the very letters: a user whose key was written anew is another one,
 * and who had the old text is gone, though the two are equal (1.0 and 1.00, or `abc` and `ABC` under a collation). His
 * contact stayed for ever beside that of the new one. For transactions with `sameTexts`.
 * @param text expression of the text
 */
export const userOf = ({ from, key }: Pick<CaptureMapping, 'from' | 'key'>, keyCast: string, text: string): string => {
  const own = `u.${pg.escapeIdentifier(key)}`;
  return `${quoted(from)} u WHERE ${own} = ${text}::${keyCast} AND ${own}::text COLLATE "C" = ${text}`;
};

/**
 * Users to compare one with: some whose rows were mapped before, the first of the table, and then some of all: those who
 * came first may share what fails, and of 3,000 users the first 60 kept everybody from being sent.
 */
export async function* otherUsers(
  pool: Pool,
  connection: string,
  { from, key }: Pick<CaptureMapping, 'from' | 'key'>,
  except: string | null,
): AsyncGenerator<string> {
  const users = `SELECT u.${pg.escapeIdentifier(key)}::text AS key FROM ${quoted(from)} u`;
  const known = `SELECT key FROM syncline.hubspot_contacts WHERE connection_id = $1 AND sent_hash IS NOT NULL AND parked_hash IS NULL`;
  for (const some of [`(${known} LIMIT 50) UNION ALL (${users} LIMIT 50)`, `${users} ORDER BY random() LIMIT 50`]) {
    const { rows } = await transaction(pool, { name: 'other users', settings: sameTexts }, (client) =>
      client.query(`SELECT key FROM (${some}) o WHERE key IS DISTINCT FROM $2 AND $1::text IS NOT NULL`, [
        connection,
        except,
      ]),
    );
    for (const { key: other } of rows) yield other;
  }
}

/**
 * Those of the users who are out of scope, or deleted. One whose condition fails is not among them: his own reading sets
 * him aside. The list that holds him is halved until he is alone.
 * @param deletedToo false: only who is still there and out of scope
 */
export async function whoLeft(
  pool: Pool,
  mapping: Pick<CaptureMapping, 'from' | 'key' | 'where'>,
  keyCast: string,
  keys: readonly string[],
  deletedToo = true,
): Promise<string[]> {
  // OFFSET 0: the condition is evaluated for these users and nobody else.
  const text = `SELECT k.key FROM unnest($1::text[]) k(key) LEFT JOIN LATERAL (SELECT coalesce((${mapping.where ?? 'true'})::boolean, false) AS in_scope
    FROM ${userOf(mapping, keyCast, 'k.key')} OFFSET 0) m ON true WHERE m.in_scope IS ${deletedToo ? 'NOT TRUE' : 'FALSE'}`;
  const settings = `SET TRANSACTION READ ONLY; SET LOCAL row_security = off; ${sameTexts}`;
  const read = (part: readonly string[]) =>
    transaction(pool, { name: 'scope', settings }, async (client) => {
      const { rows } = await client.query(text, [part]);
      return rows.map((row) => row.key as string);
    });
  const halved = async (part: readonly string[]): Promise<string[]> => {
    try {
      return await read(part);
    } catch (error) {
      const fault = rowFault(error);
      if (fault === null) throw error;
      if (part.length > 1) {
        const half = part.length >> 1;
        return [...(await halved(part.slice(0, half))), ...(await halved(part.slice(half)))];
      }
      // A table or a right that is gone fails for nobody as well.
      if (!fault.sure) await read([]);
      return [];
    }
  };
  return halved(keys);
}
