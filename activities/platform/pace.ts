import type { Call } from '../step.ts';

/**
 * A run is told of a pass at least this often, ms: slices that are read side by side would all end together after their 20 s,
 * and people who look meanwhile would see numbers that stand still.
 */
const toldEveryMs = 6_000;
/** A young slice lets older ones of its pass end first, so that the same lane is not cut again and again. */
const youngMs = 10_000;
const youngWaitsMs = 1_500;
/** Passes of a worker that are remembered. */
const mostPasses = 1_000;

/** What the slices of one worker know of each other. */
export interface Pace {
  /** The call of a slice that ends early, after the page in hand, where none of its pass ended lately: one of them, not all. */
  often(call: Call, pass: number): Call;
  /** Notes that a slice of the pass ended: its result tells the run. */
  told(pass: number): void;
}

/** One a worker: another one's passes have the same numbers where it has another database. */
export function openPace(): Pace {
  /** When a slice of a pass last ended in this worker. */
  const toldAt = new Map<number, number>();
  function told(pass: number): void {
    if (toldAt.size >= mostPasses) toldAt.clear();
    toldAt.set(pass, Date.now());
  }
  return {
    told,
    often(call, pass) {
      const began = Date.now();
      return {
        ...call,
        shouldEnd() {
          if (call.shouldEnd()) return true;
          const now = Date.now();
          const silentMs = now - Math.max(began, toldAt.get(pass) ?? 0);
          if (silentMs < toldEveryMs + (now - began < youngMs ? youngWaitsMs : 0)) return false;
          told(pass);
          return true;
        },
      };
    },
  };
}
