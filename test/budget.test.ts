import { afterAll, describe, expect, it } from 'vitest';
import { everyoneBusy, jain, limits } from './budget/figures.ts';
import { judge, lengthOf, type Permit, quietParts, rateIn } from './budget/judge.ts';
import { type Judged, openBench, openRig, type Work } from './budget/rig.ts';
import { openWorld } from './harness/world.ts';

/*
 * Eight workers in processes of their own. What a platform would have counted is worked out from the moments at which their
 * requests might leave, so that a process that stands still on a busy machine delays the judge and not the judgement. How
 * much of the limit is used is measured in the time in which none of them stood still, which is found out without a look at
 * what was used; a budget that itself kept them busy for so long would show in their processor time.
 */
const world = await openWorld({ worker: false });
const rig = { databaseUrl: world.servers.databaseUrl, processes: 4, workersInEach: 2 };
const shared = { ...limits, api: 100 };
const bench = await openBench({ ...rig, limits: shared });
afterAll(() => bench.close());

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const names = (count: number, name: (i: number) => string) => Array.from({ length: count }, (_, i) => name(i));
const endless = (connection: string, loops: number): Work => ({ connection, loops, requests: null });
const timeout = 150_000;

/** Processor time of the workers a request, ms: 0.3 to 0.5 of 600 a second, 1.8 of 200; asking without a pause takes tens. */
const mostCpuMs = 5;

function figuresOf({ counts, permits, quiet, cpuMs }: Judged) {
  const accepted = sum(Object.values(counts.accepted));
  const refused = counts.refused.platform + counts.refused.connection + (counts.refused.api ?? 0);
  return {
    perSecond: rateIn(permits, quiet),
    refusedShare: refused / (accepted + refused),
    cpuMs: cpuMs / permits.length,
  };
}

/**
 * Share of the limit that must be used: what is promised, where nothing stood still while it was measured. On a machine that
 * does much else turns come late between such moments as well, by less than can be told from quiet: 0.945 was seen beside two
 * other test files, so there the bound only tells a budget that lost its pace. Twenty seconds on a machine of its own, by the
 * platform's own count, are asked for 0.95 by the benchmark: npm run bench -- budget --case busy.
 */
const leastUse = ({ quiet, counts }: Judged) => (lengthOf(quiet) >= 0.95 * counts.ms ? 0.95 : 0.85);

/** Less quiet time tells nothing of how much is used. */
const leastQuietMs = 1000;
function requireQuiet({ quiet }: Judged, { skip }: { skip(note: string): void }): void {
  const ms = Math.round(lengthOf(quiet));
  if (ms < leastQuietMs)
    skip(`this machine stood still but for ${ms} ms: how much of the limit is used was not measured`);
}

/** Refusals and processor time, which must be right whatever is measured. */
function expectSound(judged: Judged) {
  const figures = figuresOf(judged);
  const told = JSON.stringify(figures);
  expect(figures.refusedShare, told).toBeLessThanOrEqual(0.001);
  expect(figures.cpuMs, told).toBeLessThanOrEqual(mostCpuMs);
  return { ...figures, told };
}

const rateOf = ({ permits, quiet }: Judged, of: (connection: string) => boolean) =>
  rateIn(
    permits.filter(([name]) => of(name)),
    quiet,
  );

describe('8 workers and 300 connections that share 600 requests a second, and have 10 or 100 of their own', () => {
  it('use the limit, are hardly refused, and get the same', { timeout }, async (context) => {
    const work = names(300, (i) => (i < 30 ? `fast${i}` : `c${i}`)).map((name, i) => endless(name, 1 + (i % 4)));
    const judged = await bench.measure(work, { warmUpMs: 1000, quietMs: 3000 });
    const { perSecond, told } = expectSound(judged);
    const each = Object.values(judged.counts.accepted);
    expect(each).toHaveLength(300);
    expect(jain(each), told).toBeGreaterThanOrEqual(0.95);
    requireQuiet(judged, context);
    expect(perSecond / limits.platform, told).toBeGreaterThanOrEqual(leastUse(judged));
  });

  it('reach their own limits, and share what these leave', { timeout }, async (context) => {
    const work = names(30, (i) => (i < 10 ? `fast${i}` : `c${i}`)).map((name) => endless(name, 8));
    const judged = await bench.measure(work, { warmUpMs: 1000, quietMs: 3000 });
    const { told } = expectSound(judged);
    const fast = Object.entries(judged.counts.accepted).flatMap(([name, n]) => (name.startsWith('fast') ? n : []));
    expect(jain(fast), told).toBeGreaterThanOrEqual(0.95);
    requireQuiet(judged, context);
    const slow = rateOf(judged, (name) => name.startsWith('c')) / (20 * limits.connection);
    const quick = rateOf(judged, (name) => name.startsWith('fast')) / (limits.platform - 20 * limits.connection);
    expect(slow, told).toBeGreaterThanOrEqual(leastUse(judged));
    expect(quick, told).toBeGreaterThanOrEqual(leastUse(judged));
  });

  it('use what an app may ask of one API, the same for each connection, and hold no other API up', {
    timeout,
  }, async (context) => {
    const orders = names(40, (i) => `fast${i}#orders`).map((name) => endless(name, 2));
    // The other API has the same limit, and a quarter of the connections.
    const items = names(10, (i) => `fast${i}#items`).map((name) => endless(name, 4));
    const judged = await bench.measure([...orders, ...items], { warmUpMs: 1000, quietMs: 3000 });
    const { told } = expectSound(judged);
    const each = Object.entries(judged.counts.accepted).flatMap(([name, n]) => (name.endsWith('#orders') ? n : []));
    expect(each).toHaveLength(40);
    expect(jain(each), told).toBeGreaterThanOrEqual(0.95);
    requireQuiet(judged, context);
    for (const api of ['#orders', '#items'])
      expect(rateOf(judged, (name) => name.endsWith(api)) / shared.api, `${api} ${told}`).toBeGreaterThanOrEqual(
        leastUse(judged),
      );
  });

  it('take at most a tenth longer beside one with a hundred times the work', { timeout }, async () => {
    const others = names(299, (i) => (i < 29 ? `fast${i + 1}` : `c${i + 1}`)).map(
      (connection): Work => ({ connection, loops: 2, requests: 8 }),
    );
    const without = await bench.measure(others, { warmUpMs: 0, quietMs: 0 });
    // A hundred times as much is not done when the others are: to go on without end is the same to them.
    const beside = await bench.measure([endless('fast0', 80), ...others], { warmUpMs: 0, quietMs: 0 });
    for (const judged of [without, beside]) expectSound(judged);
    // The limit lets so many leave a second, whoever they are: places in the order of leaving are times.
    const [before, after] = [placesOf(without.permits), placesOf(beside.permits)];
    expect(after.last / before.last, JSON.stringify({ before, after })).toBeLessThanOrEqual(1.1);
    expect(after.mean / before.mean, JSON.stringify({ before, after })).toBeLessThanOrEqual(1.1);
  });
});

