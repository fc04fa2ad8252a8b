import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import v8 from 'node:v8';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import {
  bundleWorkflowCode,
  DefaultLogger,
  type LogEntry,
  NativeConnection,
  Runtime,
  Worker,
} from '@temporalio/worker';
import type { Deps } from '../activities/deps.ts';
import { openTokens } from '../activities/http/auth.ts';
import { openThrottle } from '../activities/http/throttle.ts';
import { createActivities } from '../activities/index.ts';
import { endThread } from '../activities/org/thread.ts';
import { loadConnectors } from '../activities/platform/catalog.ts';
import type { Execution } from '../db/claims.ts';
import { createPool, type Pool } from '../db/client.ts';
import { loadConnection } from '../db/connections.ts';
import { openListener } from '../db/listen.ts';
import { liveQueue } from '../workflows/options.ts';
import type { Config } from './config.ts';
import type { Servers } from './embedded/servers.ts';
import { connectClient } from './temporal.ts';

/** Order of the four stops: a page flush (seconds) < grace < force < the container's stop_grace_period (90 s). */
const shutdownGraceTime = '30s';
const shutdownForceTime = '60s';
/** One context holds about 600 workflows a gigabyte; a run of orgSync lives minutes, so 200 is plenty. */
const maxCachedWorkflows = 200;

/** The worker of runs and the worker of followers, started and ended together. */
export type RunningWorker = Pick<Worker, 'run' | 'shutdown' | 'getState'>;

export interface WorkerParts {
  worker: RunningWorker;
  pool: Pool;
  /** For what is served beside it; its activities and workflows do without. */
  client: Client;
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
  const listener = openListener(servers.databaseUrl);
  const deps: Deps = {
    pool,
    listener,
    throttle,
    tokens,
    connection: (id) => loadConnection(pool, key, id),
    isOpen: (execution) => isOpen(client, execution),
  };
  const activities = createActivities(deps);
  const common = {
    connection,
    namespace: servers.temporal.namespace,
    activities,
    // A killed worker's pages are found again in Postgres; this only decides how soon its silence is noticed.
    maxHeartbeatThrottleInterval: '1s',
    shutdownGraceTime,
    shutdownForceTime,
    // A plain error in workflow code would retry its task for ever: the run would look alive and do nothing.
    workflowFailureErrorTypes: { '*': ['Error'] },
  };
  // Read by threads as they start. Workflows live on few objects: the young ones of their thread need no 24 MB.
  v8.setFlagsFromString('--max-semi-space-size=1');
  const runs = await Worker.create({
    ...common,
    taskQueue: config.taskQueue,
    ...(bundle ? { workflowBundle: { codePath: bundle } } : { workflowsPath: workflowsPath() }),
    maxConcurrentActivityTaskExecutions: config.activitySlots,
    maxCachedWorkflows,
  });
  const followers = await Worker.create({
    ...common,
    taskQueue: liveQueue(config.taskQueue),
    maxConcurrentActivityTaskExecutions: config.liveSlots,
  });
  return {
    worker: together(runs, followers),
    pool,
    client,
    deps,
    async close() {
      await endThread();
      await client.connection.close();
      await connection.close();
      await listener.close();
      await throttle.close();
      await tokens.close();
      await pool.end();
    },
  };
}

/** Two workers as one: who stops one stops both, and one that ends takes the other along. */
function together(first: Worker, second: Worker): RunningWorker {
  const shutdown = () => {
    for (const one of [first, second]) if (one.getState() === 'RUNNING') one.shutdown();
  };
  return {
    run: async () => {
      await Promise.all([first, second].map((one) => one.run().finally(shutdown)));
    },
    shutdown,
    getState: () => (first.getState() === 'RUNNING' ? second.getState() : first.getState()),
  };
}

/** Bundles the workflow code once, ahead of workers: bundling inside one costs 75 MB of its memory. */
export async function bundleWorkflows(): Promise<string> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: workflowsPath(),
    logger: new DefaultLogger('WARN'),
    // Lines of stack traces without their columns and the sources themselves: a third of the size, in both threads that hold it.
    webpackConfigHook: (config) => ({ ...config, devtool: 'inline-nosources-cheap-module-source-map' }),
  });
  // A text that has one letter beyond Latin takes two bytes for each: 1.2 MB more in both threads.
  return code.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * Sends the logs of the native side and of workflows through one logger, and serves the SDK's metrics for Prometheus where a
 * port is given. Once a process, before any connection.
 */
export function installRuntime(level: Config['logLevel'], metrics?: { host: string; port: number }): void {
  Runtime.install({
    // The worker of followers has no workflows on purpose.
    logger: new DefaultLogger(level, (entry) => {
      if (!entry.message.startsWith('No workflows registered')) write(entry);
    }),
    telemetryOptions: {
      logging: { forward: {}, filter: { core: 'WARN', other: level } },
      ...(metrics && { metrics: { prometheus: { bindAddress: `${metrics.host}:${metrics.port}` } } }),
    },
  });
}

/** As the SDK writes its entries where nobody tells it how. */
function write({ level, timestampNanos, message, meta }: LogEntry): void {
  const at = new Date(Number(timestampNanos / 1_000_000n)).toISOString();
  const rest = meta === undefined ? '' : ` ${inspect(meta)}`;
  process.stderr.write(`${at} [${level}] ${message}${rest}\n`);
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
