import { listConnections } from '../../db/connections.ts';
import { type SyncWorkflow, workflowsOf } from '../pipelines.ts';
import {
  changeSchedule,
  findSchedule,
  otherSchedules,
  type ScheduleView,
  scheduleId,
  setSchedule,
} from '../schedules.ts';
import { chooseWorkflow } from './choose.ts';
import { openCatalog } from './connectors.ts';
import { isPolled, nobodyPolls } from './runs.ts';
import type { Session } from './session.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { columns, duration, instant } from './words.ts';

interface WorkflowOption {
  /** Needed where two workflows read the platform. */
  workflow?: string;
}

interface SetOptions extends WorkflowOption {
  cron?: string;
  every?: string;
  timeZone?: string;
  mode?: 'full' | 'incremental';
}

const units: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const leastEveryMs = 10_000;
/** Where nobody says when. */
const usualEvery: Partial<Record<SyncWorkflow, string>> = { hubspotSync: '3m' };

/** Makes the schedule of a connection or changes its times. */
export async function set(session: Session, name: string, options: SetOptions): Promise<undefined> {
  const { cron, timeZone, mode } = options;
  if (timeZone !== undefined && cron === undefined)
    throw wrongUse('--time-zone belongs to --cron; an interval has none');
  const { workflow } = await chooseWorkflow(session, name, options.workflow);
  const every = options.every ?? (cron === undefined ? usualEvery[workflow] : undefined);
  if ((cron === undefined) === (every === undefined))
    throw wrongUse(`Say when: --cron '*/15 * * * *' or --every 15m, one of both`);
  const everyMs = every === undefined ? undefined : readDuration(every);
  const client = await session.client();
  const { taskQueue } = session.config;
  const { made, next } = await setSchedule(client, {
    workflow,
    connection: name,
    taskQueue,
    cron,
    timeZone,
    everyMs,
    mode,
  }).catch((error: unknown) => {
    if (!(error instanceof TypeError)) throw error;
    const got = timeZone === undefined ? `"${cron}"` : `"${cron}" in "${timeZone}"`;
    throw wrongUse(
      `--cron: got ${got}, accepted five fields such as '*/15 * * * *' or @daily, and a zone such as Europe/Berlin (${error.message.split('\n')[0]})`,
    );
  });
  const when = next.slice(0, 3).map(instant).join(', ');
  session.terminal.print(`${made ? 'Made' : 'Changed'} the schedule of ${name}. Next: ${when || 'never'}`);
  if (!(await isPolled(client, taskQueue))) session.terminal.warn(nobodyPolls(taskQueue));
  return undefined;
}

function readDuration(text: string): number {
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(amount) * (units[unit ?? ''] ?? Number.NaN);
  if (ms >= leastEveryMs) return ms;
  throw wrongUse(
    `--every: got "${text.slice(0, 40)}", accepted a number with s, m, h or d, ${leastEveryMs / 1000}s at least, such as 15m`,
  );
}

/** Lists the schedules of all connections, whatever made them. */
export async function list(session: Session, options: { json?: boolean }): Promise<undefined> {
  const connections = await listConnections(await session.pool());
  const client = await session.client();
  const found: ScheduleView[] = [];
  await openCatalog(session);
  const ours = new Set<string>();
  for (const { id, platform } of connections)
    for (const workflow of workflowsOf(platform)) {
      ours.add(scheduleId(workflow, id));
      const schedule = await findSchedule(client, workflow, id);
      if (schedule) found.push(schedule);
    }
  const known = new Set(connections.map(({ id }) => id));
  const others = await otherSchedules(client, ours);
  found.push(...others.filter(({ connection }) => known.has(connection)));
  const { print } = session.terminal;
  if (options.json) print(JSON.stringify(found, null, 2));
  else if (found.length === 0)
    print("No schedules yet. Make one with: npx syncline schedule acme --cron '*/15 * * * *'");
  else for (const line of columns(found.map(row))) print(line);
  return undefined;
}

function row(schedule: ScheduleView): string[] {
  const { id, workflow, connection, cron, everyMs, timeZone, paused, next, last, missed, skipped } = schedule;
  const times = everyMs === null ? `${cron ?? 'calendar'} ${timeZone}` : `every ${duration(everyMs)}`;
  return [
    connection,
    times,
    paused ? 'paused' : next ? `next ${instant(next)}` : 'no next time',
    last ? `last ${instant(last.at)}` : 'no run yet',
    id === scheduleId(workflow, connection) ? workflow : `${workflow}, made outside as ${id}`,
    ...(missed > 0 ? [`${missed} missed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped, a run was at work`] : []),
  ];
}

function verb(name: 'pause' | 'unpause' | 'trigger' | 'delete', done: string) {
  return async (session: Session, connection: string, options: WorkflowOption): Promise<undefined> => {
    const { workflow } = await chooseWorkflow(session, connection, options.workflow);
    const client = await session.client();
    if (!(await changeSchedule(client, workflow, connection, name)))
      throw new CommandError(
        `${connection} has no schedule made by syncline, and no other is touched (npx syncline schedule list). Make one with: npx syncline schedule ${connection} --cron '*/15 * * * *'`,
      );
    session.terminal.print(done.replaceAll('NAME', connection));
    return undefined;
  };
}

export const verbs = {
  pause: verb('pause', 'Paused the schedule of NAME. Go on with: npx syncline schedule unpause NAME'),
  unpause: verb('unpause', 'The schedule of NAME goes on.'),
  trigger: verb('trigger', 'Triggered a run of NAME. Look at it with: npx syncline status NAME'),
  delete: verb('delete', 'Deleted the schedule of NAME. A run at work goes on.'),
};