/** Place of the last permit of each of the others: of the last of them, and on average. */
function placesOf(permits: readonly Permit[]): { last: number; mean: number } {
  const places = new Map<string, number>();
  for (const [place, [name]] of permits.entries()) if (name !== 'fast0') places.set(name, place + 1);
  const all = [...places.values()];
  return { last: Math.max(...all), mean: sum(all) / all.length };
}

/**
 * A lease and a pause after it may last 0.7 s in all, a lease alone a quarter of a second (activities/http/budget/pace.ts): who
 * stands still for longer sends what he was allowed in a heap, and the machine is counted. Within `nothingLostMs` no permit is
 * lost either. Figures on a machine that had ten times the work it can do: 0 refused of 7,500, and 0.955 to 1 of the limit.
 */
const mostStoodMs = 450;
const nothingLostMs = 250;

describe('a platform that counts what arrives, by its own clock', () => {
  it('refuses at most one request in a thousand, and is asked for what it allows', { timeout }, async ({ skip }) => {
    const counting = await openRig({ ...rig, limits });
    try {
      // Each time is judged by itself: what stood still once says nothing of the next.
      const tries: number[] = [];
      for (let tried = 0; tried < 3; tried++) {
        const figures = await everyoneBusy(counting, 4000);
        tries.push(Math.round(figures.stoodMs));
        if (figures.stoodMs > mostStoodMs) continue;
        const told = JSON.stringify(figures);
        expect(figures.refusedShare, told).toBeLessThanOrEqual(0.001);
        expect(figures.served, told).toBe(300);
        expect(figures.use, told).toBeGreaterThanOrEqual(figures.stoodMs <= nothingLostMs ? 0.95 : 0.85);
        return;
      }
      skip(`this machine stood still for ${tries.join(', ')} ms: what the platform counts was not judged`);
    } finally {
      await counting.close();
    }
  });
});

describe('the judge', () => {
  const every = (ms: number, count: number, name = 'c1'): Permit[] =>
    Array.from({ length: count }, (_, i) => [name, 1_000_000 + i * ms]);
  const until = 1_000_000 + 60_000;

  it('refuses what a platform would: a second gathers, and not more', () => {
    expect(judge(every(100, 100), limits, 0, until).refused).toEqual({ platform: 0, api: 0, connection: 0 });
    expect(judge(every(50, 41), limits, 0, until).refused.connection, '20 a second for 2 s, ten of them extra').toBe(
      11,
    );
    expect(judge(every(0, 601, 'fast1'), limits, 0, until).refused).toMatchObject({ platform: 0, connection: 501 });
    const many = Array.from({ length: 700 }, (_, i): Permit => [`c${i}`, 1_000_000]);
    expect(judge(many, limits, 0, until).refused.platform).toBe(100);
    expect(judge(every(0, 101, 'fast1#orders'), { ...limits, api: 50 }, 0, until).refused.api).toBe(51);
    // In whatever order they were written down.
    expect(judge(every(50, 41).reverse(), limits, 0, until).refused.connection).toBe(11);
  });

  it('counts no time in which a process stood still, nor what had gathered meanwhile', () => {
    expect(
      quietParts(
        [
          [10_000, 10_400],
          [10_200, 10_500],
          [20_000, 21_000],
        ],
        9_000,
        21_200,
      ),
    ).toEqual([
      [9_000, 10_000],
      [10_800, 20_000],
    ]);
    expect(quietParts([], 0, 100)).toEqual([[0, 100]]);
    const permits: Permit[] = [500, 1_500, 2_500].map((at) => ['c1', at]);
    expect(
      rateIn(permits, [
        [0, 1_000],
        [2_000, 3_000],
      ]),
    ).toBe(1);
  });
});
