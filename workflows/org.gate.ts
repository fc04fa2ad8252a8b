import { ApplicationFailure, condition, defineQuery, defineUpdate, patched, setHandler } from '@temporalio/workflow';
import type { Judgement } from '../db/org/limits.ts';
import { pause, resume } from './control.ts';
import type { OrgSyncProgress, RunView } from './org.view.ts';
import { waitNote } from './wait.ts';

/** Answers a parked run: writes the plan of that digest (see the run's details). */
export const approve = defineUpdate<string, [{ digest: string }]>('approve');
/** Answers a parked run: ends it, nothing of its plan is written. */
export const decline = defineUpdate<string, [{ digest: string }]>('decline');
export const progress = defineQuery<OrgSyncProgress>('progress');
/** Answer to `approve` of a run that is paused. */
export const approvedButPaused = 'approved, but the run is paused: resume it';

/** Pause, resume and the answer to a parked plan. */
export class Gate {
  private paused: boolean;
  private waits = false;
  private parked: string | null = null;
  private answer: 'approved' | 'declined' | null = null;
  private readonly view: RunView;

  /** `paused`: as the execution before this one left it. */
  constructor(view: RunView, paused = false) {
    this.view = view;
    this.paused = paused;
    view.pause(paused);
    setHandler(pause, () => this.setPaused(true));
    setHandler(resume, () => this.setPaused(false));
    setHandler(approve, () => this.setAnswer('approved'), { validator: (a) => this.checkAnswer(a) });
    setHandler(decline, () => this.setAnswer('declined'), { validator: (a) => this.checkAnswer(a) });
    setHandler(progress, () => view.progress());
  }

  isPaused(): boolean {
    return this.paused;
  }

  async pass(): Promise<void> {
    if (!this.paused) return;
    await condition(() => !this.paused);
  }

  /** @param why the refusal that asked for it, where there was one */
  async wait(ms: number, why: string | null): Promise<void> {
    if (ms <= 0) return;
    this.view.note('source', waitNote(this.view.connection, ms, why));
    this.waits = true;
    await condition(() => !this.waits, ms);
    this.waits = false;
    this.view.note('source', null);
  }

  async approved({ breaches, digest }: Judgement, hours: number): Promise<boolean> {
    this.parked = digest;
    this.answer = null;
    this.view.park(breaches, digest);
    const answered = await condition(() => this.answer !== null, hours * 3_600_000);
    this.parked = null;
    this.view.unpark(this.answer === 'approved');
    if (!answered) {
      const before = this.view.written();
      const kept = before === '' ? 'nothing was written' : `an attempt before it has written ${before}, which stays`;
      throw ApplicationFailure.nonRetryable(
        `Nobody answered within ${hours} h: the plan was dropped, ${kept}. The next run plans again.`,
        'ApprovalTimeout',
      );
    }
    return this.answer === 'approved';
  }

  private setPaused(paused: boolean): string {
    this.paused = paused;
    // A quota may be raised before its time: who resumes has the source asked again. Recorded runs slept on.
    if (!paused && this.waits && patched('resume ends a wait')) this.waits = false;
    this.view.pause(paused);
    return paused ? 'paused: the slice in hand is finished first' : 'resumed';
  }

  private setAnswer(answer: 'approved' | 'declined'): string {
    this.answer = answer;
    // Whoever declines ends a paused run too; what is approved is written by one that goes on.
    return this.paused && answer === 'approved' ? approvedButPaused : answer;
  }

  /** An answer counts for the plan it was given for: another plan asks again. */
  private checkAnswer(given: { digest: string } | undefined): void {
    if (this.parked === null) throw new Error('This run does not wait for an answer: nothing to approve or decline.');
    if (given?.digest === this.parked) return;
    throw new Error(
      `The answer is for plan ${String(given?.digest).slice(0, 20)}, but plan ${this.parked} is waiting. Look at it first: npx syncline changes <connection>`,
    );
  }
}
