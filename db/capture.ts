import pg from 'pg';
import { functionPrefix, logTable } from './capture/functions.ts';
import { functionsOn, hasLog, lastTouch, tablesOf, triggersOf } from './capture/installed.ts';
import { type CaptureMapping, MappingRefused, type Part, type Probe, probeMapping } from './capture/probe.ts';
import { type MissingRight, missingRights } from './capture/rights.ts';
import { sayBare, silentWriters } from './capture/silent.ts';
import { type CaptureTrigger, captureTriggers, createFunction, createTrigger } from './capture/triggers.ts';
import { type Client, type Pool, transaction } from './client.ts';
import { proveStanding } from './connections.ts';

export { type CaptureMapping, MappingRefused, type Probe, probeMapping } from './capture/probe.ts';
export { type MissingRight, missingRights } from './capture/rights.ts';

/** A connection as capture names its things: by number. */
export interface CaptureOwner {
  id: string;
  no: number;
}

/** Rights are missing; the message names each with the statement that grants it. */
export class RightsMissing extends Error {
  override name = 'RightsMissing';
  constructor(missing: readonly MissingRight[]) {
    super(
      `The database user lacks ${missing.map(({ what }) => what).join(', ')}. As owner of these, or a superuser: ${[...new Set(missing.map(({ grant }) => `${grant};`))].join(' ')}`,
    );
  }
}

/** A table was in use for too long to be given a trigger. */
export class TableBusy extends Error {
  override name = 'TableBusy';
}

/** One trigger that should be there, and how it is. */
export interface TriggerState {
  table: string;
  event: string;
  /** `outdated`: made for another mapping. `off`: somebody disabled it. */
  state: 'installed' | 'missing' | 'outdated' | 'off';
}

export interface CaptureState {
  /** True: every change of a mapped row is seen, but for those of `warnings`. */
  complete: boolean;
  triggers: TriggerState[];
  /** Tables with triggers of this connection that the mapping no longer reads. */
  leftOver: string[];
  /** Whether the log is there and has the columns that the triggers fill. */
  log: boolean;
  /** Writers that fire no trigger, each a sentence; their changes are missed though the triggers are complete. */
  warnings: string[];
  /**
   * Another one when somebody touched triggers, functions, log or schema since: what was written while a trigger was off or
   * a right was taken away stands nowhere, though all is well again.
   */
  touched: string;
}

/** CREATE TRIGGER waits for writers, and makes others wait behind it: not for longer than this. */
const lockTimeout = '5s';
/**
 * A row trigger waits for partitions behind the lock of their table. Well below `deadlock_timeout` (1 s), so that we give
 * way, and never a writer who has a partition and waits for the table.
 */
const shortly = `SET LOCAL lock_timeout = '200ms'`;
const id = pg.escapeIdentifier;

/**
 * Makes the log and the triggers of a connection, or brings them up to its mapping. A transaction a table: none waits
 * for one while it holds another, but for a moment (`shortly`), so that no writer is ever deadlocked by it. What changed
 * before is not in the log, so the last one marks everybody: triggers that are all there were never without that mark.
 * @throws MappingRefused, RightsMissing, TableBusy
 */
