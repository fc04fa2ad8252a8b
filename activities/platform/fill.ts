import type { Pool } from '../../db/client.ts';
import { fillRows, markFilled, rowsToFill, type StreamTable } from '../../db/streams.ts';
import type { Call } from '../step.ts';

const rowsAtOnce = 2_000;

/**
 * Fills new columns from the records we hold, without a call to the source. May be killed at any moment: the column is
 * marked as filled with the last row only. A record whose value does not fit keeps null there.
 * @param valuesOf values of these columns in a record, in their order
 */
export async function fillColumns(
  pool: Pool,
  table: StreamTable,
  columns: readonly string[],
  valuesOf: (data: unknown) => unknown[],
  call: Pick<Call, 'report' | 'shouldEnd'>,
): Promise<void> {
  if (columns.length === 0) return;
  let after: { connection: string; id: string } | null = null;
  let filled = 0;
  for (;;) {
    const rows = await rowsToFill(pool, table, after, rowsAtOnce);
    const last = rows.at(-1);
    if (last === undefined) break;
    await fillRows(
      pool,
      table,
      columns,
      rows.map(({ connection, id, data }) => ({ connection, id, values: valuesOf(data) })),
    );
    after = { connection: last.connection, id: last.id };
    filled += rows.length;
    call.report({ filled });
    call.shouldEnd();
  }
  await markFilled(pool, table, columns);
}
