import type { Confirmed } from '../activities/org/confirm.ts';
import type { Slice } from '../activities/org/stage.ts';
import type { GroupMarks } from '../db/org/groups.ts';
import type { Breach, Judgement } from '../db/org/limits.ts';
import type { NamesConfirmed } from '../db/org/names.ts';
import type { ApplyStep } from '../db/org/plan.ts';
import type { Stream } from '../db/org/stageRows.ts';
import type { UserMarks } from '../db/org/users.ts';
import type { Written } from '../db/org/written.ts';
import { type OrgSyncResult, resultOf } from './org.result.ts';
import {
  describeWritten,
  handedBack,
  linesOf,
  nobodyAsked,
  nothingShown,
  type Shown,
  sumWritten,
  withConflicts,
} from './org.shown.ts';
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
  /** True: the plan was approved, and nothing of it is written before somebody resumes the run. */
  waitsForResume: boolean;
  notes: string[];
  /** What attempts of this run that failed have written, by step; it stays whatever is answered. */
  written: Written;
  requests: number;
}

/** Everything a person sees of a run; holds no decision. */
export class RunView {
  readonly connection: string;
  private readonly shown: Shown;
  private readonly bars: Map<StepName, Bar>;
  private done = false;
  private paused = false;
  private parked: OrgSyncProgress['parked'] = null;
  private approved = false;
  /** What is so at the moment only, by what it is about. */
  private readonly passing = new Map<string, string>();
  private users: UserMarks | null = null;
  private judgement: Judgement | null = null;

  /** `before`: what the execution before this one had shown. */
  constructor(connection: string, before?: Shown) {
    this.connection = connection;
    this.shown = before ?? nothingShown(stepNames, Date.now());
    this.bars = new Map(this.shown.steps.map((bar) => [bar.name as StepName, bar]));
    this.show();
  }

  carry(): Shown {
    return { ...this.shown, steps: [...this.bars.values()] };
  }

  begin(mode: string, skipped: readonly ApplyStep[]): void {
    this.shown.mode = mode;
    for (const name of skipped) this.set(name, { state: 'skipped' });
    this.set('stageGroups', { state: 'running' });
  }

  staged(name: 'stageGroups' | 'stageUsers', part: Slice): void {
    this.shown.requests[name] = part.requests;
    this.set(name, { done: part.rows, total: part.total, state: part.done ? 'done' : 'running' });
    if (name === 'stageGroups' && part.done) {
      this.set('markGroups', { state: 'running' });
      this.set('stageUsers', { state: 'running' });
    }
  }

  confirmed(stream: Stream, { asked, alive }: Confirmed): void {
    this.shown.requests.confirmMissing += asked;
    const sum = this.shown.asked[stream];
    this.shown.asked[stream] = { asked: sum.asked + asked, alive: sum.alive + alive };
    this.show();
  }

  marked(name: 'markGroups', marks: GroupMarks): void;
  marked(name: 'markUsers', marks: UserMarks): void;
  marked(name: 'markGroups' | 'markUsers', marks: GroupMarks | UserMarks): void {
    if (name === 'markGroups') this.shown.groups = marks as GroupMarks;
    else this.users = marks as UserMarks;
    this.shown.notes.push(...marks.notes);
    this.set(name, { done: marks.staged, state: 'done' });
  }

  judged(judgement: Judgement): void {
    this.judgement = judgement;
    this.set('checkLimits', { state: 'done' });
    for (const name of applySteps) {
      const range = judgement.ranges[name];
      if (range && this.bars.get(name)?.state === 'skipped')
        this.shown.notes.push(`${name} is switched off: ${range.count} planned changes are not written`);
      if (this.bars.get(name)?.state !== 'skipped')
        this.set(name, range ? { total: range.count } : { state: 'done', total: 0 });
    }
  }

  park(breaches: Breach[], digest: string | null): void {
    this.parked = { breaches, digest };
    this.show();
  }

