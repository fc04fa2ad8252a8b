import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { Execution } from '../../db/claims.ts';
import type { OrgSyncResult } from '../../workflows/org.result.ts';
import type { OrgSyncProgress } from '../../workflows/org.view.ts';
import { type Bar, drawBar } from '../../workflows/progress.ts';
import { askProgress, describeRun, outcomeOf, type PendingActivity, type Run } from '../cli/runs.ts';
import { columns, count } from '../cli/words.ts';
import type { Screen } from './screen.ts';

const lookMs = 150;
/** stageGroups, stageUsers, markGroups, markUsers. */
const readingSteps = 4;

/** Follows one run on the screen: bars where somebody watches, else a line a step that ended, in the order of the steps. */
export class Watch {
  private readonly client: Client;
  private readonly screen: Screen;
  private readonly run: Execution;
  private told = 0;

  constructor(client: Client, screen: Screen, run: Execution) {
    this.client = client;
    this.screen = screen;
    this.run = run;
  }

  /** Returns the result of the run. @throws Error when it fails or waits for an answer. */
  async result(): Promise<OrgSyncResult> {
    for (;;) {
      const seen = await this.look();
      if (seen.status !== 'RUNNING') {
        const outcome = await outcomeOf<OrgSyncResult>(this.client, seen);
        if ('failure' in outcome) throw new Error(`The run ${this.run.workflowId} failed: ${outcome.failure}`);
        return outcome.result;
      }
      await delay(lookMs);
    }
  }

  /** Returns when `step` is at work and `enough` says so. @throws Error when the run ends before. */
  async middleOf(step: Bar['name'], enough: () => boolean): Promise<void> {
    for (;;) {
      const { status, pending, progress } = await this.look();
      if (status !== 'RUNNING') throw new Error(`The run ended (${status}) before it could be caught in ${step}`);
      const shown = progress?.steps.some((bar) => bar.name === step && bar.state === 'running');
      if (shown && enough() && pending.some(({ name, nextAt }) => name === step && nextAt === null)) return;
      await delay(lookMs / 3);
    }
  }

  /**
   * Returns when a second try of `step` is at work: Temporal has missed the heartbeat of the first. Asks the run nothing,
   * as its answer would be looked for at the worker that is gone. `tell` gets the seconds so far.
   */
  async handedOver(step: string, tell: (seconds: number) => void): Promise<void> {
    const began = Date.now();
    for (;;) {
      const seen = await this.describe();
      if (seen.status !== 'RUNNING') return;
      if (seen.pending.some(({ name, attempt, nextAt }) => name === step && attempt > 1 && nextAt === null)) return;
      tell(Math.round((Date.now() - began) / 1000));
      await delay(lookMs);
    }
  }

  private async look(): Promise<Run & { progress: OrgSyncProgress | null }> {
    const seen = await this.describe();
    const progress = await askProgress<OrgSyncProgress>(this.client, this.run);
    if (progress) this.show(progress, seen.pending);
    if (progress?.parked) {
      const why = progress.parked.breaches.map((b) => `${count(b.planned)} ${b.guard}, allowed ${count(b.allowed)}`);
      throw new Error(`The run waits for approval, which the demo's changes should not need: ${why.join('; ')}`);
    }
    return { ...seen, progress };
  }

  private show({ steps }: OrgSyncProgress, pending: readonly PendingActivity[]): void {
    // A step tells the run when its slice ends, and its heartbeat how far it is until then.
    const beaten = (bar: Bar) => pending.find(({ name }) => name === bar.name)?.counters.rows ?? 0;
    const bars = steps.map((bar) => ({ ...bar, done: Math.max(bar.done, beaten(bar)) }));
    if (this.screen.live) this.screen.bars(columns(bars.map((bar) => [`  ${bar.name}`, drawBar(bar)])));
    else {
      // What the steps behind these wrote is told when the run has ended.
      for (const bar of steps.slice(this.told, readingSteps)) {
        if (bar.state !== 'done') return;
        this.told += 1;
        this.screen.line(`  ${bar.name.padEnd(12)}  ${count(bar.done)}`);
      }
    }
  }

  private async describe(): Promise<Run> {
    const run = await describeRun(this.client, this.run);
    if (!run) throw new Error(`Temporal does not know the run ${this.run.workflowId} any more`);
    return run;
  }
}
