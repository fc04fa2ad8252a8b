import type { GroupMarks } from '../db/org/groups.ts';
import type { Stream } from '../db/org/stageRows.ts';
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
  };
}

export function nobodyAsked(): Shown['asked'] {
  return { groups: { asked: 0, alive: 0 }, users: { asked: 0, alive: 0 } };
}
