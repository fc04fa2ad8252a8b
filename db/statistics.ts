import type { Client, Pool } from './client.ts';

/** So few rows are walked for each other row within the time that looking at them here would take. */
const few = 500;
/** From such an estimate on no plan walks all rows of a connection for each row of another table. */
const enough = 1_000;
/** An estimate is wrong by this much where the rows came after the table was analysed, and never where they came before. */
const off = 10;

/**
 * Makes the planner know rows that came after a table was analysed: of a connection that had none by then it expects one
 * row, and walks its 20,000 for each row of another table (88 s instead of 0.1 s). Autovacuum comes a minute later. Costs
 * about a millisecond where the statistics are good, and one ANALYZE where they are not.
 *
 * To be asked outside of a transaction, right before a statement joins these rows with others: an ANALYZE locks out
 * others of the same table until the transaction ends.
 * @param key columns and values that all these rows have
 * @returns true when the planner knew of so many that nobody need ask again before long
 */
export async function knowRows(
  db: Pool | Client,
  table: string,
  key: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  const where = Object.keys(key)
    .map((column, i) => `${column} = $${i + 1}`)
    .join(' AND ');
  const values = Object.values(key);
  const { rows } = await db.query(`EXPLAIN (FORMAT JSON) SELECT FROM ${table} WHERE ${where}`, values);
  const expected: number = rows[0]['QUERY PLAN'][0].Plan['Plan Rows'];
  if (expected >= enough) return true;
  const { rowCount } = await db.query(
    `SELECT FROM ${table} WHERE ${where} OFFSET ${expected * off + few} LIMIT 1`,
    values,
  );
  if (rowCount === 1) await db.query(`ANALYZE ${table}`);
  return false;
}
