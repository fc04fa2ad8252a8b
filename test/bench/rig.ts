import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { createPool, type Pool } from '../../db/client.ts';
import { saveConnection } from '../../db/connections.ts';
import { migrate } from '../../db/migrate.ts';
import { loadConfig } from '../../workers/config.ts';
import { openServers, type Servers } from '../../workers/embedded/servers.ts';
import { connectClient } from '../../workers/temporal.ts';
import { orgSync } from '../../workflows/index.ts';
import type { OrgSyncResult } from '../../workflows/org.result.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const rssEveryMs = 100;
/**
 * As in the Dockerfile and `npm start`. V8 lets a heap of 60 MB grow to 200 MB before it collects while memory is free:
 * the worker's resident memory was 326 MB without these settings. One helper thread instead of four collects as fast
 * beside the main thread and keeps 20 MB less; one arena, with buffers above 128 kB given back at once, 35 MB less. A young
 * generation of 3 MB instead of 4 keeps 6 MB less; with 2 a run to HubSpot costs 5 % more time. The old one grows by 20 %
 * between two collections: with 40 a run to HubSpot sometimes stood at 205 MB instead of 190 to 200.
 */
const heapFlags = ['--heap-growing-percent=20', '--max-semi-space-size=3', '--v8-pool-size=1'];
const arenas = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '131072' };

export interface Measured {
  result: OrgSyncResult;
  seconds: number;
  events: number;
}

/** Servers with durable settings, a fresh database, and one worker of its own process running the compiled code. */
export interface Rig {
  pool: Pool;
  servers: Servers;
  connect(
    platform: string,
    baseUrl: string,
    credential: string | null,
    options?: Record<string, unknown>,
  ): Promise<string>;
  run(connection: string): Promise<Measured>;
  /** Runs any workflow type; events are counted over it and the children of those names. */
  runType<R>(
    type: string,
    input: object,
    children: readonly string[],
  ): Promise<{ result: R; seconds: number; events: number }>;
  /** SIGKILL, as a failing machine would. */
  killWorker(): Promise<void>;
  startWorker(): Promise<void>;
  /** Highest resident memory of the worker so far, in MB (10^6 bytes). */
  rssMb(): number;
  close(): Promise<void>;
}

/** Compiles once: workers of a benchmark run what production runs. */
export function build(): void {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
}

/** @param env variables of the worker besides its own */
export async function openRig(env: Record<string, string> = {}): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-bench-'));
  chmodSync(folder, 0o755);
  const servers = await openServers(loadConfig(), { durable: true, dataDir: join(folder, 'servers') });
  await migrate(servers.databaseUrl);
  const key = randomBytes(32);
  let worker = await startWorker(servers, key, folder, env);
  let earlierPeak = 0;
  const pool = createPool({ url: servers.databaseUrl, size: 4, name: 'syncline bench' });
  const client = await connectClient(servers.temporal);
  let made = 0;
  return {
    pool,
    servers,
    async connect(platform, baseUrl, credential, options = {}) {
      const id = `bench${++made}`;
      await saveConnection(pool, key, { id, tenant: id, platform, baseUrl, credential, options });
      return id;
    },
    run: (connection) => measure(client, connection),
    runType: (type, input, children) => measureType(client, type, input, children),
    rssMb: () => Math.max(earlierPeak, worker.peak()) / 1e6,
    async killWorker() {
      earlierPeak = Math.max(earlierPeak, worker.peak());
      await worker.stop('SIGKILL');
    },
    async startWorker() {
      worker = await startWorker(servers, key, folder, env);
    },
    async close() {
      await worker.stop();
      await client.connection.close();
      await pool.end();
      await servers.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function measure(client: Client, connection: string): Promise<Measured> {
  const began = performance.now();
  const handle = await client.workflow.start(orgSync, {
    args: [{ connection }],
    taskQueue: 'syncline',
    workflowId: `bench-${randomBytes(6).toString('hex')}`,
  });
  const result = await handle.result();
  const seconds = (performance.now() - began) / 1000;
  const { events } = await handle.fetchHistory();
  return { result, seconds, events: events?.length ?? 0 };
}

async function measureType<R>(client: Client, type: string, input: object, children: readonly string[]) {
  const workflowId = `bench-${randomBytes(6).toString('hex')}`;
  const began = performance.now();
  const handle = await client.workflow.start(type, { args: [input], taskQueue: 'syncline', workflowId });
  const result = (await handle.result()) as R;
  const seconds = (performance.now() - began) / 1000;
  let events = 0;
  for (const id of [workflowId, ...children.map((child) => `${workflowId}/${child}`)])
    events += (await client.workflow.getHandle(id).fetchHistory()).events?.length ?? 0;
  return { result, seconds, events };
}

async function startWorker(servers: Servers, key: Buffer, folder: string, env: Record<string, string>) {
  const child = spawn(process.execPath, [...heapFlags, join(root, 'dist/workers/start.js')], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      DATABASE_URL: servers.databaseUrl,
      TEMPORAL_ADDRESS: servers.temporal.address,
      SYNCLINE_SECRET_KEY: key.toString('base64'),
      SYNCLINE_WORKFLOW_BUNDLE: join(root, 'dist/workflows.bundle.js'),
      SYNCLINE_DATA_DIR: join(folder, 'worker'),
      SYNCLINE_LOG_LEVEL: 'WARN',
      ...arenas,
      ...env,
    },
  });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  await new Promise<void>((ready, failed) => {
    lines.on('line', (line) => line.includes('The worker runs') && ready());
    child.once('exit', (code) => failed(new Error(`The worker ended with code ${code} before it ran`)));
  });
  let peak = 0;
  const look = setInterval(() => {
    peak = Math.max(peak, rssOf(child.pid ?? 0));
  }, rssEveryMs);
  return {
    peak: () => peak,
    async stop(signal: NodeJS.Signals = 'SIGTERM') {
      clearInterval(look);
      child.kill(signal);
      await ended;
    },
  };
}

/** Resident bytes of a process, from the kernel's own account (Linux). */
function rssOf(pid: number): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+) kB/);
  return Number(line?.[1] ?? 0) * 1024;
}
