import type { Execution } from '../../db/claims.ts';
import { leavingConnections } from '../../db/connections.ts';
import type { Reference } from '../../db/disconnect/references.ts';
import { ownedTables } from '../../db/disconnect/tables.ts';
import {
  type Counted,
  countRows,
  deleteRows,
  going,
  type InUse,
  type Leaving,
  leave,
  pageRows,
  readUses,
} from '../../db/disconnect.ts';
import { drawBar } from '../../workflows/progress.ts';
import { syncWorkflows, workflowsOf } from '../pipelines.ts';
import { findSchedule, otherSchedules, scheduleId } from '../schedules.ts';
import { openCatalog } from './connectors.ts';
import { findOpen } from './find.ts';
import { describeRun } from './runs.ts';
import { checkName, type Session } from './session.ts';
import { orCampaign } from './status.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { columns, count, counted } from './words.ts';

interface DisconnectOptions {
  keepRows?: boolean;
  dryRun?: boolean;
  yes?: boolean;
}

/** A connection, or what an earlier call left of it. */
interface Target extends Leaving {
  platform: string;
  /** An earlier call has begun. */
  begun: boolean;
}

/** Takes a connection away with its credential and rows; says before what, and asks. */
export async function disconnect(
  session: Session,
  name: string,
  { keepRows = false, dryRun = false, yes = false }: DisconnectOptions,
): Promise<number | undefined> {
  const { terminal } = session;
  const target = await find(session, name, keepRows);
  const pool = await session.pool();
  const isOpen = async (held: Execution) => (await describeRun(await session.client(), held))?.status === 'RUNNING';
  const tables = await tablesOf(session, target);
  const reasons = async () => (target.begun ? [] : inUse(session, target, tables, isOpen));
  if (!dryRun) refuse(target, await reasons());
  const found = await countRows(pool, name, tables);
  for (const line of described(target, found, dryRun)) terminal.print(line);
  if (dryRun) {
    const standing = await reasons();
    if (standing.length > 0) terminal.print('It would be refused now, and nothing deleted:');
    for (const reason of standing) terminal.print(`  ${reason}`);
    return undefined;
  }
  if (!yes && !(await confirmed(session, target))) return 1;
  const uses = await leave(pool, target, tables, isOpen).catch((error) => busy(error, target));
  if (uses) refuse(target, sentences(name, uses));
  // Asked for again: while a person was asked, a run may have made another table.
  await remove(session, target, await tablesOf(session, target), found);
  const stay = found.filter(({ kept }) => kept && target.keepRows);
  terminal.print(
    `Disconnected ${name}: ${counted(sum(going(found, target.keepRows)), 'row')} deleted${stay.length > 0 ? `, ${counted(sum(stay), 'row')} stay` : ''}. The name is free.`,
  );
  return undefined;
}

/** @throws ConnectionUnknown; CommandError for a campaign's name, and where rows are to stay that are going already */
async function find(session: Session, name: string, keepRows: boolean): Promise<Target> {
  checkName(name);
  const left = (await leavingConnections(await session.pool())).find(({ id }) => id === name);
  if (left) {
    if (keepRows && left.leaving === 'all')
      throw wrongUse(
        `--keep-rows: the rows of "${name}" are being deleted already. Finish that with: npx syncline disconnect ${name}`,
      );
    return { id: name, no: left.no, platform: left.platform, keepRows: left.leaving === 'kept', begun: true };
  }
  const stored = await session.connection(name).catch((error: unknown) => orCampaign(session, name, error));
  return { id: name, no: stored.no, platform: stored.platform, keepRows, begun: false };
}

/** @throws CommandError where nobody here knows which tables the platform has */
async function tablesOf(session: Session, target: Target) {
  const { id, platform } = target;
  await openCatalog(session);
  const { schemaOf, streamTables } = await import('../../activities/tables.ts');
  const schema = schemaOf(platform);
  if (schema === undefined)
    throw new CommandError(
      `"${id}" is of platform ${platform}, which has no connector here, so its tables are not known; nothing was deleted. Set SYNCLINE_CONNECTORS to the module that has it, as the worker does, then: ${again(target)}`,
    );
  return ownedTables(await session.pool(), id, streamTables(), schema);
}

type Tables = Awaited<ReturnType<typeof tablesOf>>;

/** What stands in the way, each a sentence with the next command. */
async function inUse(
  session: Session,
  target: Target,
  tables: Tables,
  isOpen: (held: Execution) => Promise<boolean>,
): Promise<string[]> {
  const { id, platform } = target;
  const client = await session.client();
  const uses = await readUses(await session.pool(), target, tables, isOpen);
  // Runs that have not taken their claim yet, and those that take none.
  const open = await findOpen(session, { id, platform });
  const found = sentences(id, { ...uses, holders: open.length > 0 ? [] : uses.holders });
  for (const { workflowId } of open) found.unshift(`a run is open (${workflowId}): npx syncline cancel ${id}`);
  const mine = workflowsOf(platform);
  for (const workflow of syncWorkflows) {
    if (!(await findSchedule(client, workflow, id))) continue;
    const which = mine.length > 1 ? ` --workflow ${workflow}` : '';
    found.push(
      mine.includes(workflow)
        ? `a schedule runs it: npx syncline schedule delete ${id}${which}`
        : outside(scheduleId(workflow, id)),
    );
  }
  const ours = new Set(syncWorkflows.map((workflow) => scheduleId(workflow, id)));
  for (const { id: schedule, connection } of await otherSchedules(client, ours))
    if (connection === id) found.push(outside(schedule));
  return found;
}

