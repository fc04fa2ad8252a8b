import { randomBytes } from 'node:crypto';
import type { Pool } from '../../db/client.ts';

/**
 * Makes the next statement that writes such a row fail once, as if the server had gone down under it: whoever is tried again
 * finds what was committed before. Its transaction is rolled back.
 * @param when SQL over the row NEW, e.g. `NEW.done`
 * @param how `code`: the SQLSTATE, default that of a server that goes down; `times`: how often, default once
 * @returns whether it has happened
 */
export async function breakOnce(
  pool: Pool,
  table: string,
  event: 'INSERT' | 'UPDATE',
  when: string,
  { code = '57P01', times = 1 }: { code?: string; times?: number } = {},
): Promise<() => Promise<boolean>> {
  const name = `break_${randomBytes(4).toString('hex')}`;
  // A sequence keeps its count when the transaction is rolled back.
  await pool.query(`
    CREATE SEQUENCE ${name};
    CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF nextval('${name}') <= ${times} THEN RAISE EXCEPTION 'gone' USING ERRCODE = '${code}'; END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER ${name} BEFORE ${event} ON ${table} FOR EACH ROW WHEN (${when}) EXECUTE FUNCTION ${name}()`);
  return async () => (await pool.query(`SELECT is_called FROM ${name}`)).rows[0].is_called;
}
