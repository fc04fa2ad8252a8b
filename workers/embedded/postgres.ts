import { resolve } from 'node:path';
import pg from 'pg';
import { type Cluster, openCluster, readPidFile } from './cluster.ts';
import { hold, type Opened, type Shutdown, type Watch } from './hold.ts';
import { launch, onFreePort, ServerStartError } from './launch.ts';
import type { ProcessIdentity } from './process.ts';
import { assertShareable, findServer, lastPorts, writeRecord } from './record.ts';

export interface PostgresOptions extends Watch {
  /**
   * Folder for the cluster, its log and its password; made when missing. As root the folders above it must let other
   * users pass (`o+x`), since the server runs as the user `postgres`; the folder itself is opened for it.
   */
  dataDir: string;
  /** TCP port on 127.0.0.1. Default 0: the one it had last when that is free, else any. */
  port?: number;
  /**
   * True survives a power failure. False is for tests: no fsync, and a commit returns up to about 0.6 s before it is
   * written, so that `crash()` may lose the last commits (the data stays consistent).
   */
  durable: boolean;
  /** Server settings over the defaults below, such as `{ max_connections: '50' }`. */
  settings?: Record<string, string>;
  /** Password of the user `postgres`. Default: a random one, made with the cluster and kept in `<dataDir>/password`. */
  superuserPassword?: string;
}

/** A Postgres server that belongs to this process, or that it shares with the one that started it. */
export interface EmbeddedPostgres {
  /** `postgres://postgres:<password>@127.0.0.1:<port>/postgres`; the same after a restart. */
  readonly url: string;
  /** Process number of the postmaster; another one after a restart. */
  readonly pid: number;
  readonly dataDir: string;
  /** True while it runs for another process: `stop` then leaves it alone, `crash` and `restart` refuse. */
  readonly shared: boolean;
  /** Ends all sessions, writes a checkpoint and returns when the server is gone. Harmless when it is stopped. */
  stop(): Promise<void>;
  /** SIGKILL to the server, as a failing machine would. `restart` recovers from it. */
  crash(): Promise<void>;
  /** Stops it if it runs, and starts it on the same port and data. */
  restart(): Promise<void>;
}

/** For a laptop: enough for a few dozen workers' connections, and few checkpoints while a million rows land. */
const defaultSettings: Record<string, string> = {
  shared_buffers: '512MB',
  max_wal_size: '4GB',
  max_connections: '200',
  checkpoint_timeout: '15min',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // Errors quote the value they met ("invalid input syntax for type integer"): a person's data in a file. Who asked gets them.
  log_min_messages: 'log',
};
const undurable = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };
/** The server is reached over TCP on this machine only; a socket folder would need another place that both users may enter. */
const fixedSettings = { listen_addresses: '127.0.0.1', unix_socket_directories: '' };

/** Fast shutdown first, immediate shutdown when sessions do not end, SIGKILL last. */
const shutdown: Shutdown = [
  ['SIGINT', 30_000],
  ['SIGQUIT', 5_000],
  ['SIGKILL', 5_000],
];
const recoveryMs = 120_000;

/**
 * Starts Postgres 18 in `dataDir`, makes the cluster first when there is none, keeps it running (see `hold`), and ends
 * with this process (see `stopOnExit`). A server that outlived its killed owner is stopped and started anew; one whose
 * owner lives is shared, and must have been started with the same `durable` and `settings`. Throws `ServerStartError`
 * with the end of the log.
 */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const cluster = await openCluster(resolve(options.dataDir), options);
  const settings = { ...defaultSettings, ...(options.durable ? {} : undurable), ...options.settings, ...fixedSettings };
  const key = JSON.stringify(settings);
  let password = '';
  let port: number | undefined;
  const open = async (): Promise<Opened> => {
    const found = findServer(cluster.recordFile);
    if (found.state === 'shared') {
      assertShareable('Postgres', cluster.dir, found.record, { settings: key, port });
      port = found.record.ports.port ?? 0;
      password = await cluster.password();
      return { server: found.record.server, shared: true };
    }
    await cluster.clearLeftover(shutdown);
    await cluster.initialise(!options.durable);
    password = await cluster.password();
    const wish = { port: port ?? options.port ?? 0, preferred: lastPorts(cluster.recordFile).port };
    return onFreePort(wish, async (free) => {
      const server = await startServer(cluster, free, settings, key, password);
      port = free;
      return { server, shared: false };
    });
  };
  const { onProgress, onLost } = options;
  const held = await hold({
    name: 'Postgres',
    dir: cluster.dir,
    waitMs: recoveryMs,
    shutdown,
    open,
    onProgress,
    onLost,
  });
  const url = urlOf(password, port ?? 0);
  return {
    url,
    dataDir: cluster.dir,
    get pid() {
      return held.pid;
    },
    get shared() {
      return held.shared;
    },
    stop: () => held.stop(),
    crash: () => held.crash(),
    restart: () => held.restart(),
  };
}

async function startServer(
  cluster: Cluster,
  port: number,
  settings: Record<string, string>,
  key: string,
  password: string,
): Promise<ProcessIdentity> {
  const flags = Object.entries({ ...settings, port: String(port) }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  const plan = {
    name: 'Postgres',
    program: cluster.program.postgres,
    args: ['-D', cluster.data, ...flags],
    env: cluster.env,
    user: cluster.program.user,
    logFile: `${cluster.dir}/server.log`,
    readyWithinMs: recoveryMs,
    ready: async (pid: number) => {
      const file = readPidFile(cluster.data);
      if (file?.pid !== pid || file.status !== 'ready') return false;
      await ask(urlOf(password, port));
      return true;
    },
  };
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      const server = await launch(plan);
      writeRecord(cluster.recordFile, { server, ports: { port }, settings: key });
      return server;
    } catch (error) {
      // The sessions of a killed server need a moment to notice, and keep its shared memory until then.
      const sessionsLinger = error instanceof ServerStartError && /shared memory block/.test(error.logTail);
      if (!sessionsLinger || Date.now() > deadline) throw error;
    }
  }
}

async function ask(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  // A broken connection rejects the query below; without a listener it would end the process as well.
  client.on('error', () => undefined);
  await client.connect();
  await client.query('select 1');
  await client.end();
}

function urlOf(password: string, port: number): string {
  return `postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`;
}