  unpark(approved: boolean): void {
    this.parked = null;
    this.approved = approved;
    this.show();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.show();
  }

  /** Says what is so at the moment about a step or the source; null takes it back. */
  note(about: string, text: string | null): void {
    if (text === null) this.passing.delete(about);
    else this.passing.set(about, text);
    this.show();
  }

  running(name: StepName): void {
    this.set(name, { state: 'running' });
  }

  advanced(name: ApplyStep, count: number): void {
    this.set(name, { done: (this.bars.get(name)?.done ?? 0) + count });
  }

  applied(name: ApplyStep): void {
    this.set(name, { state: 'done' });
  }

  /** Names taken while the plan waited: those who wanted them are handed back. */
  namesConfirmed({ added, edited, ranges }: NamesConfirmed): void {
    this.approved = false;
    const back = added + edited;
    if (back === 0) return;
    if (this.users) this.users = withConflicts(this.users, added, edited);
    this.shown.notes.push(`${back} people are handed back: their user name was taken while the plan waited`);
    for (const name of applySteps) {
      const range = ranges[name];
      this.set(name, range ? { total: range.count } : { state: 'done', total: 0 });
    }
  }

  /** An attempt failed, and this much of it stays. */
  stays(written: Written): void {
    this.shown.written = sumWritten(this.shown.written, written);
    const told = describeWritten(written);
    if (told !== '') this.shown.notes.push(`an attempt that failed has written ${told}; that stays`);
    this.show();
  }

  /** What attempts before this one have written, in words; empty when nothing. */
  written(): string {
    return describeWritten(this.shown.written);
  }

  startOver(why: string): void {
    // A database that crashes again and again must not fill the notes.
    if (!this.shown.notes.includes(why)) this.shown.notes.push(why);
    this.shown.asked = nobodyAsked();
    this.shown.groups = this.users = this.judgement = null;
    for (const name of stepNames) this.set(name, { done: 0, total: null, state: 'waiting' });
  }

  skipped(workflowId: string): OrgSyncResult {
    this.shown.notes.push(`skipped: ${workflowId} is at work for this connection`);
    return this.finish('skipped', null);
  }

  finish(outcome: OrgSyncResult['outcome'], plan: number | null): OrgSyncResult {
    this.done = true;
    this.show();
    const { connection, shown, users, judgement } = this;
    const wrote = Object.fromEntries(
      applySteps.flatMap((name) => (this.bars.get(name)?.done ? [[name, this.bars.get(name)?.done]] : [])),
    );
    const said = { notes: this.notes(), requests: this.total() };
    return resultOf({ outcome, connection, plan, shown, users, judgement, wrote, ...said });
  }

  progress(): OrgSyncProgress {
    return {
      connection: this.connection,
      mode: this.shown.mode,
      state: this.state(),
      steps: [...this.bars.values()],
      parked: this.parked,
      waitsForResume: this.approved && this.paused,
      notes: [...this.notes(), ...this.passing.values()],
      written: this.shown.written,
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
    const { stageGroups, stageUsers, confirmMissing } = this.shown.requests;
    return stageGroups + stageUsers + confirmMissing;
  }

  private notes(): string[] {
    const asked = Object.entries(this.shown.asked).flatMap(([stream, n]) =>
      n.asked > 0 ? [`${n.asked} missing ${stream} were asked for one by one; ${n.alive} of them live`] : [],
    );
    return [...this.shown.notes, ...asked];
  }

  private set(name: StepName, change: Partial<Bar>): void {
    const bar = this.bars.get(name);
    if (bar && bar.state !== 'skipped') this.bars.set(name, { ...bar, ...change });
    this.show();
  }

  private show(): void {
    const p = this.progress();
    showDetails(`orgSync ${p.connection} · ${p.mode ?? '…'} · ${p.state}`, p.steps, [
      ...linesOf(p),
      ...handedBack(this.shown.groups, this.users),
    ]);
  }
}
