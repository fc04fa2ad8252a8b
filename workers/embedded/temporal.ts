import { mkdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Connection } from '@temporalio/client';
import { hold, type Opened, type Shutdown, type Watch } from './hold.ts';
import { freePort, launch, onFreePort } from './launch.ts';
import { endProcess } from './process.ts';
import { assertShareable, findServer, lastPorts, writeRecord } from './record.ts';
import { findTemporal } from './temporal-program.ts';

export interface TemporalOptions extends Watch {
  /** Folder for the log and the record of the running server, and for `dbFilename`. Made when missing. */
  dataDir: string;
  /** Folders to search for the `temporal` program; see `programFolders` in workers/config.ts. */
  folders: string[];
  /** gRPC port on 127.0.0.1. Default 0: the one it had last when that is free, else any. */
  port?: number;
  /** Whether to serve the web UI. */
  ui: boolean;
  /** Port of the web UI on 127.0.0.1. Default 0: as for `port`. */
  uiPort?: number;
  /** Takes 7233 and 8233, where Temporal's own tools look, at the first start for ports that are 0, if they are free. Default false. */
  usualPorts?: boolean;
  /** SQLite file in `dataDir` that keeps the workflows. Default: memory, everything is gone when the server ends. */
  dbFilename?: string;
  /** Namespace to make beside `default`. Default `default`. */
  namespace?: string;
  /** What the server writes into its log. Default `error`. */
  log?: 'debug' | 'info' | 'warn' | 'error' | 'never';
  /** Receives lines while the program is downloaded or built, too, which happens once and takes minutes. */
  onProgress?: (line: string) => void;
}

/** A Temporal dev server that belongs to this process, or that it shares with the one that started it. */
export interface EmbeddedTemporal {
  /** `127.0.0.1:<port>`; the same after a restart. */
  readonly address: string;
  /** `http://127.0.0.1:<port>`; absent without a web UI. */
  readonly uiAddress?: string;
  readonly namespace: string;
  /** Process number of the server; another one after a restart. */
  readonly pid: number;
  /** True while it runs for another process: `stop` then leaves it alone, `crash` and `restart` refuse. */
  readonly shared: boolean;
  /** Ends the server and returns when it is gone. Harmless when it is stopped. */
  stop(): Promise<void>;
  /** SIGKILL to the server. */
  crash(): Promise<void>;
  /** Stops it if it runs, and starts it on the same ports, with the workflows of `dbFilename` unless `keepDb` is false. */
  restart(options: { keepDb: boolean }): Promise<void>;
}

/**
 * Fairness is off by default, and exact only with one partition a queue, which is what one machine needs. Eager start of
 * activities saves a round trip for those that the worker has a slot for.
 */
const dynamicConfig: Record<string, string> = {
  'matching.enableFairness': 'true',
  'matching.numTaskqueueReadPartitions': '1',
  'matching.numTaskqueueWritePartitions': '1',
  'system.enableActivityEagerExecution': 'true',
};

const shutdown: Shutdown = [
  ['SIGTERM', 10_000],
  ['SIGKILL', 5_000],
];
const startMs = 60_000;

/**
 * Starts a Temporal dev server, keeps it running (see `hold`), and ends it with this process (see `stopOnExit`). A server
 * that outlived its killed owner is stopped first; one whose owner lives is shared, and must have the same namespace and
 * file. Throws `TemporalMissing` when there is no program, `ServerStartError` with the end of the log when it does not
 * come up.
 */
export async function startTemporal(options: TemporalOptions): Promise<EmbeddedTemporal> {
  const dir = resolve(options.dataDir);
  mkdirSync(dir, { recursive: true });
  const record = join(dir, 'server.json');
  const { namespace = 'default', dbFilename, onProgress, onLost } = options;
  const settings = JSON.stringify({ namespace, dbFilename });
  const program = await findTemporal(options);
  let ports: Ports | undefined;
  const open = async (): Promise<Opened> => {
    const found = findServer(record);
    if (found.state === 'shared') {
      assertShareable('Temporal', dir, found.record, { settings, port: ports?.port });
      ports = { ...found.record.ports, port: found.record.ports.port ?? 0 };
      return { server: found.record.server, shared: true };
    }
    if (found.state === 'leftover') await endProcess(found.record.server, shutdown);
    const last = { ...(options.usualPorts && { port: 7233, ui: 8233 }), ...lastPorts(record) };
    const wish = { port: ports?.port ?? options.port ?? 0, preferred: last.port };
    return onFreePort(wish, async (port) => {
      const ui = ports?.ui || options.uiPort || (await freePort(last.ui));
      const taken = { port, ...(options.ui && { ui }) };
      const server = await startServer(program, dir, namespace, taken, options);
      writeRecord(record, { server, ports: taken, settings });
      ports = taken;
      return { server, shared: false };
    });
  };
  const held = await hold({ name: 'Temporal', dir, waitMs: startMs, shutdown, open, onProgress, onLost });
  return {
    ...addresses(ports ?? { port: 0 }),
    namespace,
    get pid() {
      return held.pid;
    },
    get shared() {
      return held.shared;
    },
    stop: () => held.stop(),
    crash: () => held.crash(),
    restart: ({ keepDb }) =>
      held.restart(() => {
        if (keepDb || !dbFilename) return;
        for (const suffix of ['', '-wal', '-shm']) rmSync(join(dir, dbFilename + suffix), { force: true });
      }),
  };
}

interface Ports extends Record<string, number> {
  port: number;
}

async function startServer(program: string, dir: string, namespace: string, ports: Ports, options: TemporalOptions) {
  const flags = ['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(ports.port), '--namespace', namespace];
  flags.push('--log-level', options.log ?? 'error');
  flags.push(...(ports.ui === undefined ? ['--headless'] : ['--ui-port', String(ports.ui)]));
  if (options.dbFilename) flags.push('--db-filename', join(dir, options.dbFilename));
  for (const [key, value] of Object.entries(dynamicConfig)) flags.push('--dynamic-config-value', `${key}=${value}`);
  return launch({
    name: 'Temporal',
    program,
    args: flags,
    // A home of its own, so that no profile of the user's CLI changes what this server does.
    env: { HOME: dir, TMPDIR: tmpdir() },
    logFile: join(dir, 'server.log'),
    readyWithinMs: startMs,
    ready: () => serves(ports.port, namespace),
  });
}

/** Whether the server answers for the namespace. It opens its port a moment before it knows it. */
async function serves(port: number, namespace: string): Promise<boolean> {
  // gRPC waits a second after a refused connection, so look for the open port first.
  if (!(await listens(port))) return false;
  const connection = await Connection.connect({ address: `127.0.0.1:${port}`, connectTimeout: 5_000 });
  try {
    await connection.workflowService.describeNamespace({ namespace });
    return true;
  } catch (error) {
    if (/not found|unavailable/i.test((error as Error).message)) return false;
    throw error;
  } finally {
    await connection.close();
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const answer = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => answer(true));
    socket.once('error', () => answer(false));
  });
}

function addresses(ports: Record<string, number>): { address: string; uiAddress?: string } {
  const address = `127.0.0.1:${ports.port}`;
  return ports.ui === undefined ? { address } : { address, uiAddress: `http://127.0.0.1:${ports.ui}` };
}
