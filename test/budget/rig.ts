import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
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
