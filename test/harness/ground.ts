import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { createPool, type Pool } from '../../db/client.ts';
import { type ConnectionInput, saveConnection } from '../../db/connections.ts';
import { migrate } from '../../db/migrate.ts';
import { type ScimSandbox, type ScimSandboxOptions, startScimSandbox } from '../../sandbox/scim.ts';
import { loadConfig } from '../../workers/config.ts';
import { openServers, type Servers } from '../../workers/embedded/servers.ts';
import { connectClient } from '../../workers/temporal.ts';
import { bundleWorkflows } from '../../workers/worker.ts';
import type { orgSync } from '../../workflows/index.ts';
import { startShortHistories } from './short-history.ts';
import { startWorkerProcess, type WorkerProcess, type WorkerProcessOptions } from './worker-process.ts';

export type Run = WorkflowHandleWithFirstExecutionRunId<typeof orgSync>;

export interface Directory {
  /** Name of the connection. */
  name: string;
  source: ScimSandbox;
}

/** Servers of its own that may be crashed, and no test runner: what chaos tests and programs outside of tests stand on. */
export interface Ground {
  servers: Servers;
  pool: Pool;
  client: Client;
  config: { taskQueue: string };
  /** Stores a connection under the next free name (c1, c2, …). */
  connect(
    input: Omit<ConnectionInput, 'id' | 'tenant' | 'options'> & { options?: Record<string, unknown> },
  ): Promise<string>;
  /** Closed with the ground, the last one first. */
  onClose(close: () => Promise<unknown>): void;
  /** Starts a sandbox directory and connects it under the next free name (c1, c2, …). */
  scim(options: ScimSandboxOptions, connection?: { options?: Record<string, unknown> }): Promise<Directory>;
  /** Starts orgSync under a random id. */
  start(connection: string, input?: Record<string, unknown>): Promise<Run>;
  /** Starts a worker process; `close` kills what still runs of them. */
  worker(options?: Partial<Pick<WorkerProcessOptions, 'slots' | 'logLevel'>>): WorkerProcess;
  /** Ends workers, sandboxes and servers and removes the folder. */
  close(): Promise<void>;
}

export interface GroundOptions {
  /** False: nothing is flushed to disk and workflows live in memory; then neither server may crash. */
  durable: boolean;
  taskQueue?: string;
  /** Events from which Temporal suggests another execution. Default: the server's own, 4,096. Never durable. */
  shortHistories?: number;
  /** File with the workflow code bundled ahead. Default: bundled here. */
  bundle?: string;
}

/** Starts both servers in a fresh temporary folder, migrates and bundles. */
export async function openGround(options: GroundOptions): Promise<Ground> {
  const { durable, taskQueue = 'syncline', shortHistories } = options;
  const folder = mkdtempSync(join(tmpdir(), 'syncline-ground-'));
  // The OS user `postgres` must be able to walk through it when we run as root.
  chmodSync(folder, 0o755);
  const programs = loadConfig().programFolders;
  const temporal = shortHistories && (await startShortHistories(shortHistories));
  const named = temporal ? { temporal: { address: temporal.address } } : {};
  const config = { ...loadConfig({}), programFolders: programs, ...named };
  const servers = await openServers(config, { durable, dataDir: folder });
  const key = randomBytes(32);
  await migrate(servers.databaseUrl);
  const bundle = options.bundle ?? join(folder, 'workflows.bundle.js');
  if (!options.bundle) writeFileSync(bundle, await bundleWorkflows());
  const pool = createPool({ url: servers.databaseUrl, size: 8, name: 'syncline test' });
  const client = await connectClient(servers.temporal);
  const workers: WorkerProcess[] = [];
  const closers: (() => Promise<unknown>)[] = [];
  let connections = 0;
  const connect: Ground['connect'] = async ({ options = {}, ...input }) => {
    const id = `c${++connections}`;
    await saveConnection(pool, key, { ...input, id, tenant: id, options });
    return id;
  };
  return {
    servers,
    pool,
    client,
    config: { taskQueue },
    connect,
    onClose: (close) => void closers.push(close),
    async scim(options, { options: settings = {} } = {}) {
      const source = await startScimSandbox(options);
      closers.push(() => source.stop());
      const { url: baseUrl, token: credential } = source;
      return { name: await connect({ platform: 'scim', baseUrl, credential, options: settings }), source };
    },
    start: (connection, input = {}) =>
      client.workflow.start<typeof orgSync>('orgSync', {
        args: [{ connection, ...input }],
        taskQueue,
        workflowId: `run-${randomBytes(8).toString('hex')}`,
      }),
    worker(options) {
      const worker = startWorkerProcess({ servers, taskQueue, key, bundle, ...options });
      workers.push(worker);
      return worker;
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.kill()));
      for (const close of closers.reverse()) await close();
      await client.connection.close();
      await pool.end();
      await servers.stop();
      if (temporal) await temporal.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
