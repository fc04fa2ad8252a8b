import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../../workers/config.ts';
import type { Servers } from '../../workers/embedded/servers.ts';

/** A worker in a process of its own, which can be killed, stopped and continued. */
export interface WorkerProcess {
  readonly pid: number;
  /** Everything it has written to stdout and stderr so far. */
  output(): string;
  /** Waits for `work`, but no longer than the process lives. @throws Error with its output when it ends by itself. */
  whileAlive<T>(work: Promise<T>): Promise<T>;
  /** SIGKILL; resolves when the process is gone. Harmless when it is. */
  kill(): Promise<void>;
  /** SIGSTOP: it keeps its sockets and does nothing. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** SIGTERM; resolves when it has drained and ended. @throws Error with its output when it ends badly. */
  stop(): Promise<void>;
}

export interface WorkerProcessOptions {
  servers: Servers;
  taskQueue: string;
  key: Buffer;
  /** File with the workflow code bundled ahead. Where it stands in a build, the build is started, else the sources. */
  bundle: string;
  /** Activities at once. Default 20, with four database connections more. */
  slots?: number;
  /** Most memory of the JavaScript heap, MB. Default: what Node takes. */
  heapMb?: number;
  logLevel?: Config['logLevel'];
}

const source = fileURLToPath(new URL('../../workers/start.ts', import.meta.url));
const checkout = fileURLToPath(new URL('../..', import.meta.url));

/** Starts a worker as a process; it takes work one or two seconds later. Its environment is what stands here and nothing else. */
export function startWorkerProcess(options: WorkerProcessOptions): WorkerProcess {
  const { servers, slots = 20 } = options;
  const heap = options.heapMb === undefined ? [] : [`--max-old-space-size=${options.heapMb}`];
  const built = join(dirname(options.bundle), 'workers/start.js');
  const program = existsSync(built) ? [built] : ['--import', 'tsx', source];
  const child = spawn(process.execPath, [...heap, ...program], {
    cwd: checkout,
    env: {
      DATABASE_URL: servers.databaseUrl,
      TEMPORAL_ADDRESS: servers.temporal.address,
      TEMPORAL_NAMESPACE: servers.temporal.namespace,
      SYNCLINE_TASK_QUEUE: options.taskQueue,
      SYNCLINE_SECRET_KEY: options.key.toString('base64'),
      SYNCLINE_WORKFLOW_BUNDLE: options.bundle,
      SYNCLINE_ACTIVITY_SLOTS: String(slots),
      SYNCLINE_POOL_SIZE: String(slots + 4),
      SYNCLINE_LOG_LEVEL: options.logLevel ?? 'WARN',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let written = '';
  const keep = (text: Buffer) => {
    written += text;
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const gone = once(child, 'close');
  let asked = false;
  const death = gone.then(() => {
    if (!asked)
      throw new Error(
        `The worker process ended by itself (${child.exitCode ?? child.signalCode}). It wrote:\n${written}`,
      );
  });
  // Met by whoever waits in whileAlive, by stop, or by nobody.
  death.catch(() => undefined);
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid!,
    output: () => written,
    // A process that was ended on purpose says nothing about the work: another one may finish it.
    whileAlive: (work) => Promise.race([work, death.then(() => work)]),
    async kill() {
      asked = true;
      child.kill('SIGKILL');
      await gone;
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async stop() {
      if (!ended()) {
        asked = true;
        child.kill('SIGTERM');
      }
      await death;
      if (child.exitCode === 0) return;
      throw new Error(`The worker process ended with ${child.exitCode ?? child.signalCode}. It wrote:\n${written}`);
    },
  };
}
