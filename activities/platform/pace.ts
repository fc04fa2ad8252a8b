import type { Call } from '../step.ts';

/**
 * A run is told of a pass at least this often, ms: slices that are read side by side would all end together after their 20 s,
 * and people who look meanwhile would see numbers that stand still.
 */
const toldEveryMs = 6_000;
/** A young slice lets older ones of its pass end first, so that the same lane is not cut again and again. */
const youngMs = 10_000;
const youngWaitsMs = 1_500;
/** Passes of this worker that are remembered. */
const mostPasses = 1_000;

/** When a slice of a pass last ended in this worker. */
const toldAt = new Map<number, number>();

/** The call of a slice that ends early, after the page in hand, where none of its pass ended lately: one of them, not all. */
export function toldOften(call: Call, pass: number): Call {
  const began = Date.now();
  return {
    ...call,
    shouldEnd() {
      if (call.shouldEnd()) return true;
      const now = Date.now();
      const silentMs = now - Math.max(began, toldAt.get(pass) ?? 0);
      if (silentMs < toldEveryMs + (now - began < youngMs ? youngWaitsMs : 0)) return false;
      tell(pass);
      return true;
    },
  };
}

/** Notes that a slice of the pass ended: its result tells the run. */
export function tell(pass: number): void {
  if (toldAt.size >= mostPasses) toldAt.clear();
  toldAt.set(pass, Date.now());
}
