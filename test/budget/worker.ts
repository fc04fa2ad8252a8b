import { once, setMaxListeners } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { RetryLater } from '../../activities/errors.ts';
import { type BudgetUse, openThrottle, type Throttle } from '../../activities/http/throttle.ts';
import type { Level } from '../../connectors/shape.ts';
import { createPool } from '../../db/client.ts';
import type { Limits } from './platform.ts';

/**
 * Workers that do nothing but ask, each with its own pool and throttle. Argument: JSON of `WorkerOptions`. A line of input
 * is a `Job[]`: it answers with one line of `Done` when all finite jobs are done, and goes on with the endless ones until
 * the line `stop`, which it answers with one line of `Stopped`.
 */
export interface WorkerOptions {
  databaseUrl: string;
  platformUrl: string;
  limits: Limits;
  /** Workers in this process. */
  workers: number;
}

export interface Job {
  /** Which worker of the process. */
  worker: number;
  connection: string;
  /** Requests to make, one after the other; null goes on until `stop`. */
  requests: number | null;
}

export interface Done {
  /** Moment at which the last request of a connection's finite jobs was answered, ms since 1970. */
  endedAt: Record<string, number>;
}

export interface Stopped {
  /** Times `take` sent a request away to come back later. */
  later: number;
  /** CPU time of this process since the jobs came, ms. */
  cpuMs: number;
  /** Longest time the process stood still meanwhile, ms. */
  stoodMs: number;
}

const { databaseUrl, platformUrl, limits, workers } = JSON.parse(process.argv[2] ?? '{}') as WorkerOptions;
const pools = Array.from({ length: workers }, () => createPool({ url: databaseUrl, size: 2, name: 'budget worker' }));
const throttles = pools.map((pool) => openThrottle(pool));
const agent = new Agent({ connections: 64 });
const rates = {
  platform: [{ requests: limits.platform, perMs: 1000 }],
  fast: [{ requests: limits.fast, perMs: 1000 }],
  // Connections of platforms often have two rates.
  connection: [
    { requests: limits.connection, perMs: 1000 },
    { requests: limits.connection * 60, perMs: 60_000 },
  ],
};

const stalls = monitorEventLoopDelay({ resolution: 10 });
stalls.enable();
let stop = new AbortController();
let later = 0;
let begun = process.cpuUsage();
let loops: Promise<void>[] = [];

async function run(jobs: readonly Job[]): Promise<Done> {
  stop = new AbortController();
  // Every request that waits listens to it.
  setMaxListeners(0, stop.signal);
  stalls.reset();
  later = 0;
  begun = process.cpuUsage();
  const done: Done = { endedAt: {} };
  const finite = jobs.filter((job) => job.requests !== null);
  loops = jobs.filter((job) => job.requests === null).map((job) => loop(job, () => undefined));
  const answered = ({ connection }: Job) => {
    done.endedAt[connection] = Date.now();
  };
  await Promise.all(finite.map((job) => loop(job, () => answered(job))));
  return done;
}

async function halt(): Promise<Stopped> {
  stop.abort();
  await Promise.all(loops);
  const { user, system } = process.cpuUsage(begun);
  return { later, cpuMs: (user + system) / 1000, stoodMs: stalls.max / 1e6 };
}

async function loop(job: Job, answered: () => void): Promise<void> {
  const use: BudgetUse = {
    platform: 'counting',
    platformRates: rates.platform,
    connection: job.connection,
    connectionRates: job.connection.startsWith('fast') ? rates.fast : rates.connection,
    lane: 'bulk',
  };
  let left = job.requests ?? Number.POSITIVE_INFINITY;
  while (left > 0 && !stop.signal.aborted) {
    if (!(await ask(throttles[job.worker]!, use))) continue;
    left--;
    answered();
  }
}

/** One request; false when it has to be made again. */
async function ask(throttle: Throttle, use: BudgetUse): Promise<boolean> {
  try {
    await throttle.take(use, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return false;
    if (!(error instanceof RetryLater)) throw error;
    later++;
    // As the workflow does: nothing is held meanwhile.
    await delay(error.waitMs, undefined, { signal: stop.signal }).catch(() => undefined);
    return false;
  }
  const answer = await request(`${platformUrl}/${use.connection}`, { dispatcher: agent });
  const body = (await answer.body.json()) as { level?: Level };
  if (answer.statusCode === 200) return true;
  await throttle.refused(use, body.level!, 1000);
  return false;
}

const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  if (line === 'stop') void halt().then(say);
  else void run(JSON.parse(line) as Job[]).then(say);
});
say({ ready: true });
await once(lines, 'close');
await halt();
await Promise.all(throttles.map((throttle) => throttle.close()));
await Promise.all(pools.map((pool) => pool.end()));
await agent.close();
