import { once, setMaxListeners } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { RetryLater } from '../../activities/errors.ts';
import { type BudgetUse, openThrottle, type Throttle } from '../../activities/http/throttle.ts';
import type { Level } from '../../connectors/shape.ts';
import { createPool } from '../../db/client.ts';
import { type Interval, type Permit, stillMs } from './judge.ts';
import type { Limits } from './platform.ts';

/**
 * Workers that do nothing but ask, each with its own pool and throttle. Argument: JSON of `WorkerOptions`. A line of input
 * is a `Job[]`: it answers with one line of `Done` when all finite jobs are done, and goes on with the endless ones until
 * the line `stop`, which it answers with one line of `Stopped`. The line `stood` asks for the times it stood still.
 */
export interface WorkerOptions {
  databaseUrl: string;
  /** Null: nothing is sent; `Stopped` tells when each request might have left. */
  platformUrl: string | null;
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
  /** Without a platform: every permit. */
  permits: Permit[];
}

const { databaseUrl, platformUrl, limits, workers } = JSON.parse(process.argv[2] ?? '{}') as WorkerOptions;
const pools = Array.from({ length: workers }, () => createPool({ url: databaseUrl, size: 2, name: 'budget worker' }));
const throttles = pools.map((pool) => openThrottle(pool));
const agent = new Agent({ connections: 64 });
const rates = {
  platform: [{ requests: limits.platform, perMs: 1000 }],
  fast: [{ requests: limits.fast, perMs: 1000 }],
  api: limits.api === undefined ? [] : [{ requests: limits.api, perMs: 1000 }],
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
let permits: Permit[] = [];
let stood: Interval[] = [];
const clock = () => performance.timeOrigin + performance.now();

/** Notes when this process stood still (a timer of 10 ms that came late), and when Postgres did (a question of nothing). */
let beatAt = clock();
setInterval(() => {
  const now = clock();
  if (now - beatAt > stillMs) stood.push([beatAt, now]);
  beatAt = now;
}, 10).unref();
const asking = createPool({ url: databaseUrl, size: 1, name: 'budget watch' });
let watching = platformUrl === null;
const watch = (async () => {
  while (watching) {
    const asked = clock();
    await asking.query('SELECT 1');
    if (clock() - asked > stillMs) stood.push([asked, clock()]);
    await delay(50);
  }
})();
let begun = process.cpuUsage();
let loops: Promise<void>[] = [];

async function run(jobs: readonly Job[]): Promise<Done> {
  stop = new AbortController();
  // Every request that waits listens to it.
  setMaxListeners(0, stop.signal);
  stalls.reset();
  later = 0;
  permits = [];
  stood = [];
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
  return { later, cpuMs: (user + system) / 1000, stoodMs: stalls.max / 1e6, permits };
}

async function loop(job: Job, answered: () => void): Promise<void> {
  const [connection, api] = job.connection.split('#') as [string, string?];
  const use: BudgetUse = {
    platform: 'counting',
    platformRates: rates.platform,
    connection,
    connectionRates: connection.startsWith('fast') ? rates.fast : rates.connection,
    ...(api !== undefined && { endpoint: { name: api, rates: [], shared: rates.api } }),
    lane: 'bulk',
  };
  let left = job.requests ?? Number.POSITIVE_INFINITY;
  while (left > 0 && !stop.signal.aborted) {
    if (!(await ask(throttles[job.worker]!, use, job.connection))) continue;
    left--;
    answered();
  }
}

/** One request; false when it has to be made again. */
async function ask(throttle: Throttle, use: BudgetUse, name: string): Promise<boolean> {
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
  if (platformUrl === null) {
    permits.push([name, clock()]);
    return true;
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
  else if (line === 'stood') say(stood);
  else void run(JSON.parse(line) as Job[]).then(say);
});
say({ ready: true });
await once(lines, 'close');
await halt();
await Promise.all(throttles.map((throttle) => throttle.close()));
watching = false;
await watch;
await asking.end();
await Promise.all(pools.map((pool) => pool.end()));
await agent.close();
