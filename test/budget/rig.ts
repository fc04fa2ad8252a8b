import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { type Interval, judge, lengthOf, type Permit, quietParts } from './judge.ts';
import type { Counts, Limits } from './platform.ts';
import type { Done, Job, Stopped } from './worker.ts';

/** What one connection has to do. */
export interface Work {
  connection: string;
  /** Requests in flight at once; they spread over the workers. */
  loops: number;
  /** Requests in all; null: without end. */
  requests: number | null;
}

export interface Measured {
  counts: Counts;
  /** When the finite work of a connection was done, ms since it began. */
  endedMs: Record<string, number>;
  stopped: Stopped[];
  /** Longest time that one of the processes stood still, ms: over a quarter of a second the machine was measured, not the budget. */
  stoodMs: number;
}

/** Workers and a counting platform in processes of their own. */
export interface Rig {
  /** Gives the work to the workers, lets `warmUpMs` pass, and counts until `ms` have passed and all finite work is done. */
  measure(work: readonly Work[], time: { warmUpMs: number; ms: number }): Promise<Measured>;
  close(): Promise<void>;
}

/** Workers alone; what a platform would have counted is worked out from the moments at which requests might leave. */
export interface Bench {
  /**
   * Gives the work to the workers, lets `warmUpMs` pass, and measures until `quietMs` have passed in which no process stood
   * still and all finite work is done; 20 s at most.
   */
  measure(work: readonly Work[], time: { warmUpMs: number; quietMs: number }): Promise<Judged>;
  close(): Promise<void>;
}

export interface Judged {
  counts: Counts;
  /** All permits, in the order in which they were given. */
  permits: Permit[];
  /** Parts of the measured time in which no process stood still. */
  quiet: Interval[];
  /** Processor time of all workers, ms. */
  cpuMs: number;
}

export interface RigOptions {
  databaseUrl: string;
  limits: Limits;
  processes: number;
  workersInEach: number;
}

export async function openRig({ databaseUrl, limits, processes, workersInEach }: RigOptions): Promise<Rig> {
  const platform = start('platform.ts', limits);
  const platformUrl = `http://127.0.0.1:${await platform.next()}`;
  const all = Array.from({ length: processes }, () =>
    start('worker.ts', { databaseUrl, platformUrl, limits, workers: workersInEach }),
  );
  await Promise.all(all.map((child) => child.next()));
  const ask = async <T>(path: string) => (await (await request(`${platformUrl}/-/${path}`)).body.json()) as T;
  const tell = <T>(line: (process: number) => string) =>
    Promise.all(
      all.map(async (child, i) => {
        child.say(line(i));
        return JSON.parse(await child.next()) as T;
      }),
    );
  return {
    async measure(work, { warmUpMs, ms }) {
      const jobs = deal(work, processes, workersInEach);
      const begunAt = Date.now();
      const ended = tell<Done>((process) => JSON.stringify(jobs[process]));
      await delay(warmUpMs);
      await ask('mark');
      const [done] = await Promise.all([ended, delay(ms)]);
      const counts = await ask<Counts>('counts');
      const stopped = await tell<Stopped>(() => 'stop');
      const endedMs: Record<string, number> = {};
      for (const { endedAt } of done)
        for (const [name, at] of Object.entries(endedAt)) endedMs[name] = Math.max(endedMs[name] ?? 0, at - begunAt);
      const stoodMs = Math.max(counts.stoodMs, ...stopped.map((s) => s.stoodMs));
      return { counts, endedMs, stopped, stoodMs };
    },
    async close() {
      await Promise.all([...all, platform].map((child) => end(child.process)));
    },
  };
}

const longestMs = 20_000;

export async function openBench({ databaseUrl, limits, processes, workersInEach }: RigOptions): Promise<Bench> {
  const all = Array.from({ length: processes }, () =>
    start('worker.ts', { databaseUrl, platformUrl: null, limits, workers: workersInEach }),
  );
  await Promise.all(all.map((child) => child.next()));
  const clock = () => performance.timeOrigin + performance.now();
  const ask = <T>(line: string) =>
    Promise.all(
      all.map(async (child) => {
        child.say(line);
        return JSON.parse(await child.next()) as T;
      }),
    );
  return {
    async measure(work, { warmUpMs, quietMs }) {
      const jobs = deal(work, processes, workersInEach);
      const from = clock() + warmUpMs;
      const done = Promise.all(
        all.map(async (child, i) => {
          child.say(JSON.stringify(jobs[i]));
          return JSON.parse(await child.next()) as Done;
        }),
      );
      // Only when the finite work is done do the workers hear more.
      await done;
      let quiet: Interval[];
      do {
        await delay(Math.max(200, from + quietMs - clock()));
        quiet = quietParts((await ask<Interval[]>('stood')).flat(), from, clock());
      } while (lengthOf(quiet) < quietMs && clock() - from < longestMs);
      const to = clock();
      const stopped = await ask<Stopped>('stop');
      const permits = stopped.flatMap((one) => one.permits).sort((a, b) => a[1] - b[1]);
      const cpuMs = stopped.reduce((sum, one) => sum + one.cpuMs, 0);
      return { counts: judge(permits, limits, from, to), permits, quiet, cpuMs };
    },
    async close() {
      await Promise.all(all.map((child) => end(child.process)));
    },
  };
}

/** Loop by loop to the next worker, so that a connection's requests come from several. */
function deal(work: readonly Work[], processes: number, workersInEach: number): Job[][] {
  const jobs: Job[][] = Array.from({ length: processes }, () => []);
  let next = 0;
  for (const { connection, loops, requests } of work) {
    for (let loop = 0; loop < loops; loop++) {
      const part = requests === null ? null : Math.floor(requests / loops) + (loop < requests % loops ? 1 : 0);
      const worker = next++ % (processes * workersInEach);
      jobs[worker % processes]!.push({
        worker: Math.floor(worker / processes),
        connection,
        requests: part,
      });
    }
  }
  return jobs;
}

interface Child {
  process: ChildProcess;
  next(): Promise<string>;
  say(line: string): void;
}

function start(file: string, options: object): Child {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', path, JSON.stringify(options)], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return {
    process: child,
    async next() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${file} ended by itself (${child.exitCode ?? child.signalCode})`);
      return value;
    },
    say: (line) => void child.stdin!.write(`${line}\n`),
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.stdin!.end();
  await gone;
}
