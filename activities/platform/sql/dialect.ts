import { DateTime } from 'luxon';

/** A database that is read and never written: one connection, what is read comes as JSON has it. */
export interface ForeignDatabase {
  /** Columns of a table as they are needed for reading. @throws what the driver throws */
  describe(from: string, columns: readonly string[]): Promise<Map<string, ForeignColumn>>;
  /** One page by keyset, in its order; rows hold `select`, and the keyset's exact values as texts under `keyName`. */
  page(question: Page): Promise<Record<string, unknown>[]>;
  /** Rows of all pages of a question. */
  count(question: Question): Promise<number>;
  close(): Promise<void>;
}

export interface ForeignColumn {
  /** Its times have no zone. */
  naive: boolean;
  /** Compared as a whole number. */
  integer: 'signed' | 'unsigned' | null;
}

/** Which rows are meant. */
export interface Question {
  from: string;
  columns: ReadonlyMap<string, ForeignColumn>;
  /** Zone of the times that have none. */
  zone: string;
  /** Columns compared with values. */
  equals: readonly (readonly [column: string, value: unknown])[];
  /** Column of the range; null without a range. */
  time: { column: string; fromMs: number | null; toMs: number | null } | null;
}

export interface Page extends Question {
  select: readonly string[];
  keyset: readonly string[];
  /** Values of the keyset behind which the page begins, as texts. `keyless`: the rows that no page holds, since a column of their key is NULL. */
  after: readonly string[] | 'keyless' | null;
  rows: number;
}

/** Under this name a row carries the exact text of a key column: a JavaScript date has milliseconds, the column may have microseconds. */
export const keyName = (column: string) => `key of ${column}`;

/** No zone sets its clocks back by more than this. */
const longestBackMs = 3 * 3_600_000;

/**
 * The least time without a zone that a row of this moment or a later one can carry. The column is compared with it as it
 * is: one that is converted first uses no index. Where clocks go back, an hour comes twice: whatever is read from a
 * moment within its first passing begins at its start, else rows of the second passing would look too old.
 */
export function leastLocal(ms: number, zone: string): string {
  const offset = (at: number) => DateTime.fromMillis(at, { zone }).offset;
  const local = (at: number) => at + offset(at) * 60_000;
  let least = local(ms);
  let [before, behind] = [ms, ms + longestBackMs];
  if (offset(behind) < offset(ms)) {
    while (behind - before > 1) {
      const middle = Math.floor((before + behind) / 2);
      if (offset(middle) === offset(ms)) before = middle;
      else behind = middle;
    }
    least = Math.min(least, local(behind));
  }
  return DateTime.fromMillis(least, { zone: 'UTC' }).toFormat('yyyy-MM-dd HH:mm:ss.SSS');
}
