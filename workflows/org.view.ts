import type { Confirmed } from '../activities/org/confirm.ts';
import type { Slice } from '../activities/org/stage.ts';
import type { GroupMarks } from '../db/org/groups.ts';
import type { Breach, Judgement } from '../db/org/limits.ts';
import type { ApplyStep } from '../db/org/plan.ts';
import type { UserMarks } from '../db/org/users.ts';
import { type Bar, showDetails } from './progress.ts';

export const applySteps: readonly ApplyStep[] = [
  'deleteUsers',
  'addGroups',
  'moveUsers',
  'addUsers',
  'editUsers',
  'deleteGroups',
];
const stepNames = ['stageGroups', 'stageUsers', 'markGroups', 'markUsers', 'checkLimits', ...applySteps] as const;
type StepName = (typeof stepNames)[number];

/** Answer of the `progress` query: the same numbers the Temporal UI shows. */
export interface OrgSyncProgress {
  connection: string;
  mode: string | null;
  state: 'running' | 'paused' | 'parked' | 'done';
  steps: Bar[];
  /** What a parked run asks about; null otherwise. */
  parked: { digest: string | null; breaches: Breach[] } | null;
  notes: string[];
  requests: number;
}

/** What a run did. Counts only; the rows stand in org.changes, org.conflicts and syncline.rejects. */
export interface OrgSyncResult {
  outcome: 'applied' | 'planned' | 'declined' | 'skipped';
  connection: string;
  mode: string | null;
  /** Number of the plan in org.plans and org.changes; null when skipped. */
  plan: number | null;
  groups: Omit<GroupMarks, 'doubt'> | null;
  users: Omit<UserMarks, 'memberships' | 'doubt'> | null;
  memberships: UserMarks['memberships'] | null;
  /** Changes written per step. */
  applied: Partial<Record<ApplyStep, number>>;
  breaches: Breach[];
  /** What a dry run found: the limit that a real run would fail at. */
  overLimit: Judgement['overLimit'];
  notes: string[];
  requests: number;
  durationMs: number;
  /** Digest of the plan, where it was computed (dry run, breach). */
  digest: string | null;
}

/** Everything a person sees of a run; holds no decision. */
export class RunView {
  private readonly connection: string;
  private readonly started = Date.now();
  private readonly bars = new Map<StepName, Bar>(
    stepNames.map((name) => [name, { name, done: 0, total: null, state: 'waiting' }]),
  );
  private mode: string | null = null;
  private done = false;
  private paused = false;
  private parked: OrgSyncProgress['parked'] = null;
  private passing: string | null = null;
  private readonly notes: string[] = [];
  private readonly requests = { stageGroups: 0, stageUsers: 0, confirmMissing: 0 };
  private groups: GroupMarks | null = null;
  private users: UserMarks | null = null;
  private judgement: Judgement | null = null;

  constructor(connection: string) {
    this.connection = connection;
    this.show();
  }

  begin(mode: string, skipped: readonly ApplyStep[]): void {
    this.mode = mode;
    for (const name of skipped) this.set(name, { state: 'skipped' });
    this.set('stageGroups', { state: 'running' });
  }

  staged(name: 'stageGroups' | 'stageUsers', part: Slice): void {
    this.requests[name] = part.requests;
    this.set(name, { done: part.rows, total: part.total, state: part.done ? 'done' : 'running' });
    if (name === 'stageGroups' && part.done) {
      this.set('markGroups', { state: 'running' });
      this.set('stageUsers', { state: 'running' });
    }
  }

  confirmed(stream: string, { asked, alive }: Confirmed): void {
    this.requests.confirmMissing += asked;
    if (asked > 0) this.notes.push(`${asked} missing ${stream} were asked for one by one; ${alive} of them live`);
  }

  marked(name: 'markGroups', marks: GroupMarks): void;
  marked(name: 'markUsers', marks: UserMarks): void;
  marked(name: 'markGroups' | 'markUsers', marks: GroupMarks | UserMarks): void {
    if (name === 'markGroups') this.groups = marks as GroupMarks;
    else this.users = marks as UserMarks;
    const what = name === 'markGroups' ? 'groups' : 'users';
    if (marks.withheld > 0 && marks.doubt)
      this.notes.push(`${marks.withheld} ${what} are missing at the source and stay: ${marks.doubt}`);
    this.set(name, { done: marks.staged, state: 'done' });
    this.set(name === 'markGroups' ? 'markUsers' : 'checkLimits', { state: 'running' });
  }

