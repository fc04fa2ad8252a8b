import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Client } from '@temporalio/client';
import { createPool, type Pool } from '../../db/client.ts';
import { saveConnection } from '../../db/connections.ts';
import { type ScimSandbox, type ScimSandboxOptions, startScimSandbox } from '../../sandbox/scim.ts';
import { taskQueue } from '../../workflows/options.ts';
import { type Config, loadConfig } from '../config.ts';
import { endProcess } from '../embedded/process.ts';
import { findServer } from '../embedded/record.ts';
import { openServers, type Servers } from '../embedded/servers.ts';
import { secretKeyOf } from '../secret.ts';
import { connectClient } from '../temporal.ts';
import { type DemoWorker, programOf, startDemoWorker } from './worker.ts';

/** Name of the demo's connection. */
export const connection = 'demo';

/** Both servers, a simulated directory, a connection to it, and workers on demand. */
export interface Ground {
  /** SYNCLINE_DATA_DIR for a CLI that shall find these servers. */
  folder: string;
  servers: Servers;
  source: ScimSandbox;
  pool: Pool;
  client: Client;
  /** Seals the connection's credential. */
  key: Buffer;
  taskQueue: string;
  /** Starts a worker and returns when it polls. */
  worker(): Promise<DemoWorker>;
  /** Rejects when the latest worker ends without being told to. Never resolves. */
  lost(): Promise<never>;
}

/** What has to be undone at the end; the last first. Filled while things are started, so that a start that fails half-way is undone too. */
export type Closers = (() => Promise<unknown>)[];

/**
 * Starts everything in `demo` inside the data folder. The environment's servers are left alone: the demo always has its
 * own, empty ones. @throws Error when another demo runs there.
 */
export async function openGround(
  options: ScimSandboxOptions,
  tell: (line: string) => void,
  closers: Closers,
): Promise<Ground> {
  const { dataDir, programFolders } = loadConfig();
  const folder = join(dataDir, 'demo');
  await clear(folder);
  mkdirSync(folder, { recursive: true });
  closers.push(() => clear(folder));
  const config: Config = {
    namespace: 'default',
    taskQueue,
    poolSize: 8,
    activitySlots: 4,
    apiHost: '127.0.0.1',
    liveSlots: 20,
    logLevel: 'WARN',
    dataDir: folder,
    programFolders,
  };
  const bundle = join(folder, 'workflows.bundle.js');
  const opening = openServers(config, { durable: false, ui: true, onProgress: tell });
  // Servers that did not come up have been stopped already.
  closers.push(() =>
    opening.then(
      ({ stop }) => stop(),
      () => undefined,
    ),
  );
  const [servers] = await Promise.all([opening, bundleInto(bundle)]);

  const source = await startScimSandbox(options);
  closers.push(() => source.stop());
  const key = secretKeyOf(config);
  const env = {
    DATABASE_URL: servers.databaseUrl,
    TEMPORAL_ADDRESS: servers.temporal.address,
    TEMPORAL_NAMESPACE: servers.temporal.namespace,
    SYNCLINE_SECRET_KEY: key.toString('base64'),
    SYNCLINE_WORKFLOW_BUNDLE: bundle,
    SYNCLINE_LOG_LEVEL: config.logLevel,
    SYNCLINE_DATA_DIR: folder,
    // Where no profile of Temporal's own tools names another server.
    HOME: folder,
  };
  const client = await connectClient(servers.temporal);
  closers.push(() => client.connection.close());
  const pool = createPool({ url: servers.databaseUrl, size: config.poolSize, name: 'syncline demo' });
  closers.push(() => pool.end());
  let latest: DemoWorker | undefined;
  const worker = async () => {
    const starting = startDemoWorker(folder, env);
    // A start that failed has ended its process already.
    closers.push(async () => (await starting.catch(() => undefined))?.stop());
    latest = await starting;
    return latest;
  };
  const lost = () => latest?.lost ?? Promise.reject(new Error('No worker was started'));
  return { folder, servers, source, pool, client, key, taskQueue, worker, lost };
}

/** Makes the connection; needs the tables, which the first worker makes. */
export async function connect({ pool, source, key }: Ground, pageSize: number): Promise<void> {
  await saveConnection(pool, key, {
    id: connection,
    tenant: connection,
    platform: 'scim',
    baseUrl: source.url,
    credential: source.token,
    options: { pageSize },
  });
}

/** Bundles the workflow code in a process of its own, as that costs 75 MB of memory. */
async function bundleInto(file: string): Promise<void> {
  try {
    await promisify(execFile)(process.execPath, [...process.execArgv, programOf('bundle'), file]);
  } catch (cause) {
    const written = String((cause as { stderr?: unknown }).stderr ?? '').trim();
    throw new Error(`The workflow code could not be bundled: ${written || (cause as Error).message}`, { cause });
  }
}

const stopSteps: [NodeJS.Signals, number][] = [
  ['SIGTERM', 10_000],
  ['SIGKILL', 5_000],
];

/** Removes what a demo keeps in its folder, after ending what outlived a demo that was killed. The worker first: it holds the database. */
async function clear(folder: string): Promise<void> {
  for (const name of ['worker.json', 'temporal/server.json', 'postgres/server.json']) {
    const found = findServer(join(folder, name));
    if (found.state === 'none') continue;
    if (found.state === 'shared') {
      throw new Error(
        `A demo runs already, as process ${found.record.owner.pid}, with its data in ${folder}. Stop that one first, ` +
          'or give this one a place of its own: SYNCLINE_DATA_DIR=/another/folder npm run demo',
      );
    }
    await endProcess(found.record.server, stopSteps);
  }
  for (const name of ['postgres', 'temporal', 'secret.key', 'workflows.bundle.js', 'worker.json'])
    rmSync(join(folder, name), { recursive: true, force: true });
}
