import type { Pool } from '../../db/client.ts';
import { fillRows, markFilled, nextRowVersion, rowsToFill, type StreamTable } from '../../db/streams.ts';
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
  let filled = 0;
  const fillSince = async (since: string): Promise<void> => {
    let after: { connection: string; id: string } | null = null;
    for (;;) {
      const rows = await rowsToFill(pool, table, after, rowsAtOnce, since);
      const last = rows.at(-1);
      if (last === undefined) return;
      await fillRows(
        pool,
        table,
        columns,
        rows.flatMap(({ due, data, ...row }) => (due ? { ...row, values: valuesOf(data) } : [])),
      );
      after = { connection: last.connection, id: last.id };
      filled += rows.length;
      call.report({ filled });
      call.shouldEnd();
    }
  };
  const begun = await nextRowVersion(pool);
  await fillSince('0');
  // A worker of an earlier version does not know the column: what it landed meanwhile is looked at once more.
  await fillSince(begun);
  await markFilled(pool, table, columns);
}
