import type { Client } from '@temporalio/client';
import { listConnections } from '../../db/connections.ts';
import { readStanding, type Standing } from '../../db/org/report.ts';
import type { OrgSyncProgress } from '../../workflows/org.view.ts';
import { findSchedule, type ScheduleView } from '../schedules.ts';
import { describeParked, describeProgress, describeTrouble, ended } from './follow.ts';
import { askProgress, findRun, isPolled, nobodyPolls, outcomeOf, type Run } from './runs.ts';
import type { Session } from './session.ts';
import { ago, columns, counted, duration, instant } from './words.ts';

/** What `--json` prints for each connection. */
interface Status extends Standing {
  connection: string;
  platform: string;
  tenant: string;
  /** none | waiting (no worker) | running | paused | parked | completed | failed | cancelled | terminated | timed_out. */
  state: string;
  run: Run | null;
  /** Null without a worker, and for runs that ended. */
  progress: OrgSyncProgress | null;
  /** How a run that ended, ended: applied, planned, declined, skipped, or its failure. */
  outcome: string | null;
  /** Milliseconds since the reading of the last applied plan began; null before the first. */
  lagMs: number | null;
  schedule: ScheduleView | null;
}

/** Connections asked at once. */
const together = 8;

/** Says of each connection what it does, why it waits, how far behind it is and when it runs next. Works without a worker. */
export async function status(
  session: Session,
  name: string | undefined,
  options: { json?: boolean },
): Promise<undefined> {
  const { terminal, config } = session;
  if (name !== undefined) await session.connection(name);
  const all = (await listConnections(await session.pool())).filter(({ id }) => name === undefined || id === name);
  const client = await session.client();
  const polled = await isPolled(client, config.taskQueue);
  const found: Status[] = [];
  for (let i = 0; i < all.length; i += together)
    found.push(...(await Promise.all(all.slice(i, i + together).map((one) => look(session, client, one, polled)))));
  if (options.json) {
    terminal.print(JSON.stringify({ taskQueue: config.taskQueue, polled, connections: found }, null, 2));
    return undefined;
  }
  if (!polled) terminal.print(nobodyPolls(config.taskQueue));
  if (found.length === 0)
    terminal.print('No connections yet. Make one with: npx syncline connect acme --platform scim --url https://…');
  for (const one of found) for (const line of show(one)) terminal.print(line);
  return undefined;
}

async function look(
  session: Session,
  client: Client,
  { id, platform, tenant }: { id: string; platform: string; tenant: string },
  polled: boolean,
): Promise<Status> {
  const [standing, schedule] = await Promise.all([readStanding(await session.pool(), id), findSchedule(client, id)]);
  const run = await findRun(client, id, [standing.holder, schedule?.last ?? null]);
  const open = run?.status === 'RUNNING';
  const progress = run && open && polled ? await askProgress(client, run) : null;
  const closed = run && !open ? await outcomeOf(client, run) : null;
  return {
    connection: id,
    platform,
    tenant,
    state: stateOf(run, progress, polled),
    run,
    progress,
    outcome: closed && ('result' in closed ? closed.result.outcome : closed.failure),
    lagMs: standing.applied && Date.now() - standing.applied.readAt.getTime(),
    schedule,
    ...standing,
  };
}

function stateOf(run: Run | null, progress: OrgSyncProgress | null, polled: boolean): string {
  if (run === null) return 'none';
  if (run.status !== 'RUNNING') return run.status.toLowerCase();
  if (!polled) return 'waiting';
  return progress === null || progress.state === 'done' ? 'running' : progress.state;
}

function show(one: Status): string[] {
  const { living, open, applied } = one;
  const trouble = one.run?.pending.flatMap(describeTrouble) ?? [];
  const facts: [string, string][] = [
    ['run', describeRun(one)],
    ...trouble.map((line): [string, string] => ['waits for', line]),
    ...(one.progress ? describeParked(one.connection, one.progress) : []).map((line): [string, string] => [
      'asks',
      line,
    ]),
    [
      'lag',
      applied && one.lagMs !== null
        ? `${duration(one.lagMs)} (plan ${applied.plan}, read from ${instant(applied.readAt)})`
        : 'never applied',
    ],
    [
      'holds',
      [counted(living.users, 'user'), counted(living.groups, 'group'), counted(living.memberships, 'membership')].join(
        ', ',
      ),
    ],
    ['open', describeOpen(one.connection, open)],
    ['next', describeNext(one.schedule)],
  ];
  const body = [...columns(facts), ...(one.progress ? describeProgress(one.progress) : [])];
  return [`${one.connection} (${one.platform}, tenant ${one.tenant})`, ...body.map((line) => `  ${line}`), ''];
}

function describeRun({ connection, state, run, outcome, progress }: Status): string {
  if (run === null) return `none known to Temporal; start one with: npx syncline start orgSync ${connection}`;
  const { startedAt, endedAt, workflowId } = run;
  if (endedAt === null) {
    const at = run.pending.map(({ name, attempt, counters }) => {
      const numbers = Object.entries(counters).map(([key, n]) => `${key} ${n.toLocaleString('en')}`);
      return [name, ...(attempt > 1 ? [`try ${attempt}`] : []), ...numbers].join(' ');
    });
    const doing = at.length > 0 ? `; at work: ${at.join(', ')}` : '';
    const what = state === 'waiting' ? 'open, but no worker takes it on' : state;
    const silent = state === 'running' && progress === null ? ' (no worker tells its progress)' : '';
    return `${what}${silent}, since ${ago(startedAt)}, ${workflowId}${doing}`;
  }
  const took = duration(endedAt.getTime() - startedAt.getTime());
  const how = state === 'completed' ? outcome : `${ended(run.status)}${state === 'failed' ? `: ${outcome}` : ''}`;
  return `${how}; ended ${ago(endedAt)} after ${took}, ${workflowId}`;
}

function describeOpen(connection: string, { rejects, conflicts }: Standing['open']): string {
  if (rejects + conflicts === 0) return 'nothing handed back';
  return `${counted(rejects, 'reject')}, ${counted(conflicts, 'conflict')}: npx syncline rejects ${connection}`;
}

function describeNext(schedule: ScheduleView | null): string {
  if (schedule === null) return 'no schedule';
  if (schedule.paused) return `schedule paused${schedule.note ? ` (${schedule.note})` : ''}`;
  return schedule.next ? `${instant(schedule.next)} by schedule` : 'schedule without a next time';
}