export async function installCapture(pool: Pool, owner: CaptureOwner, mapping: CaptureMapping): Promise<CaptureState> {
  const probe = await probeMapping(pool, mapping);
  const missing = await missingRights(pool, owner, probe, 'install');
  if (missing.length > 0) throw new RightsMissing(missing);
  const log = logTable(owner.no);
  await transaction(pool, { name: `capture ${owner.id}` }, async (client) => {
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${log} (key text, at timestamptz NOT NULL DEFAULT now(), link text)`,
    );
    // Emptied again and again: what is left behind is cleared away early, so that a drain reads few dead pages.
    await client.query(
      `ALTER TABLE ${log} SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000)`,
    );
  });
  // Waits for every open writer, so only where it must.
  if (!(await hasLog(pool, owner))) await locked(pool, owner, log, [`ALTER TABLE ${log} ADD COLUMN link text`]);
  const wanted = captureTriggers(owner.no, mapping, probe.tables);
  // Parts before their table: who waits for one longer than `deadlock_timeout` makes a vacuum there give way.
  const oids = [...new Set(wanted.map(({ table }) => table.oid))].reverse();
  for (const oid of oids) {
    const triggers = wanted.filter(({ table }) => table.oid === oid);
    await installOn(pool, owner, triggers, oid === oids.at(-1) ? [`INSERT INTO ${log} (key) VALUES (NULL)`] : []);
  }
  for (const table of await tablesOf(pool, owner.no))
    if (!wanted.some((one) => one.table.oid === table.oid)) await removeFrom(pool, owner, table);
  return captureState(pool, owner, mapping, probe);
}

async function installOn(
  pool: Pool,
  owner: CaptureOwner,
  triggers: readonly CaptureTrigger[],
  more: readonly string[],
): Promise<void> {
  await locked(pool, owner, triggers[0]!.table.name, [
    ...triggers.flatMap(createFunction),
    ...triggers.flatMap((one) => [...(one.spreads ? [shortly] : []), createTrigger(one)]),
    ...more,
  ]);
}

/**
 * Takes the triggers of a connection away, and its log with what is not sent yet.
 * @returns the tables that had some
 * @throws RightsMissing, TableBusy
 */
export async function removeCapture(pool: Pool, owner: CaptureOwner): Promise<string[]> {
  const missing = await missingRights(pool, owner, { tables: [], functions: [] }, 'remove');
  if (missing.length > 0) throw new RightsMissing(missing);
  const tables = await tablesOf(pool, owner.no);
  for (const table of tables) await removeFrom(pool, owner, table);
  await pool.query(`DROP TABLE IF EXISTS ${logTable(owner.no)}`);
  return tables.map(({ name }) => name);
}

/** By the functions, which are ours: DROP TRIGGER is for the owner of the table, who gave us only the right to make one. */
async function removeFrom(pool: Pool, owner: CaptureOwner, { name, oid }: Part): Promise<void> {
  const functions = await functionsOn(pool, owner, oid);
  const drops = functions.flatMap(({ spreads, name }) => [
    ...(spreads ? [shortly] : []),
    `DROP FUNCTION IF EXISTS syncline_capture.${id(name)}() CASCADE`,
  ]);
  await locked(pool, owner, name, drops);
}

/** Runs statements that need a table for themselves, while the connection stands. @throws TableBusy, ConnectionUnknown */
async function locked(pool: Pool, owner: CaptureOwner, table: string, statements: readonly string[]): Promise<void> {
  try {
    await transaction(pool, { name: `capture ${owner.id}` }, async (client) => {
      await client.query(`SET LOCAL lock_timeout = '${lockTimeout}'`);
      // A trigger without its log would fail whoever writes the table.
      await proveStanding(client, owner.id);
      for (const statement of statements) await client.query(statement);
    });
  } catch (error) {
    if ((error as { code?: string }).code !== '55P03') throw error;
    throw new TableBusy(
      `${table} was written without a pause for ${lockTimeout}, so its triggers could not be changed and nothing was. Try again when fewer long transactions write to it`,
      { cause: error },
    );
  }
}

/** What is installed for a connection, beside what its mapping wants. @throws MappingRefused */
export async function captureState(
  pool: Pool,
  owner: CaptureOwner,
  mapping: CaptureMapping,
  probed?: Probe,
): Promise<CaptureState> {
  const { tables } = probed ?? (await probeMapping(pool, mapping));
  const wanted = captureTriggers(owner.no, mapping, tables);
  const rows = await triggersOf(pool, owner);
  // Where nobody names a part, the triggers of its table see all: runs go on.
  const has = ({ oid }: Part) => rows.some((row) => row.oid === oid);
  const bare = tables
    .filter(has)
    .flatMap((table) => table.parts.filter((part) => !has(part)).map((part) => ({ ...part, table })));
  const made = wanted.filter(({ table }) => !bare.some(({ oid }) => oid === table.oid));
  const triggers = made.map(({ table, event, trigger, body }): TriggerState => {
    const found = rows.find((row) => row.oid === table.oid && row.name === trigger);
    const state = !found ? 'missing' : found.body !== body ? 'outdated' : found.off ? 'off' : 'installed';
    return { table: table.name, event, state };
  });
  const there = await tablesOf(pool, owner.no);
  const log = await hasLog(pool, owner);
  return {
    complete: log && triggers.every(({ state }) => state === 'installed'),
    triggers,
    leftOver: there.filter(({ oid }) => !wanted.some(({ table }) => table.oid === oid)).map(({ name }) => name),
    log,
    warnings: [...bare.map((part) => sayBare(part, owner.id)), ...(await silentWriters(pool, tables))],
    touched: await lastTouch(pool, owner),
  };
}

/** What is installed while the mapping does not fit its tables: those triggers are no longer exact, and mark everybody. */
export interface Misfit {
  complete: false;
  /** Problems of the mapping, each a sentence. */
  misfit: readonly string[];
  /** Tables whose every change marks everybody where it concerns what is gone. */
  tables: string[];
}

/** As `captureState`, for people, with the rights that a run and the triggers lack: a column that is gone is told beside the tables that have triggers. */
export async function captureStanding(
  pool: Pool,
  owner: CaptureOwner,
  mapping: CaptureMapping,
): Promise<(CaptureState & { rights: MissingRight[] }) | Misfit> {
  try {
    const probe = await probeMapping(pool, mapping);
    const state = await captureState(pool, owner, mapping, probe);
    return { ...state, rights: await missingRights(pool, owner, probe, 'run') };
  } catch (error) {
    if (!(error instanceof MappingRefused)) throw error;
    const tables = await tablesOf(pool, owner.no);
    return { complete: false, misfit: error.problems, tables: tables.map(({ name }) => name) };
  }
}

/** Tables that have triggers of a connection, whatever its mapping reads now. */
export async function capturedTables(pool: Pool | Client, { no }: CaptureOwner): Promise<string[]> {
  return (await tablesOf(pool, no)).map(({ name }) => name);
}

/** Drops what no trigger of the connection uses any more: its log, and functions whose table was dropped under them. */
export async function dropCapture(client: Client, { no }: CaptureOwner): Promise<void> {
  await client.query(`DROP TABLE IF EXISTS ${logTable(no)}`);
  const { rows } = await client.query(
    `SELECT proname AS name FROM pg_proc WHERE pronamespace = 'syncline_capture'::regnamespace AND starts_with(proname, $1)`,
    [functionPrefix(no)],
  );
  for (const { name } of rows) await client.query(`DROP FUNCTION IF EXISTS syncline_capture.${id(name)}()`);
}
