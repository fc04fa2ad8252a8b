import { expectSameAsSource } from '../harness/compare.ts';
import { changeForEveryStep } from '../harness/every-step.ts';
import type { Directory, Ground, Run } from '../harness/ground.ts';
import { until } from '../harness/until.ts';

export interface KillOptions {
  ground: Ground;
  /** Connections that sync at the same time. */
  directories: number;
  /** Workers killed, one a round. */
  kills: number;
  /** The same seed changes the same things and aims at the same moments. */
  seed: number;
  /** Receives one plain line a round. */
  tell: (line: string) => void;
}

export interface KillReport {
  kills: number;
  runs: number;
  /** Runs that were open when their worker was killed. */
  interrupted: number;
  /** Kills by the step that was in hand, e.g. {"addUsers": 3}; a run between two steps counts as `between`. */
  steps: Record<string, number>;
}

/** An incremental run in which every step has work writes this many history events, more or less. */
const eventsOfRun = 85;
const size = { users: 120, groups: 14, depth: 3, maxPageSize: 40 };

/**
 * Round after round: change every directory, start all runs, kill the worker when a run chosen by the seed has come to
 * an event chosen by the seed, start another one, let all finish, compare source and copy row by row.
 * @throws the difference that was found
 */
export async function killAtRandom(options: KillOptions): Promise<KillReport> {
  const { ground, seed, tell } = options;
  const random = randomOf(seed);
  const places: Directory[] = [];
  for (let i = 0; i < options.directories; i++) places.push(await ground.scim({ ...size, seed: seed + i }));
  const report: KillReport = { kills: 0, runs: 0, interrupted: 0, steps: {} };
  let worker = ground.worker();
  for (let round = 1; round <= options.kills; round++) {
    const runs: Run[] = [];
    for (const { name, source } of places) {
      if (round > 1) changeForEveryStep(source.directory, round);
      // Slow enough that a kill meets a run at work, not so slow that nothing else is met.
      source.setFaults([{ type: 'latency', ms: Math.floor(random() * 60) }]);
      runs.push(await ground.start(name));
    }
    const watched = runs[Math.floor(random() * runs.length)]!;
    const event = 2 + Math.floor(random() * eventsOfRun);
    await until(`event ${event} of a run`, async () => {
      const { historyLength, status } = await watched.describe();
      return historyLength >= event || status.name !== 'RUNNING';
    });
    await worker.kill();
    const hit = await Promise.all(runs.map(stepInHand));
    worker = ground.worker();
    const results = await worker.whileAlive(Promise.all(runs.map((run) => run.result())));
    for (const [i, { name, source }] of places.entries()) {
      if (results[i]!.outcome !== 'applied') throw new Error(`${name} ended as ${results[i]!.outcome}`);
      await expectSameAsSource(ground.pool, name, source.directory);
    }
    const open = hit.filter((step) => step !== null);
    for (const step of open) report.steps[step] = (report.steps[step] ?? 0) + 1;
    report.kills += 1;
    report.runs += runs.length;
    report.interrupted += open.length;
    tell(`kill ${round} at event ${event}: ${hit.map((step) => step ?? 'done').join(', ')}; source and copy are equal`);
  }
  await worker.stop();
  return report;
}

/** The step a killed worker had in hand; `between` two steps; null when the run had ended. */
async function stepInHand(run: Run): Promise<string | null> {
  const { raw, status } = await run.describe();
  if (status.name !== 'RUNNING') return null;
  return raw.pendingActivities?.find((a) => a.state === 2)?.activityType?.name ?? 'between';
}

/** Numbers from 0 to 1 that depend on the seed alone (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