const outside = (id: string) => `a schedule made outside runs it: temporal schedule delete --schedule-id ${id}`;

function sentences(name: string, { holders, captured, campaigns, references }: InUse): string[] {
  const runs = new Set(holders.map(({ workflowId }) => workflowId));
  return [
    ...[...runs].map((id) => `a run is open (${id}): npx syncline cancel ${name}`),
    ...(captured.length > 0
      ? [`changes of ${captured.join(', ')} are captured for it: npx syncline capture remove ${name}`]
      : []),
    ...campaigns.map((id) => `campaign ${id} uses it: npx syncline campaign purge ${id}`),
    ...references.map((one) => pointing(name, one)),
  ];
}

function pointing(name: string, { table, constraint, rows, to }: Reference): string {
  const at = `at rows of ${to.schema}.${to.name} that would go (${constraint})`;
  const keep = to.kept ? `, or let those stay: npx syncline disconnect ${name} --keep-rows` : '';
  if (rows === null)
    return `rows of ${table} may point ${at}, and not all of that table can be read here: give our database user SELECT on it, free of row security, or drop the constraint${keep}`;
  return `${counted(rows, 'row')} of ${table} point${rows === 1 ? 's' : ''} ${at}: delete or move ${rows === 1 ? 'it' : 'them'} first${keep}`;
}

/** The command as it was given: without its --keep-rows it would delete what was to stay. What is begun knows it. */
const again = ({ id, keepRows, begun }: Target) =>
  `npx syncline disconnect ${id}${keepRows && !begun ? ' --keep-rows' : ''}`;

/** @throws CommandError with all of it */
function refuse(target: Target, reasons: readonly string[]): void {
  if (reasons.length === 0) return;
  throw new CommandError(`${target.id} is in use; nothing was deleted: ${reasons.join('; ')}. Then: ${again(target)}`);
}

function described({ id, platform, begun, keepRows }: Target, found: readonly Counted[], dryRun: boolean): string[] {
  const lines = (tables: readonly Counted[]) =>
    columns(tables.map((one) => [`  ${one.schema}.${one.name}`, count(one.rows)]));
  const gone = going(found, keepRows);
  const stay = found.filter((one) => !gone.includes(one));
  const verb = dryRun ? 'Would delete' : 'To be deleted:';
  const what = begun ? `what is left of connection ${id}` : `connection ${id} (${platform}), its credential`;
  return [
    gone.length > 0
      ? `${verb} ${what}, and of these tables so many rows:`
      : `${verb} ${what}; no table has rows of it to delete.`,
    ...lines(gone),
    ...(stay.length > 0
      ? ['These rows stay, and nobody updates them; connected again under this name, it finds them:', ...lines(stay)]
      : []),
  ];
}

async function confirmed({ terminal }: Session, target: Target): Promise<boolean> {
  const { id, begun } = target;
  if (!terminal.interactive)
    throw wrongUse(`Nobody can be asked here; nothing was deleted. Delete it with: ${again(target)} --yes`);
  const typed = await terminal.ask(`Nothing brings this back. Type the name of the connection to delete it: `);
  if (typed.trim() === id) return true;
  terminal.print(begun ? 'Nothing more was deleted.' : 'Nothing was deleted.');
  return false;
}

const lockNotAvailable = '55P03';

function busy(error: unknown, target: Target): never {
  if ((error as { code?: string }).code !== lockNotAvailable) throw error;
  throw new CommandError(
    `A write for ${target.id} is still under way, of a run that was ended a moment ago or of a command; nothing was deleted. Try again: ${again(target)}`,
  );
}

const sum = (tables: readonly Counted[]) => tables.reduce((total, { rows }) => total + rows, 0);
const foreignKey = '23503';

async function remove(session: Session, target: Target, tables: Tables, found: readonly Counted[]): Promise<void> {
  const { terminal } = session;
  const total = sum(going(found, target.keepRows));
  let done = 0;
  try {
    await deleteRows(await session.pool(), target, tables, ({ schema, name }, rows) => {
      done += rows;
      if (terminal.interactive && total > pageRows)
        terminal.redraw([`${drawBar({ name, done, total, state: 'running' })} ${schema}.${name}`]);
    });
  } catch (error) {
    const { code, constraint, schema, table } = error as Record<string, string | undefined>;
    const next = `npx syncline disconnect ${target.id}`;
    if (code === foreignKey)
      throw new CommandError(
        `Rows of ${schema}.${table} point at rows of ${target.id} (${constraint}); ${counted(done, 'row')} of it are deleted. Delete those, then go on with: ${next}`,
      );
    terminal.warn(`${counted(done, 'row')} are deleted. Go on with: ${next}`);
    throw error;
  }
}
