import type { Client } from '@temporalio/client';
import type { StoredConnection } from '../../db/connections.ts';
import { type ScheduleView, scheduleId } from '../schedules.ts';
import { ended } from './follow.ts';
import type { Run } from './runs.ts';
import type { Session } from './session.ts';
import { ago, duration, instant } from './words.ts';

/** What the status of each workflow is made of. */
export interface Asked {
  session: Session;
  client: Client;
  connection: StoredConnection;
  /** As findRuns gives them. */
  runs: readonly Run[];
  schedule: ScheduleView | null;
  /** Whether a worker is there to answer. */
  polled: boolean;
}

/** Part of a status that is the same for every workflow. `--json` prints it. */
export interface RunStatus {
  connection: string;
  platform: string;
  tenant: string;
  /** none | waiting (no worker) | running | paused | parked | completed | failed | cancelled | terminated | timed_out. */
  state: string;
  run: Run | null;
  /** How a run that ended, ended: its outcome, or its failure. */
  outcome: string | null;
  schedule: ScheduleView | null;
}

export function describeRun({ connection, state, run, outcome }: RunStatus, workflow: string, silent: boolean): string {
  if (run === null) return `none known to Temporal; start one with: npx syncline start ${workflow} ${connection}`;
  const { startedAt, endedAt, workflowId } = run;
  if (endedAt === null) {
    const at = run.pending.map(({ name, attempt, counters }) => {
      const told = Object.entries(counters).filter(([, n]) => n !== 0);
      const numbers = told.map(([key, n]) => `${key} ${n.toLocaleString('en')}`);
      return [name, ...(attempt > 1 ? [`try ${attempt}`] : []), ...numbers].join(' ');
    });
    const doing = at.length > 0 ? `; at work: ${at.join(', ')}` : '';
    const what = state === 'waiting' ? 'open, but no worker takes it on' : state;
    const untold = state === 'running' && silent ? ' (no worker tells its progress)' : '';
    return `${what}${untold}, since ${ago(startedAt)}, ${workflowId}${doing}`;
  }
  const took = duration(endedAt.getTime() - startedAt.getTime());
  const how = state === 'completed' ? outcome : `${ended(run.status)}${state === 'failed' ? `: ${outcome}` : ''}`;
  return `${how}; ended ${ago(endedAt)} after ${took}, ${workflowId}`;
}

export function describeNext(schedule: ScheduleView | null): string {
  if (schedule === null) return 'no schedule';
  if (schedule.paused) return `schedule paused${schedule.note ? ` (${schedule.note})` : ''}`;
  const by =
    schedule.id === scheduleId(schedule.workflow, schedule.connection) ? 'schedule' : `schedule ${schedule.id}`;
  return schedule.next ? `${instant(schedule.next)} by ${by}` : `${by} without a next time`;
}
