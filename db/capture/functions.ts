import pg from 'pg';
import type { CaptureMapping, Column, Part, ReadTable } from './probe.ts';

export const events = ['insert', 'update', 'delete', 'truncate'] as const;
export type CaptureEvent = (typeof events)[number];

/** A trigger and the function behind it, as they are made. */
export interface CaptureTrigger {
  event: CaptureEvent;
  table: Part;
  /** Name of the trigger on its table. */
  trigger: string;
  /** Name of the function in syncline_capture. */
  function: string;
  /** Body of the function, which tells whether what is installed is what the mapping wants. */
  body: string;
}

/** Log of a connection, by its number. */
export const logTable = (no: number) => `syncline_capture.log_${no}`;
/** Beginning of the names of a connection's functions. */
export const functionPrefix = (no: number) => `c${no}_`;
const id = pg.escapeIdentifier;

/**
 * The triggers of a mapping: statement-level, one an event, with transition tables. Each writes what changed by one
 * INSERT … SELECT into the log, which has no index: two transactions that touch the same users in whatever order never
 * wait for each other there.
 */
export function captureTriggers(no: number, mapping: CaptureMapping, tables: readonly ReadTable[]): CaptureTrigger[] {
  return tables.flatMap((table) =>
    [table, ...table.parts].flatMap((part) =>
      events.map((event) => ({
        event,
        table: part,
        trigger: `syncline_${no}_${event}`,
        function: `${functionPrefix(no)}${part.oid}_${event}`,
        body: bodyOf(no, event, mapping, table),
      })),
    ),
  );
}

/** How keys are written as texts, whatever a session, a role or the database has set: 3 May of one was 5 March of another. */
const texts = {
  datestyle: 'ISO',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  extra_float_digits: '1',
  bytea_output: 'hex',
};
const settings = (set: string, between: string) =>
  Object.entries(texts)
    .map(([name, value]) => `${set} ${name} = '${value}'`)
    .join(between);
/** For transactions that write keys as texts, so that they are the same as in the log. */
export const sameTexts = settings('SET LOCAL', '; ');

/** Statement that makes the function: it runs with our rights, so that whoever writes the table needs none on our schema. */
export function createFunction({ function: name, body }: CaptureTrigger): string {
  return `CREATE OR REPLACE FUNCTION syncline_capture.${id(name)}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' ${settings('SET', ' ')} AS ${pg.escapeLiteral(body)}`;
}

/** Statement that makes the trigger, or replaces an older one in one step. */
export function createTrigger({ trigger, event, table, function: name }: CaptureTrigger): string {
  const rows = {
    insert: 'NEW TABLE AS new_rows',
    update: 'OLD TABLE AS old_rows NEW TABLE AS new_rows',
    delete: 'OLD TABLE AS old_rows',
    truncate: '',
  }[event];
  return `CREATE OR REPLACE TRIGGER ${id(trigger)} AFTER ${event.toUpperCase()} ON ${table.sql}
    ${rows && `REFERENCING ${rows}`} FOR EACH STATEMENT EXECUTE FUNCTION syncline_capture.${id(name)}()`;
}

/** Classes 42, 0A and XX. */
const ofOurs = 'syntax_error_or_access_rule_violation OR feature_not_supported OR internal_error';

/**
 * A statement on the customer's tables never fails for the mapping. After RENAME COLUMN it did, with 42703: whatever of
 * class 42 (a column, table, function, type or right that is gone), 0A or XX (a column made anew as a virtual one) stops the
 * query now marks everybody instead.
 * A log that is gone, or may not be written any more, takes nothing: no run begins, and everybody is marked.
 */
function bodyOf(no: number, event: CaptureEvent, mapping: CaptureMapping, table: ReadTable): string {
  const log = logTable(no);
  const columns = event !== 'truncate' && table.name !== mapping.from ? 'key, link' : 'key';
  return `BEGIN
  INSERT INTO ${log} (${columns}) ${changedKeys(event, mapping, table)};
  RETURN NULL;
EXCEPTION WHEN ${ofOurs} THEN
  BEGIN
    INSERT INTO ${log} (key) VALUES (NULL);
  EXCEPTION WHEN ${ofOurs} THEN NULL;
  END;
  RETURN NULL;
END`;
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

/** A key that changed finds no partner: both the old and the new one come out. */
function changedUsers({ key }: CaptureMapping, { columns, key: type }: ReadTable): string {
  const own = id(key);
  const differs = differ(columns.filter(({ name }) => name !== key));
  return `SELECT coalesce(n.${own}, o.${own})::text FROM new_rows n FULL JOIN old_rows o ON ${equal({ name: key, type })}
    WHERE n.${own} IS NULL OR o.${own} IS NULL${differs && ` OR ${differs}`}`;
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
