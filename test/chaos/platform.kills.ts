import { WorkflowNotFoundError } from '@temporalio/client';
import { streamSyncId } from '../../workflows/platform.ts';
import type { Ground } from '../harness/ground.ts';
import { resultOf } from '../harness/platforms.ts';
import { until } from '../harness/until.ts';
import type { WorkerProcess } from '../harness/worker-process.ts';
import { randomOf } from './kills.ts';
import { kinds, openPlace, type Place } from './platform.sources.ts';

export interface PlatformKillOptions {
  ground: Ground;
  /** Workers killed, one a run of all sources: by turns in a first, full run and in the run after changes. */
  kills: number;
  /** The same seed changes the same things and aims at the same moments. */
  seed: number;
  /** Receives one plain line a kill. */
  tell: (line: string) => void;
}

export interface PlatformKillReport {
  kills: number;
  /** Kills by stream and activity in hand, e.g. {"orders readSlice": 3}. */
  hit: Record<string, number>;
  /** Most requests of a full run that one kill made twice, by kind of source, in seconds of its undisturbed pace. */
  repeatedSeconds: Record<string, number>;
}

/** What an undisturbed first run costs. */
interface Quiet {
  asked: number;
  repeated: number;
  perSecond: number;
}

/**
 * Run after run over every way of reading at once: kill the worker when a source chosen by the seed has been asked a share of
 * its requests chosen by the seed, start another one, let all finish, compare sources and copies row by row.
 * @throws the difference that was found
 */
export async function killPlatformsAtRandom(options: PlatformKillOptions): Promise<PlatformKillReport> {
  const { ground, tell } = options;
  const random = randomOf(options.seed);
  let worker = ground.worker();
  const quiet = await readQuietly(ground, worker);
  const report: PlatformKillReport = { kills: 0, hit: {}, repeatedSeconds: {} };
  let places: [string, Place][] = [];
  for (let kill = 1; kill <= options.kills; kill++) {
    const first = kill % 2 === 1;
    if (first) places = await openAll(ground);
    else for (const [, place] of places) await place.change(kill);
    const [watched, at] = [places[Math.floor(random() * places.length)] as [string, Place], random()];
    const [name, place] = watched;
    const share = at * (first ? 0.9 : 0.15);
    const killed = await runKilled(ground, worker, places, { place, share, quiet: quiet.get(name) as Quiet }, first);
    const { open } = killed;
    worker = killed.other;
    report.kills += 1;
    for (const one of open) report.hit[one] = (report.hit[one] ?? 0) + 1;
    const again = first ? await repeatedBy(places, quiet) : [];
    for (const [kind, seconds] of again)
      report.repeatedSeconds[kind] = Math.max(report.repeatedSeconds[kind] ?? 0, seconds);
    const cost = again.map(([kind, seconds, n]) => `${kind} ${n} (${seconds.toFixed(2)} s)`).join(', ');
    tell(
      `kill ${kill}, ${first ? 'full' : 'changed'}, at ${name}: ${open.join(', ') || 'between'}; equal${cost && `; asked again: ${cost}`}`,
    );
  }
  // Not stopped: where nothing was left to do it has just been started.
  await worker.kill();
  return report;
}

async function openAll(ground: Ground): Promise<[string, Place][]> {
  const places: [string, Place][] = [];
  for (const [name, kind] of Object.entries(kinds)) places.push([name, await openPlace(ground, kind)]);
  return places;
}

async function readQuietly(ground: Ground, worker: WorkerProcess): Promise<Map<string, Quiet>> {
  const places = await openAll(ground);
  const before = await Promise.all(places.map(([, place]) => place.asked()));
  const ends = await worker.whileAlive(Promise.all(places.map(async ([, { shop }]) => (await shop.start()).result())));
  const quiet = new Map<string, Quiet>();
  for (const [i, [name, place]] of places.entries()) {
    const asked = (await place.asked()) - (before[i] as number);
    const longest = Math.max(...(ends[i]?.streams ?? []).map((one) => ('reason' in one ? 0 : one.durationMs)));
    quiet.set(name, { asked, repeated: place.repeated() ?? 0, perSecond: (asked * 1_000) / longest });
  }
  return quiet;
}

/** Reached after seconds; on a machine that does much else, after minutes. */
const momentMs = 300_000;

/** @returns the streams that were at work when the worker was killed, and the worker that finished them */
async function runKilled(
  ground: Ground,
  worker: WorkerProcess,
  places: [string, Place][],
  aim: { place: Place; share: number; quiet: Quiet },
  first: boolean,
): Promise<{ open: string[]; other: WorkerProcess }> {
  const before = await aim.place.asked();
  const runs = await Promise.all(places.map(([, { shop }]) => shop.start()));
  const done = Promise.allSettled(runs.map((run) => run.result()));
  let over = false;
  void done.then(() => {
    over = true;
  });
  // A refresh token that is used once may be lost with the worker that used it: then a person must consent again.
  const signedIn = async () => (await Promise.all(places.map(([, place]) => place.asked()))).every((n) => n > 1);
  const wanted = before + 1 + aim.share * aim.quiet.asked;
  const moment = async () => over || ((await aim.place.asked()) >= wanted && (await signedIn()));
  await until('the moment to kill', moment, momentMs);
  await worker.kill();
  const open = (
    await Promise.all(runs.map((run, i) => atWork(ground, run.workflowId, places[i]?.[1].kind.streams ?? [])))
  ).flat();
  const other = ground.worker();
  const ends = await other.whileAlive(Promise.all(runs.map((run) => run.result())));
  for (const [i, [name, { kind, shop }]] of places.entries())
    for (const stream of kind.streams) {
      const result = resultOf(ends[i] as (typeof ends)[number], stream);
      const differs = await shop.difference(stream);
      const rows = shop.source.truth(stream).size;
      if (Object.values(differs).some((ids) => ids.length > 0))
        throw new Error(`${name} ${stream}: ${JSON.stringify(differs)}`);
      if (result.doubt !== null) throw new Error(`${name} ${stream}: ${result.doubt}`);
      // A row that is written twice counts twice.
      if (first && result.written !== rows)
        throw new Error(`${name} ${stream}: ${result.written} of ${rows} rows written`);
    }
  return { open, other };
}

async function atWork(ground: Ground, workflowId: string, streams: string[]): Promise<string[]> {
  const found = await Promise.all(
    streams.map(async (stream) => {
      const handle = ground.client.workflow.getHandle(streamSyncId(workflowId, stream));
      const seen = await handle.describe().catch((error: unknown) => {
        if (error instanceof WorkflowNotFoundError) return undefined;
        throw error;
      });
      if (seen?.status.name !== 'RUNNING') return [];
      return [
        `${stream} ${seen.raw.pendingActivities?.find((one) => one.state === 2)?.activityType?.name ?? 'between'}`,
      ];
    }),
  );
  return found.flat();
}

/** Requests that the killed run made beside those of an undisturbed one. */
async function repeatedBy(places: [string, Place][], quiet: Map<string, Quiet>): Promise<[string, number, number][]> {
  return Promise.all(
    places.map(async ([name, place]): Promise<[string, number, number]> => {
      const { asked, repeated, perSecond } = quiet.get(name) as Quiet;
      const counted = place.repeated();
      const again = Math.max(0, counted === null ? (await place.asked()) - asked : counted - repeated);
      return [name, again / perSecond, again];
    }),
  );
}
