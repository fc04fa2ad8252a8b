import { describe, expect, test, vi } from 'vitest';
import { openPace } from '../activities/platform/pace.ts';
import type { Call } from '../activities/step.ts';
import { coveredOf, paceOf, type Standing } from '../workflows/platform.estimate.ts';

const signal = new AbortController().signal;
/** A call whose own time is up after `ms`. */
function callOf(ms: number): Call {
  const until = Date.now() + ms;
  return { signal, attempt: 1, before: {}, report: () => undefined, shouldEnd: () => Date.now() >= until };
}

describe('slices of one pass', () => {
  test('end one by one, so that the run is told something every few seconds', () => {
    vi.useFakeTimers();
    try {
      const begun = Date.now();
      const pace = openPace();
      const lanes = Array.from({ length: 4 }, () => ({ call: pace.often(callOf(20_000), 1), endedMs: [] as number[] }));
      for (let second = 1; second <= 60; second++) {
        vi.setSystemTime(begun + second * 1_000);
        for (const lane of lanes)
          if (lane.call.shouldEnd()) {
            lane.endedMs.push(second);
            pace.told(1);
            lane.call = pace.often(callOf(20_000), 1);
          }
      }
      const all = lanes.flatMap(({ endedMs }) => endedMs).sort((a, b) => a - b);
      const gaps = all.map((at, i) => at - (all[i - 1] ?? 0));
      expect(Math.max(...gaps), 'seconds without news').toBeLessThanOrEqual(8);
      expect(all.length, 'four lanes of 20 s end twelve times in a minute by themselves').toBeLessThanOrEqual(15);
    } finally {
      vi.useRealTimers();
    }
  });

  test('go on for their whole time while others of the pass end, and know of no other pass', () => {
    vi.useFakeTimers();
    try {
      const begun = Date.now();
      const pace = openPace();
      const call = pace.often(callOf(20_000), 2);
      const other = pace.often(callOf(20_000), 3);
      for (let second = 1; second < 20; second++) {
        vi.setSystemTime(begun + second * 1_000);
        if (second % 5 === 0) pace.told(2);
        expect(call.shouldEnd(), `second ${second}`).toBe(false);
      }
      expect(other.shouldEnd()).toBe(true);
      vi.setSystemTime(begun + 20_000);
      expect(call.shouldEnd(), 'its own time is up').toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  test('know nothing of another worker, whose passes have the same numbers in another database', () => {
    vi.useFakeTimers();
    try {
      const begun = Date.now();
      const call = openPace().often(callOf(20_000), 1);
      vi.setSystemTime(begun + 8_000);
      openPace().told(1);
      expect(call.shouldEnd()).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('an estimate', () => {
  const none = { parts: 0, read: 0, total: 0 };
  const standing: Standing = { rows: 100, done: 1, slices: 4, spanMs: 0, coveredMs: 0, known: none };

  test('is of the rows where all open parts tell their number, else of the range, else of the parts', () => {
    expect(coveredOf(standing)).toBe(0.25);
    expect(coveredOf({ ...standing, spanMs: 1_000, coveredMs: 400 })).toBe(0.4);
    const known = { parts: 3, read: 50, total: 150 };
    expect(coveredOf({ ...standing, spanMs: 1_000, coveredMs: 400, known })).toBe(0.5);
    expect(coveredOf({ ...standing, known: { ...known, parts: 2 } }), 'one part tells nothing').toBe(0.25);
    expect(coveredOf({ ...standing, done: 4 }), 'nothing is whole before its pass is').toBe(0.99);
    expect(coveredOf({ ...standing, done: 0, slices: 0 })).toBe(0);
  });

  test('counts what this run read alone, and no less time than the budget needs', () => {
    const start = { startedMs: 0, before: { rows: 60, covered: 0.5 }, requestsPerSecond: 1, pageRows: 10 };
    const now = { rows: 100, covered: 0.75, known: none };
    expect(paceOf(now, start, 10_000)).toEqual({ rowsPerSecond: 4, etaSeconds: 10 });
    const known = { parts: 1, read: 0, total: 500 };
    expect(paceOf({ ...now, known }, start, 10_000).etaSeconds, '50 pages at one a second').toBe(50);
    expect(paceOf({ ...now, covered: 0.5 }, start, 10_000).etaSeconds, 'nothing read yet').toBeNull();
  });
});
