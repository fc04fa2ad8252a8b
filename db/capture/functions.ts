import pg from 'pg';
import type { CaptureMapping, Column, ReadTable } from './probe.ts';

export const events = ['insert', 'update', 'delete', 'truncate'] as const;
export type CaptureEvent = (typeof events)[number];

/** Log of a connection, by its number. */
export const logTable = (no: number) => `syncline_capture.log_${no}`;
/** Beginning of the names of a connection's functions. */
export const functionPrefix = (no: number) => `c${no}_`;
const id = pg.escapeIdentifier;

/** How keys are written as texts, whatever a session, a role or the database has set: 3 May of one was 5 March of another. */
const texts = {
  datestyle: 'ISO',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  extra_float_digits: '1',
  bytea_output: 'hex',
};
export const settings = (set: string, between: string) =>
  Object.entries(texts)
    .map(([name, value]) => `${set} ${name} = '${value}'`)
    .join(between);
/** For transactions that write keys as texts, so that they are the same as in the log. */
export const sameTexts = settings('SET LOCAL', '; ');

/** Classes 42, 0A and XX. */
const ofOurs = 'syntax_error_or_access_rule_violation OR feature_not_supported OR internal_error';

/**
 * Block of a function that writes into the log. A statement on the customer's tables never fails for the mapping. After
 * RENAME COLUMN it did, with 42703: whatever of class 42 (a column, table, function, type or right that is gone), 0A or XX
 * (a column made anew as a virtual one) stops it now marks everybody instead.
 * A log that is gone, or may not be written any more, takes nothing: no run begins, and everybody is marked.
 * @param then what follows where it was written, and where it was not
 */
export const logging = (log: string, insert: string, then = { written: '', failed: '' }) => `BEGIN
  ${insert};${then.written}
  RETURN NULL;
EXCEPTION WHEN ${ofOurs} THEN
  BEGIN
    INSERT INTO ${log} (key) VALUES (NULL);
  EXCEPTION WHEN ${ofOurs} THEN NULL;
  END;${then.failed}
  RETURN NULL;
END`;

export function bodyOf(no: number, event: CaptureEvent, mapping: CaptureMapping, table: ReadTable): string {
  const log = logTable(no);
  const columns = event !== 'truncate' && table.name !== mapping.from ? 'key, link' : 'key';
  return logging(log, `INSERT INTO ${log} (${columns}) ${changedKeys(event, mapping, table)}`);
}

/**
 * Query for the keys of all users that a statement touched; of another table for the links, with its name beside them.
 * Whose links they are the drain finds out: the statement itself does not see a user whom another open transaction
 * inserts or moves to the link, and he kept the company's old name; and a link may be written in other letters than the
 * user's own key (a text under a collation to which both are equal), which would be a second user.
 */
function changedKeys(event: CaptureEvent, mapping: CaptureMapping, table: ReadTable): string {
  // No rows are told: everybody is looked at again.
  if (event === 'truncate') return 'VALUES (NULL)';
  if (table.name === mapping.from) return event === 'update' ? changedUsers(mapping, table) : usersIn(event, mapping);
  const related = mapping.tables[table.name]!;
  const link = id(related.key);
  const found =
    event === 'update' ? changedLinks(link, table) : `SELECT DISTINCT r.${link} AS link FROM ${rowsOf(event)} r`;
  return `SELECT link::text, ${pg.escapeLiteral(table.name)} FROM (${found}) AS found WHERE link IS NOT NULL`;
}

const rowsOf = (event: CaptureEvent) => (event === 'insert' ? 'new_rows' : 'old_rows');

const usersIn = (event: CaptureEvent, { key }: CaptureMapping) => `SELECT r.${id(key)}::text FROM ${rowsOf(event)} r`;

/**
 * A key that changed finds no partner: both the old and the new one come out. So they do of one that was written in other
 * letters and is equal, which is the same row and another user: 1.0 as 1.00, or `abc` as `ABC` where the collation says so.
 */
function changedUsers({ key }: CaptureMapping, { columns, key: type }: ReadTable): string {
  const own = id(key);
  const differs = differ(columns.filter(({ name }) => name !== key));
  const rows = `new_rows n FULL JOIN old_rows o ON ${equal({ name: key, type })}`;
  const changed = `n.${own} IS NULL OR o.${own} IS NULL${differs && ` OR ${differs}`}`;
  if (exact.test(type)) return `SELECT coalesce(n.${own}, o.${own})::text FROM ${rows} WHERE ${changed}`;
  const rewritten = differ([{ name: key, type }]);
  return `SELECT ends.key FROM ${rows}
    CROSS JOIN LATERAL (VALUES (n.${own}::text), (CASE WHEN ${rewritten} THEN o.${own}::text END)) AS ends (key)
    WHERE ends.key IS NOT NULL AND (${changed} OR ${rewritten})`;
}

/** Without a primary key nobody can tell which row became which: every row of the statement counts. */
function changedLinks(link: string, { identity, columns }: ReadTable): string {
  if (identity.length === 0) return `SELECT n.${link} AS link FROM new_rows n UNION SELECT o.${link} FROM old_rows o`;
  const first = id(identity[0]!.name);
  const join = identity.map(equal).join(' AND ');
  const known = columns.some(({ name }) => id(name) === link);
  const differs = [differ(columns), known ? '' : `n.${link} IS DISTINCT FROM o.${link}`].filter(Boolean).join(' OR ');
  return `SELECT DISTINCT ends.link FROM new_rows n FULL JOIN old_rows o ON ${join}
    CROSS JOIN LATERAL (VALUES (n.${link}), (o.${link})) AS ends (link)
    WHERE n.${first} IS NULL OR o.${first} IS NULL OR ${differs}`;
}

/** Types whose equal values are the same in every byte. Of all others the stored bytes are compared: 1.0 and 1.00, `A` and `a` of citext differ. */
const exact = /^(boolean|smallint|integer|bigint|date|timestamp|time |uuid|oid)/;
const plainTexts = /^(text|character varying|character)(\(\d+\))?$/;
/** Whose text no setting changes, and which no function of others makes. */
export const isPlain = (type: string) => /^(smallint|integer|bigint|uuid|numeric)/.test(type) || plainTexts.test(type);

/** The function looks for operators in pg_catalog alone, where types of extensions have none. */
function equal({ name, type }: Column): string {
  const column = id(name);
  const known = exact.test(type) || plainTexts.test(type) || type.startsWith('numeric');
  return known ? `n.${column} = o.${column}` : `n.${column}::text = o.${column}::text`;
}

function differ(columns: readonly Column[]): string {
  return columns
    .map(({ name, type }) => {
      const column = id(name);
      if (exact.test(type)) return `n.${column} IS DISTINCT FROM o.${column}`;
      if (plainTexts.test(type)) return `n.${column} COLLATE "C" IS DISTINCT FROM o.${column} COLLATE "C"`;
      return `ROW(n.${column})::record OPERATOR(pg_catalog.*<>) ROW(o.${column})::record`;
    })
    .join(' OR ');
}
