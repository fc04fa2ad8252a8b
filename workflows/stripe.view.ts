import type { FillResult } from '../activities/stripe/fill.ts';
import type { FollowResult } from '../activities/stripe/index.ts';
import { type Bar, showDetails } from './progress.ts';

/** Where a copy stands: the mark is set, lists are read, events since the mark are applied, the feed is followed. */
export type Phase = 'mark' | 'backfill' | 'replay' | 'follow';

/** What one resource's reading has come to. */
export interface TypeProgress {
  type: string;
  /** `parked`: the account does not let us read it; it is tried again by itself. */
  state: 'waiting' | 'running' | 'done' | 'parked';
  rows: number;
  requests: number;
  deleted: number;
  /** Missing rows that a guard or a doubt kept from being deleted. */
  withheld: number;
  /** Why it is parked, or why rows may be missing. */
  reason: string | null;
}

/** Answer of the `progress` query: the same numbers the Temporal UI shows. */
export interface StripeProgress {
  connection: string;
  state: 'running' | 'paused' | 'parked';
  phase: Phase;
  types: TypeProgress[];
  feed: { events: number; snapshots: number; reads: number; deletes: number; behindSeconds: number | null };
  notes: string[];
}

/** Counters that outlive an execution whose history got long. */
export interface StripeCarried {
  started: number;
  types: TypeProgress[];
  feed: StripeProgress['feed'];
}

export const nothingCarried = (started: number): StripeCarried => ({
  started,
  types: [],
  feed: { events: 0, snapshots: 0, reads: 0, deletes: 0, behindSeconds: null },
});

/** Everything a person sees of a run; holds no decision. */
export class StripeView {
  readonly started: number;
  private readonly connection: string;
  private readonly types: Map<string, TypeProgress>;
  private feed: StripeProgress['feed'];
  private phase: Phase = 'mark';
  private paused = false;
  private readonly parked = new Map<string, string>();
  private readonly notes = new Map<string, string>();

  constructor(connection: string, { started, types, feed }: StripeCarried) {
    this.connection = connection;
    this.started = started;
    this.types = new Map(types.map((one) => [one.type, one]));
    this.feed = feed;
    this.show();
  }

  carry(): StripeCarried {
    return { started: this.started, types: [...this.types.values()], feed: this.feed };
  }

  enter(phase: Phase): void {
    this.phase = phase;
    this.show();
  }

  /** Resources that are copied, and which of them are still to be read. One that an execution left half read keeps its counts. */
  list(all: readonly string[], toFill: readonly string[]): void {
    for (const type of [...this.types.keys()]) if (!all.includes(type)) this.types.delete(type);
    for (const type of all) {
      const known = this.types.get(type);
      if (toFill.includes(type) ? known?.state !== 'running' : !known)
        this.types.set(type, { ...nothing, type, state: toFill.includes(type) ? 'waiting' : 'done' });
    }
    this.show();
  }

  begin(type: string): void {
    if (this.types.get(type)?.state !== 'running') this.set(type, { ...nothing, state: 'running' });
  }

  read(type: string, { rows, requests, counts, parked, done }: FillResult): void {
    const before = this.types.get(type);
    this.set(type, {
      state: parked !== null ? 'parked' : done ? 'done' : 'running',
      rows: counts?.rows ?? (before?.rows ?? 0) + rows,
      requests: (before?.requests ?? 0) + requests,
      deleted: counts?.deleted ?? 0,
      withheld: counts?.withheld ?? 0,
      reason: parked ?? counts?.doubt ?? null,
    });
  }

  followed({ events, snapshots, reads, deletes, behindMs }: FollowResult): void {
    const { feed } = this;
    this.feed = {
      events: feed.events + events,
      snapshots: feed.snapshots + snapshots,
      reads: feed.reads + reads,
      deletes: feed.deletes + deletes,
      behindSeconds: Math.round(behindMs / 1_000),
    };
    this.show();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.show();
  }

  /** What is parked, each by its step. */
  park(step: string, why: string | null): void {
    if (why === null) this.parked.delete(step);
    else this.parked.set(step, why);
    this.note(`parked ${step}`, why && `parked, tried again every five minutes and on resume: ${why}`);
  }

  note(about: string, text: string | null): void {
    if (text === null) this.notes.delete(about);
    else this.notes.set(about, text);
    this.show();
  }

  progress(): StripeProgress {
    return {
      connection: this.connection,
      state: this.paused ? 'paused' : this.parked.size > 0 ? 'parked' : 'running',
      phase: this.phase,
      types: [...this.types.values()],
      feed: this.feed,
      notes: [...this.notes.values()],
    };
  }

  private set(type: string, change: Partial<TypeProgress>): void {
    this.types.set(type, { ...(this.types.get(type) ?? { ...nothing, type, state: 'waiting' }), ...change });
    this.show();
  }

  private show(): void {
    const { state, phase, types, feed, notes } = this.progress();
    const bars: Bar[] = types.map(({ type, rows, state: at }) => ({
      name: type,
      done: rows,
      total: null,
      state: at === 'parked' ? 'skipped' : at,
    }));
    const behind = feed.behindSeconds === null ? '' : `, settled ${feed.behindSeconds} s behind`;
    showDetails(`stripeSync ${this.connection} · ${phase} · ${state}`, bars, [
      `events: ${feed.events}, of them read by id: ${feed.reads}, deletions: ${feed.deletes}${behind}`,
      ...types.flatMap(({ type, reason }) => (reason === null ? [] : [`${type}: ${reason}`])),
      ...notes,
    ]);
  }
}

const nothing = { rows: 0, requests: 0, deleted: 0, withheld: 0, reason: null };
