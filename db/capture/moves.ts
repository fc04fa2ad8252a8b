import pg from 'pg';
import { logging, logTable } from './functions.ts';
import type { CaptureMapping, ReadTable } from './probe.ts';

/**
 * Rows that a MERGE moves between partitions: as they leave one, and as they come to another. Postgres counts them as
 * deleted and inserted, and calls the statement triggers of the actions that the MERGE names: with WHEN MATCHED THEN UPDATE
 * alone nothing was logged. So where a table is partitioned, row triggers log them one by one, also those on partitions
 * that come later. Their WHEN is asked while the statement runs, and says no to whatever is no move: an UPDATE is under way,
 * which its statement triggers count up and down since statements stand inside others, and an INSERT that follows a DELETE
 * there is one (an upsert deletes nothing). No column stands in it: that one could not be dropped any more.
 */
export const moves = ['moved_out', 'moved_in'] as const;
export type Move = (typeof moves)[number];

/** Settings that end with their transaction, and with a savepoint that is rolled back. */
interface Settings {
  /** A character for each UPDATE under way. */
  updates: string;
  /** Not empty: one of them has moved a row. `logged`: the log took one. `everybody`: it did not. */
  moved: string;
}

const settingsOf = (no: number, { oid }: ReadTable): Settings => ({
  updates: `'syncline_capture.updates_${no}_${oid}'`,
  moved: `'syncline_capture.moved_${no}_${oid}'`,
});

const get = (setting: string) => `pg_catalog.current_setting(${setting}, true)`;
const is = (setting: string, value: string) => `${get(setting)} OPERATOR(pg_catalog.=) '${value}'`;
const put = (setting: string, value: string) => `pg_catalog.set_config(${setting}, ${value}, true)`;
const isSet = (value: string) => `${value} OPERATOR(pg_catalog.<>) ''`;

/** Body of the trigger before an UPDATE. */
export function beginsUpdate(no: number, table: ReadTable): string {
  const { updates } = settingsOf(no, table);
  return `BEGIN
  PERFORM ${put(updates, `pg_catalog.concat(${get(updates)}, '+')`)};
  RETURN NULL;
END`;
}

/** Body of the trigger behind an UPDATE. @param block what it does where no row can move */
export function endsUpdate(no: number, table: ReadTable, block: string): string {
  const { updates, moved } = settingsOf(no, table);
  return `BEGIN
  IF ${put(updates, `left(${get(updates)}, -1)`)} = '' THEN
    PERFORM ${put(moved, `''`)};
  END IF;
${block};
END`;
}

/** When a row trigger is called. A row leaves its partition before it comes to the other. */
export function whenMoved(no: number, move: Move, table: ReadTable): string {
  const { updates, moved } = settingsOf(no, table);
  if (move === 'moved_in') return isSet(get(moved));
  return `CASE WHEN ${isSet(get(updates))} THEN ${isSet(put(moved, `'yes'`))} ELSE false END`;
}

/**
 * Body of a row trigger. Of each statement one row is written as a subtransaction, which finds out whether the mapping and
 * the log are as they were: 2,000,000 of them would be as many transaction ids.
 */
export function movedBody(no: number, move: Move, mapping: CaptureMapping, table: ReadTable): string {
  const { moved } = settingsOf(no, table);
  const log = logTable(no);
  const row = move === 'moved_in' ? 'NEW' : 'OLD';
  const related = table.name === mapping.from ? undefined : mapping.tables[table.name]!;
  const own = `${row}.${pg.escapeIdentifier(related?.key ?? mapping.key)}`;
  const insert = related
    ? `INSERT INTO ${log} (key, link) SELECT ${own}::pg_catalog.text, ${pg.escapeLiteral(table.name)} WHERE ${own} IS NOT NULL`
    : `INSERT INTO ${log} (key) VALUES (${own}::pg_catalog.text)`;
  const note = (what: string) => `
  PERFORM ${put(moved, `'${what}'`)};`;
  return `BEGIN
  IF ${is(moved, 'everybody')} THEN
    RETURN NULL;
  END IF;
  IF ${is(moved, 'logged')} THEN
    ${insert};
    RETURN NULL;
  END IF;
${logging(log, insert, { written: note('logged'), failed: note('everybody') })};
END`;
}
