import type { GroupMarks } from '../db/org/groups.ts';
import type { Breach, Judgement } from '../db/org/limits.ts';
import type { UserMarks } from '../db/org/users.ts';
import type { Written } from '../db/org/written.ts';
import { type Shown, sumWritten } from './org.shown.ts';

/** What a run did. Counts only; the rows stand in org.changes, org.conflicts and syncline.rejects. */
export interface OrgSyncResult {
  outcome: 'applied' | 'planned' | 'declined' | 'skipped';
  connection: string;
  mode: string | null;
  /** Number of the plan in org.plans and org.changes; null when skipped. */
  plan: number | null;
  groups: Omit<GroupMarks, 'notes'> | null;
  users: Omit<UserMarks, 'memberships' | 'notes'> | null;
  memberships: UserMarks['memberships'] | null;
  /** Changes written per step, by all attempts of the run; `users`, `groups` and `memberships` are of the last plan. */
  applied: Written;
  breaches: Breach[];
  /** What a dry run found: the limit that a real run would fail at. */
  overLimit: Judgement['overLimit'];
  notes: string[];
  requests: number;
  durationMs: number;
  /** Digest of the plan, where it was computed (dry run, breach). */
  digest: string | null;
}

interface Ended extends Pick<OrgSyncResult, 'outcome' | 'connection' | 'plan' | 'notes' | 'requests'> {
  shown: Shown;
  users: UserMarks | null;
  judgement: Judgement | null;
  /** What this attempt wrote, by step. */
  wrote: Written;
}

/** What a run returns, from what it has shown. */
export function resultOf({ shown, users: marks, judgement, wrote, ...told }: Ended): OrgSyncResult {
  const { notes: _g, ...groups } = shown.groups ?? ({} as GroupMarks);
  const { notes: _u, memberships, ...users } = marks ?? ({} as UserMarks);
  return {
    ...told,
    mode: shown.mode,
    groups: shown.groups && groups,
    users: marks && users,
    memberships: memberships ?? null,
    applied: sumWritten(shown.written, wrote),
    breaches: judgement?.breaches ?? [],
    overLimit: judgement?.overLimit ?? null,
    durationMs: Date.now() - shown.started,
    digest: judgement?.digest ?? null,
  };
}
