import type { Pool } from '../client.ts';
import { tablesOf } from './installed.ts';
import { type CaptureMapping, quoted } from './probe.ts';

/** As it is stored: what has a default may be missing. */
interface Users extends Pick<CaptureMapping, 'from' | 'key'> {
  tables?: object;
}

/**
 * Whether the users of two mappings stand in the same table and column, which was renamed: then what is known by their keys
 * stays true. Triggers go with a table, so the table is the one that has them. A column is the same for certain only in a
 * table that never lost one.
 */
export async function isRenamed(pool: Pool, { no }: { no: number }, was: Users, is: Users): Promise<boolean> {
  const { rows } = await pool.query(
    `SELECT to_regclass($1) IS NOT NULL AS old, to_regclass($2) IS NOT NULL AS there, EXISTS (SELECT 1 FROM pg_attribute
       WHERE attrelid = to_regclass($2) AND attnum > 0 AND (attisdropped OR attname = $3)) AS other`,
    [quoted(was.from), quoted(is.from), was.key],
  );
  const { old, there, other } = rows[0];
  const captured = await tablesOf(pool, no);
  const moved = !old && !Object.hasOwn(was.tables ?? {}, is.from) && captured.some(({ name }) => name === is.from);
  return (was.from === is.from || moved) && (was.key === is.key || (there && !other));
}
