import { type Quiet, quietFrom, quietUntil } from './quiet.ts';

/** Recipients with the same quiet hours; null: none. */
export interface Group {
  quiet: Quiet | null;
  people: number;
}

export interface Forecast {
  /** Recipients who are sent to by the deadline. */
  reached: number;
  /** When the last of them is, ms since 1970; null: not by the deadline, or not within a year. */
  endMs: number | null;
}

const horizonMs = 366 * 24 * 3_600_000;

/**
 * How far a campaign gets that starts at a moment: whose quiet hours are on waits, all others share the pace. Goes from one
 * beginning or end of quiet hours to the next, so it costs the same for ten recipients and ten million.
 */
export function forecast(groups: readonly Group[], perSecond: number, fromMs: number, deadlineMs: number): Forecast {
  const all = groups.reduce((sum, { people }) => sum + people, 0);
  const until = Math.min(deadlineMs, fromMs + horizonMs);
  const open = groups.map(({ quiet, people }) => ({ quiet, left: people, awake: true, changesMs: fromMs }));
  let now = fromMs;
  let left = all;
  while (left > 0 && now < until) {
    for (const one of open) {
      if (one.quiet === null) one.changesMs = Number.POSITIVE_INFINITY;
      else if (one.changesMs <= now) {
        const ends = quietUntil(one.quiet, now);
        one.awake = ends === null;
        // Where the clocks go back an end can lie behind us.
        one.changesMs = Math.max(now + 1, ends ?? quietFrom(one.quiet, now));
      }
    }
    const awake = open.filter((one) => one.awake && one.left > 0);
    const waiting = awake.reduce((sum, one) => sum + one.left, 0);
    const neededMs = waiting > 0 ? (waiting / perSecond) * 1_000 : Number.POSITIVE_INFINITY;
    const next = Math.min(until, now + neededMs, ...open.map(({ changesMs }) => changesMs));
    const share = waiting > 0 ? (next - now) / neededMs : 0;
    for (const one of awake) one.left = next === now + neededMs ? 0 : one.left * (1 - share);
    left = open.reduce((sum, one) => sum + one.left, 0);
    now = next;
  }
  return { reached: Math.floor(all - left), endMs: left > 0 ? null : now };
}
