import { fileURLToPath } from 'node:url';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import type { Deps } from '../activities/deps.ts';
import { openTokens } from '../activities/http/auth.ts';
import { openThrottle } from '../activities/http/throttle.ts';
import { createActivities } from '../activities/index.ts';
import { loadConnectors } from '../activities/platform/catalog.ts';
import type { Execution } from '../db/claims.ts';
import { createPool, type Pool } from '../db/client.ts';
import { loadConnection } from '../db/connections.ts';
import type { Config } from './config.ts';
import type { Servers } from './embedded/servers.ts';
import { connectClient } from './temporal.ts';

/** Order of the four stops: a page flush (seconds) < grace < force < the container's stop_grace_period (90 s). */
const shutdownGraceTime = '30s';
const shutdownForceTime = '60s';
/** One context holds about 600 workflows a gigabyte; a run of orgSync lives minutes, so 200 is plenty. */
const maxCachedWorkflows = 200;

export interface WorkerParts {
  worker: Worker;
  pool: Pool;
  /** Tools of its activities, for what is served beside it. */
  deps: Deps;
  /** Closes pool and connections; call it after `worker.run()` has ended. */
  close(): Promise<void>;
}

/** A worker for every pipeline. `bundle` is the file made by workers/bundle.ts; without it the code is bundled here. */
export async function createWorker(
  config: Config,
  servers: Servers,
  key: Buffer,
  bundle?: string,
): Promise<WorkerParts> {
  const pool = createPool({ url: servers.databaseUrl, size: config.poolSize, name: 'syncline worker' });
  const connection = await connectNative(servers);
  const client = await connectClient(servers.temporal);
  const throttle = openThrottle(pool);
  const tokens = openTokens({ pool, key });
  if (config.connectors) await loadConnectors(config.connectors);
  const deps: Deps = {
    pool,
    throttle,
    tokens,
    connection: (id) => loadConnection(pool, key, id),
    isOpen: (execution) => isOpen(client, execution),
  };
  const activities = createActivities(deps);
  const worker = await Worker.create({
    connection,
    namespace: servers.temporal.namespace,
    taskQueue: config.taskQueue,
    ...(bundle ? { workflowBundle: { codePath: bundle } } : { workflowsPath: workflowsPath() }),
    activities,
    maxConcurrentActivityTaskExecutions: config.activitySlots,
    maxCachedWorkflows,
    // A killed worker's pages are found again in Postgres; this only decides how soon its silence is noticed.
    maxHeartbeatThrottleInterval: '1s',
    shutdownGraceTime,
    shutdownForceTime,
    // A plain error in workflow code would retry its task for ever: the run would look alive and do nothing.
    workflowFailureErrorTypes: { '*': ['Error'] },
  });
  return {
    worker,
    pool,
    deps,
    async close() {
      await client.connection.close();
      await connection.close();
      await throttle.close();
      await tokens.close();
      await pool.end();
    },
  };
}

/** Bundles the workflow code once, ahead of workers: bundling inside one costs 75 MB of its memory. */
export async function bundleWorkflows(): Promise<string> {
  const { code } = await bundleWorkflowCode({ workflowsPath: workflowsPath(), logger: new DefaultLogger('WARN') });
  return code;
}

/** Sends the logs of the native side and of workflows through one logger. Once a process, before any connection. */
export function installRuntime(level: Config['logLevel']): void {
  Runtime.install({
    logger: new DefaultLogger(level),
    telemetryOptions: { logging: { forward: {}, filter: { core: 'WARN', other: level } } },
  });
}

function workflowsPath(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`../workflows/index.${extension}`, import.meta.url));
}

async function connectNative(servers: Servers): Promise<NativeConnection> {
  const { address, namespace, connectionOptions } = servers.temporal;
  try {
    return await NativeConnection.connect(connectionOptions);
  } catch (cause) {
    throw new Error(
      `Temporal at ${address} (namespace ${namespace}) does not answer. Is it running? TEMPORAL_ADDRESS names another one.`,
      { cause },
    );
  }
}

async function isOpen(client: Client, { workflowId, runId }: Execution): Promise<boolean> {
  try {
    const { status, raw } = await client.workflow.getHandle(workflowId).describe();
    const first = raw.workflowExecutionInfo?.firstRunId || raw.workflowExecutionInfo?.execution?.runId;
    return status.name === 'RUNNING' && first === runId;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
