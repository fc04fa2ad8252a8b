import type { BatchName } from './batches.ts';

/** What a call does instead of what it should. */
export type HubspotFault = {
  /** Calls it meets. Default: every batch. */
  on?: BatchName | 'properties' | 'token';
  /** Calls that pass before it begins. Default 0. */
  after?: number;
  /** Calls it meets. Default: all. */
  times?: number;
  /** Share of the calls it meets, by chance. Default 1. */
  share?: number;
} & (
  | { type: 'status'; status: number; body?: unknown; headers?: Record<string, string> }
  | { type: 'rate'; policy: 'TEN_SECONDLY_ROLLING' | 'SECONDLY' | 'DAILY'; retryAfter?: number }
  /** 2xx without a word about any row; nothing is written. */
  | { type: 'empty' }
  /** 2xx that leaves out the last rows, which are not written. Never an archive: its 204 names no row, and is all the proof there is. */
  | { type: 'partial'; rows: number }
  /** The connection ends without an answer. Applied at once, never, or `lateMs` after it. */
  | { type: 'silent'; applied: boolean; lateMs?: number }
  /** Nothing is answered until the client gives up; what came is applied. */
  | { type: 'hang' }
  | { type: 'html' }
  | { type: 'slow'; ms: number }
);

/** Faults that are armed, each with what it has met. */
export class Faults {
  private armed: { fault: HubspotFault; seen: number; met: number }[] = [];
  private seed: number;

  constructor(faults: readonly HubspotFault[] = [], seed = 1) {
    this.seed = seed;
    this.set(faults);
  }

  set(faults: readonly HubspotFault[]): void {
    this.armed = faults.map((fault) => ({ fault, seen: 0, met: 0 }));
  }

  /** The first fault that meets this call. */
  meet(call: BatchName | 'properties' | 'token' | 'account'): HubspotFault | undefined {
    for (const one of this.armed) {
      const { on, after = 0, times = Number.POSITIVE_INFINITY, share = 1 } = one.fault;
      if (one.fault.type === 'partial' && call === 'archive') continue;
      if (on === undefined ? !['upsert', 'create', 'update', 'archive', 'read'].includes(call) : on !== call) continue;
      one.seen += 1;
      if (one.seen <= after || one.met >= times || this.random() >= share) continue;
      one.met += 1;
      return one.fault;
    }
    return undefined;
  }

  private random(): number {
    this.seed = (Math.imul(this.seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.seed / 2 ** 32;
  }
}
