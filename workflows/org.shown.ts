import type { GroupMarks } from '../db/org/groups.ts';
import type { Stream } from '../db/org/stageRows.ts';
import type { UserMarks } from '../db/org/users.ts';
import type { Written } from '../db/org/written.ts';
import type { OrgSyncProgress } from './org.view.ts';
import type { Bar } from './progress.ts';

/** What a run has shown while it read, as plain JSON: the next execution of a long run goes on with it. */
export interface Shown {
  /** Epoch milliseconds of the run's first moment. */
  started: number;
  mode: string | null;
  steps: Bar[];
  notes: string[];
  /** Requests by activity; those of a list are of its latest pass. */
  requests: { stageGroups: number; stageUsers: number; confirmMissing: number };
  /** Missing rows asked for one by one in this attempt, and those of them that live. */
  asked: Record<Stream, { asked: number; alive: number }>;
  groups: GroupMarks | null;
  /** What attempts that failed have written, and what stays. */
  written: Written;
}

export function nothingShown(names: readonly string[], started: number): Shown {
  return {
    started,
    mode: null,
    steps: names.map((name) => ({ name, done: 0, total: null, state: 'waiting' })),
    notes: [],
    requests: { stageGroups: 0, stageUsers: 0, confirmMissing: 0 },
    asked: nobodyAsked(),
    groups: null,
    written: {},
  };
}

/** `deleteUsers 9, addUsers 4`; empty when nothing was written. */
export function describeWritten(written: Written): string {
  return Object.entries(written)
    .map(([step, n]) => `${step} ${n}`)
    .join(', ');
}

export function sumWritten(one: Written, other: Written): Written {
  const sum: Written = { ...one };
  for (const [step, n] of Object.entries(other) as [keyof Written, number][]) sum[step] = (sum[step] ?? 0) + n;
  return sum;
}

export function nobodyAsked(): Shown['asked'] {
  return { groups: { asked: 0, alive: 0 }, users: { asked: 0, alive: 0 } };
}

/** What stands below the bars. */
export function linesOf({ connection, notes, requests, parked, waitsForResume }: OrgSyncProgress): string[] {
  const lines = [...notes, `requests: ${requests}`];
  for (const b of parked?.breaches ?? [])
    lines.push(`waits for approval: ${b.planned} ${b.guard} of ${b.of}, allowed without asking ${b.allowed}`);
  if (parked) lines.push(`answer with: npx syncline approve ${connection} or decline (plan ${parked.digest})`);
  if (waitsForResume) lines.push(`approved; waits for: npx syncline resume ${connection}`);
  return lines;
}

export function handedBack(groups: GroupMarks | null, users: UserMarks | null): string[] {
  if (users === null) return [];
  return [`conflicts: ${users.conflicts}, rejects: ${users.rejected + (groups?.rejected ?? 0)}`];
}

/** The marks without new and edited people who became conflicts. */
export function withConflicts(marks: UserMarks, added: number, edited: number): UserMarks {
  const { added: news, edited: edits, conflicts } = marks;
  return { ...marks, added: news - added, edited: edits - edited, conflicts: conflicts + added + edited };
}
