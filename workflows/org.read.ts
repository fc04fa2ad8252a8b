import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { Prepared } from '../activities/org/prepare.ts';
import type { Seats } from '../db/org/effective.ts';
import type { ApplyStep, Plan } from '../db/org/plan.ts';
import type { Stream } from '../db/org/stageRows.ts';
import { historyIsLong } from './history.ts';
import { quick, slice, whole } from './options.ts';
import type { Gate } from './org.gate.ts';
import type { RunView } from './org.view.ts';
import { tried } from './tries.ts';

/** The activities of one connection. Its name is the fairness key: 50 connections at once take turns at a worker's slots. */
export function activitiesOf(connection: string) {
  const priority = { fairnessKey: connection };
  return {
    short: proxyActivities<Activities>({ ...quick, priority }),
    slices: proxyActivities<Activities>({ ...slice, priority }),
    long: proxyActivities<Activities>({ ...whole, priority }),
  };
}

/** How far a list is: still read, asked for what it did not bring, read, or planned (groups, while people are read). */
type Phase = 'list' | 'missing' | 'read' | 'planned';

/** Where an attempt stands while it reads; the rows and the source's cursor stand in Postgres with the plan. */
export interface Standing {
  prepared: Prepared;
  phases: Record<Stream, Phase>;
  /** What planning the groups found out about memberships. */
  seats?: Seats;
}

/** What the parts of one run hand to each other. */
export interface Run extends ReturnType<typeof activitiesOf> {
  plan: Plan;
  at: Standing;
  view: RunView;
  gate: Gate;
}

/**
 * Reads a list into the stage, slice by slice, and asks one by one for what it did not bring.
 * @returns false when the history got long; no activity of the list is under way then.
 */
export async function readList({ plan, at, view, gate, slices, long }: Run, stream: Stream): Promise<boolean> {
  const name = stream === 'groups' ? 'stageGroups' : 'stageUsers';
  const { phases } = at;
  while (phases[stream] === 'list' || phases[stream] === 'missing') {
    // A source under its limit may make the run wait for hours, at eleven events a wait. Writing needs no such bound: with
    // about seven events in 20 s and lane, it takes a day to the 51,200 events at which the server ends a run.
    if (historyIsLong()) return false;
    await gate.pass();
    if (phases[stream] === 'list') {
      const part = await tried(view, name, () => long[name]({ plan }));
      view.staged(name, part);
      if (part.done) phases[stream] = part.missing ? 'missing' : 'read';
      await gate.wait(part.waitMs, part.waitFor ?? null);
    } else {
      const confirmed = await tried(view, 'confirmMissing', () => slices.confirmMissing({ plan, stream }));
      view.confirmed(stream, confirmed);
      if (confirmed.waitMs <= 0) phases[stream] = 'read';
      await gate.wait(confirmed.waitMs, confirmed.waitFor ?? null);
    }
  }
  return true;
}

/** Leaves them unplanned while only the people can tell which members are groups. */
export async function planGroups({ plan, at, view, long }: Run, skipped: ApplyStep[]): Promise<void> {
  if (at.phases.groups === 'planned') return;
  const planned = await tried(view, 'markGroups', () => long.markGroups({ plan, skipped }));
  if (planned === null) return;
  const { seats, ...marks } = planned;
  view.marked('markGroups', marks);
  at.seats = seats;
  at.phases.groups = 'planned';
}