  judged(judgement: Judgement): void {
    this.judgement = judgement;
    this.set('checkLimits', { state: 'done' });
    for (const name of applySteps) {
      const range = judgement.ranges[name];
      if (range && this.bars.get(name)?.state === 'skipped')
        this.notes.push(`${name} is switched off: ${range.count} planned changes are not written`);
      if (this.bars.get(name)?.state !== 'skipped') this.set(name, range ? { total: range.count } : { state: 'done' });
    }
  }

  park(breaches: Breach[], digest: string | null): void {
    this.parked = { breaches, digest };
    this.show();
  }

  unpark(): void {
    this.parked = null;
    this.show();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.show();
  }

  note(text: string | null): void {
    this.passing = text;
    this.show();
  }

  applying(name: ApplyStep): void {
    this.set(name, { state: 'running' });
  }

  advanced(name: ApplyStep, count: number): void {
    this.set(name, { done: (this.bars.get(name)?.done ?? 0) + count });
  }

  applied(name: ApplyStep): void {
    this.set(name, { state: 'done' });
  }

  startOver(type: string): void {
    this.notes.push(
      type === 'StageLost'
        ? 'the stage was lost with the database and is read again'
        : `a step failed three times (${type}); the run starts over once`,
    );
    for (const name of stepNames) this.set(name, { done: 0, total: null, state: 'waiting' });
  }

  skipped(workflowId: string): OrgSyncResult {
    this.notes.push(`skipped: ${workflowId} is at work for this connection`);
    return this.finish('skipped', null);
  }

  finish(outcome: OrgSyncResult['outcome'], plan: number | null): OrgSyncResult {
    this.done = true;
    this.show();
    const { doubt: _g, ...groups } = this.groups ?? ({} as GroupMarks);
    const { doubt: _u, memberships, ...users } = this.users ?? ({} as UserMarks);
    const applied = Object.fromEntries(
      applySteps.flatMap((name) => (this.bars.get(name)?.done ? [[name, this.bars.get(name)?.done]] : [])),
    );
    return {
      outcome,
      connection: this.connection,
      mode: this.mode,
      plan,
      groups: this.groups && groups,
      users: this.users && users,
      memberships: memberships ?? null,
      applied,
      breaches: this.judgement?.breaches ?? [],
      overLimit: this.judgement?.overLimit ?? null,
      notes: this.notes,
      requests: this.total(),
      durationMs: Date.now() - this.started,
      digest: this.judgement?.digest ?? null,
    };
  }

  progress(): OrgSyncProgress {
    const notes = this.passing === null ? this.notes : [...this.notes, this.passing];
    return {
      connection: this.connection,
      mode: this.mode,
      state: this.state(),
      steps: [...this.bars.values()],
      parked: this.parked,
      notes,
      requests: this.total(),
    };
  }

  /** Paused comes first: a run that was approved while it was paused stands still until somebody resumes it. */
  private state(): OrgSyncProgress['state'] {
    if (this.done) return 'done';
    if (this.paused) return 'paused';
    return this.parked === null ? 'running' : 'parked';
  }

  private total(): number {
    return this.requests.stageGroups + this.requests.stageUsers + this.requests.confirmMissing;
  }

  private set(name: StepName, change: Partial<Bar>): void {
    const bar = this.bars.get(name);
    if (bar && bar.state !== 'skipped') this.bars.set(name, { ...bar, ...change });
    this.show();
  }

  private show(): void {
    const p = this.progress();
    const lines = [...p.notes, `requests: ${p.requests}`];
    if (this.users)
      lines.push(`conflicts: ${this.users.conflicts}, rejects: ${this.users.rejected + (this.groups?.rejected ?? 0)}`);
    for (const b of p.parked?.breaches ?? [])
      lines.push(`waits for approval: ${b.planned} ${b.guard} of ${b.of}, allowed without asking ${b.allowed}`);
    if (p.parked)
      lines.push(`answer with: npx syncline approve ${this.connection} or decline (plan ${p.parked.digest})`);
    showDetails(`orgSync ${this.connection} · ${p.mode ?? '…'} · ${p.state}`, p.steps, lines);
  }
}
