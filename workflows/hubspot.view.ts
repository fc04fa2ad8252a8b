import type { HubspotPlan } from '../activities/hubspot/begin.ts';
import type { SliceResult } from '../activities/hubspot/result.ts';
import { addCounts, type Counts, noCounts } from '../connectors/hubspot/counts.ts';
import { showDetails } from './progress.ts';

/** Answer of the `progress` query: the same numbers the Temporal UI shows. */
export interface HubspotProgress extends Counts {
  connection: string;
  /** A run that waits for a limit is `running`; `notes` tell of the wait. */
  state: 'running' | 'paused' | 'done';
  /** Users that are still dirty, null before the first slice has ended, and those of them that wait for a call that may still land. */
  dirty: number | null;
  held: number;
  /** Users that are set aside, by this run and by runs before it; null before the first slice has ended. */
  parked: number | null;
  rowsPerSecond: number;
  /** Seconds until the dirty ones are sent, at what the limit allows; null before the first slice, and while the run waits or is paused. */
  etaSeconds: number | null;
  notes: string[];
}

/** Totals that outlive an execution whose history got long. */
export interface Carried {
  started: number;
  counts: Counts;
  /** A full run that waits for a limit has forgotten nothing yet. */
  full?: boolean;
}

const batchRows = 100;
const windowSeconds = 10;

/** Everything a person sees of a run; holds no decision. */
export class HubspotView {
  counts: Counts;
  readonly started: number;
  private readonly connection: string;
  private plan: HubspotPlan | null = null;
  private left: Pick<SliceResult, 'dirty' | 'held' | 'parked'> | null = null;
  private paused = false;
  private done = false;
  private readonly notes = new Map<string, string>();

  constructor(connection: string, carried: Carried) {
    this.connection = connection;
    this.counts = addCounts(noCounts, carried.counts);
    this.started = carried.started;
    this.show();
  }

  carry(full: boolean): Carried {
    return { started: this.started, counts: this.counts, ...(full && { full }) };
  }

  /** As of the last slice. */
  get dirty(): number {
    return this.left?.dirty ?? 0;
  }

  /** As of the last slice; 0 before it, and of a slice that an older worker ran. */
  get parked(): number {
    return this.left?.parked ?? 0;
  }

  begin(plan: HubspotPlan): void {
    this.plan = plan;
    if (plan.mark === 'resend') this.notes.set('mark', 'everybody is sent again');
    if (plan.mark === 'all')
      this.notes.set(
        'mark',
        'everybody is looked at: the mapping, its tables or its triggers changed, or a table was emptied',
      );
    if (plan.returned > 0)
      this.notes.set(
        'returned',
        `${plan.returned} parked rows are tried again: mapping or catalog changed, or a person let them`,
      );
    this.show();
  }

  add(result: SliceResult): void {
    this.counts = addCounts(this.counts, result.counts);
    this.left = { dirty: result.dirty, held: result.held, parked: result.parked };
    this.show();
  }

  note(about: string, text: string | null): void {
    if (text === null) this.notes.delete(about);
    else this.notes.set(about, text);
    this.show();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.show();
  }

  finish(): void {
    this.done = true;
    this.notes.delete('mark');
    this.show();
  }

  progress(): HubspotProgress {
    const seconds = Math.max(1, (Date.now() - this.started) / 1000);
    const { dirty = null, held = 0, parked = null } = this.left ?? {};
    const state = this.done ? 'done' : this.paused ? 'paused' : 'running';
    return {
      connection: this.connection,
      state,
      ...this.counts,
      dirty,
      held,
      parked,
      rowsPerSecond: Math.round(this.counts.written / seconds),
      etaSeconds:
        this.plan && dirty !== null && state === 'running' && !this.notes.has('wait')
          ? Math.ceil((dirty / batchRows / this.plan.callsPerWindow) * windowSeconds)
          : null,
      notes: [...this.notes.values()],
    };
  }

  private show(): void {
    const { state, written, dirty, refusedHere, refusedThere, archived, calls, etaSeconds, rowsPerSecond } =
      this.progress();
    const tried = written + archived + refusedHere + refusedThere;
    const bars = [
      {
        name: 'contacts',
        done: written + archived,
        total: dirty === null ? null : tried + dirty,
        state: this.done ? ('done' as const) : ('running' as const),
      },
    ];
    const numbers = `${calls} calls, ${rowsPerSecond} rows/s, ${refusedHere + refusedThere} parked${etaSeconds ? `, about ${etaSeconds} s to go` : ''}`;
    showDetails(`hubspotSync ${this.connection} · ${state}`, bars, [numbers, ...this.notes.values()]);
  }
}

/** The progress with what a slice in hand has done so far, in all its attempts. */
export function withDone(progress: HubspotProgress, done: Readonly<Partial<Counts>>): HubspotProgress {
  const { written, archived, passed, unchanged, refusedHere, refusedThere } = addCounts(noCounts, done);
  const over = written + archived + passed + unchanged + refusedHere + refusedThere;
  const dirty = progress.dirty === null ? null : Math.max(0, progress.dirty - over);
  return { ...progress, ...addCounts(progress, done), dirty };
}
