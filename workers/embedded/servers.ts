import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Config } from '../config.ts';
import { isRoot } from './places.ts';
import { type EmbeddedPostgres, startPostgres } from './postgres.ts';
import { findServer } from './record.ts';
import { type EmbeddedTemporal, startTemporal } from './temporal.ts';

export interface ServersOptions {
  /** Serve Temporal's web UI, on the usual ports 7233 and 8233 when they are free. Default false, on free ports. */
  ui?: boolean;
  /** False for tests: nothing is flushed to disk and workflows live in memory. Default true. */
  durable?: boolean;
  /** Folder for both servers' data instead of the configuration's. */
  dataDir?: string;
  /** Receives one line for each server when it is there, and more while something is downloaded, built or started again. */
  onProgress?: (line: string) => void;
  /** Receives the reason when a server has died and cannot be started again. Default: thrown, which ends the process. */
  onLost?: (reason: Error) => void;
}

/** The two servers that everything else needs, wherever they run. */
export interface Servers {
  databaseUrl: string;
  temporal: {
    /** `host:port`. */
    address: string;
    namespace: string;
    /** For `Connection.connect` and `NativeConnection.connect`. */
    connectionOptions: NonNullable<Config['temporal']> & { address: string };
  };
  /** Temporal's web UI, when it was started here. */
  uiAddress?: string;
  /** What was started here. */
  embedded: { postgres?: EmbeddedPostgres; temporal?: EmbeddedTemporal };
  /** Stops what was started here; servers named by the configuration run on. */
  stop(): Promise<void>;
}

/**
 * Uses the servers that the configuration names, and starts those that it does not, both at once. When one does not come
 * up the other is stopped again, and the first error is thrown.
 */
export async function openServers(config: Config, options: ServersOptions = {}): Promise<Servers> {
  const [postgres, temporal] = await Promise.allSettled([openPostgres(config, options), openTemporal(config, options)]);
  const started = [postgres, temporal].flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const stop = async () => {
    await Promise.all(started.map((server) => server?.stop()));
  };
  for (const result of [temporal, postgres]) {
    if (result.status === 'fulfilled') continue;
    await stop();
    throw result.reason;
  }
  const embedded = { postgres: value(postgres), temporal: value(temporal) };
  const address = embedded.temporal?.address ?? config.temporal?.address ?? 'localhost:7233';
  const databaseUrl = embedded.postgres?.url ?? config.databaseUrl;
  if (databaseUrl === undefined) throw new Error('Neither DATABASE_URL nor a started Postgres gave an address');
  return {
    databaseUrl,
    temporal: { address, namespace: config.namespace, connectionOptions: { ...config.temporal, address } },
    uiAddress: embedded.temporal?.uiAddress,
    embedded,
    stop,
  };
}

/**
 * Postgres without starting one: the server that the configuration names, else the one that was started in this data
 * folder and runs, even when the worker that started it was killed. Undefined when there is neither.
 */
export function findDatabaseUrl(config: Config): string | undefined {
  if (config.databaseUrl) return config.databaseUrl;
  const dir = join(resolve(config.dataDir), 'postgres');
  const found = findServer(join(dir, 'server.json'));
  if (found.state === 'none') return undefined;
  const url = new URL(`postgres://postgres@127.0.0.1:${found.record.ports.port}/postgres`);
  url.password = readFileSync(join(dir, 'password'), 'utf8').trim();
  return url.href;
}

/** Temporal without starting one, found as `findDatabaseUrl` does; with the address of its web UI where that is known. */
export function findTemporalServer(config: Config): Pick<Servers, 'temporal' | 'uiAddress'> | undefined {
  const { namespace } = config;
  if (config.temporal) {
    const address = config.temporal.address ?? 'localhost:7233';
    return { temporal: { address, namespace, connectionOptions: { ...config.temporal, address } } };
  }
  const found = findServer(join(resolve(config.dataDir), 'temporal', 'server.json'));
  if (found.state === 'none') return undefined;
  const { port, ui } = found.record.ports;
  const address = `127.0.0.1:${port}`;
  return {
    temporal: { address, namespace, connectionOptions: { address } },
    ...(ui !== undefined && { uiAddress: `http://127.0.0.1:${ui}` }),
  };
}

function value<T>(result: PromiseSettledResult<T>): T | undefined {
  return result.status === 'fulfilled' ? result.value : undefined;
}

async function openPostgres(config: Config, options: ServersOptions): Promise<EmbeddedPostgres | undefined> {
  const tell = options.onProgress ?? (() => undefined);
  if (config.databaseUrl) {
    tell(`Postgres: ${new URL(config.databaseUrl).host}, named by DATABASE_URL`);
    return undefined;
  }
  const dataDir = join(openFolder(config, options), 'postgres');
  const postgres = await startPostgres({
    dataDir,
    durable: options.durable ?? true,
    onProgress: tell,
    onLost: options.onLost,
  });
  tell(
    `Postgres: ${new URL(postgres.url).host}, ${postgres.shared ? 'shared with a running process' : 'started'}, data in ${dataDir}`,
  );
  return postgres;
}

async function openTemporal(config: Config, options: ServersOptions): Promise<EmbeddedTemporal | undefined> {
  const tell = options.onProgress ?? (() => undefined);
  if (config.temporal) {
    tell(`Temporal: ${config.temporal.address ?? 'localhost:7233'}, named by the environment`);
    return undefined;
  }
  const ui = options.ui ?? false;
  const temporal = await startTemporal({
    dataDir: join(openFolder(config, options), 'temporal'),
    folders: config.programFolders,
    namespace: config.namespace,
    dbFilename: (options.durable ?? true) ? 'temporal.db' : undefined,
    ui,
    usualPorts: ui,
    onProgress: tell,
    onLost: options.onLost,
  });
  const page = temporal.uiAddress ? `, web UI at ${temporal.uiAddress}` : '';
  tell(`Temporal: ${temporal.address}, ${temporal.shared ? 'shared with a running process' : 'started'}${page}`);
  return temporal;
}

function openFolder(config: Config, options: ServersOptions): string {
  const folder = resolve(options.dataDir ?? config.dataDir);
  mkdirSync(folder, { recursive: true });
  // A folder of mkdtemp is closed to others, and Postgres runs as another user then.
  if (isRoot) chmodSync(folder, 0o711);
  return folder;
}
