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
