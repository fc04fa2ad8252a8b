import type { CaptureMapping } from '../capture/probe.ts';
import type { Pool } from '../client.ts';
import { rowFault } from './faults.ts';
import type { MappedReader } from './mapped.ts';
import { otherUsers } from './users.ts';

/**
 * Runs the expressions for users who are there, until they do for one: some faults show only then, such as two collations
 * that meet, or a cast that no value fits.
 * @returns what Postgres says of the expressions, or (`values`) of the values of all who were tried; null where they run
 */
export async function tryMapping(
  pool: Pool,
  connection: string,
  mapping: Pick<CaptureMapping, 'from' | 'key'>,
  reader: MappedReader,
): Promise<{ of: 'expressions' | 'values'; sentence: string } | null> {
  const one = { connection: '', after: null, limit: 1, bytes: Number.MAX_SAFE_INTEGER, judged: '' };
  let fails: string | null = null;
  let [tried, values] = [0, ''];
  for await (const only of otherUsers(pool, connection, mapping, null)) {
    try {
      tried += 1;
      await reader.read({ ...one, only });
      return null;
    } catch (error) {
      const { code, message } = error as { code?: unknown; message: string };
      const isOfValues = !String(code).startsWith('42');
      if (isOfValues && rowFault(error) === null) throw error;
      // Of values Postgres' sentence quotes one.
      if (isOfValues) values = String(code);
      else fails ??= `mapping: Postgres cannot run its expressions (SQLSTATE ${code}: ${message})`;
      if (rowFault(error) === null) break;
    }
  }
  if (fails !== null) return { of: 'expressions', sentence: fails };
  if (values === '') return null;
  return {
    of: 'values',
    sentence: `the expressions of the mapping failed for each of the ${tried} users tried (SQLSTATE ${values}): a run would set all of them aside. See the sentence for one: npx syncline hubspot preview USER --connection ${connection}`,
  };
}
