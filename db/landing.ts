import { JsonbArray } from './jsonb.ts';
import type { LandRow } from './land.ts';

/** Rows on their way to `landBatch` (db/land.ts), column by column as Postgres takes them; in the order they came, repeated ids too. */
export interface Landing {
  ids: string[];
  /** `LandRow.timeMs`, `NULL` where there is none. */
  times: (number | 'NULL')[];
  reads: number[];
  gone: boolean[];
  /** The records, outside of the heap. */
  data: JsonbArray;
  /** Values of the typed columns of each row, as a JSON list. */
  columns: JsonbArray;
}

export const emptyLanding = (): Landing => ({
  ids: [],
  times: [],
  reads: [],
  gone: [],
  data: new JsonbArray(),
  columns: new JsonbArray(),
});

/** Puts rows behind those that a batch holds. */
export function addRows(landing: Landing, rows: readonly LandRow[]): void {
  for (const { id, data, timeMs, readMs, gone, columns } of rows) {
    landing.ids.push(id);
    landing.times.push(timeMs ?? 'NULL');
    landing.reads.push(readMs);
    landing.gone.push(gone);
    // The record is JSON text already: it is copied, not parsed and written again.
    landing.data.push(data);
    landing.columns.push(JSON.stringify(columns));
  }
}

const list = (values: readonly unknown[]) => `{${values.join(',')}}`;

/**
 * Parameters of the statement: `text[], float8[], float8[], boolean[], jsonb[], jsonb[]`, the records last: the driver copies
 * what it has of a message into a larger buffer for each parameter that does not fit. Nothing can be added any more.
 */
export function closeLanding({ ids, times, reads, gone, columns, data }: Landing): unknown[] {
  return [ids, list(times), list(reads), list(gone), columns.close(), data.close()];
}

/** Gives the buffers back, when the statement that took them has ended well. */
export function releaseLanding({ data, columns }: Landing): void {
  data.release();
  columns.release();
}
