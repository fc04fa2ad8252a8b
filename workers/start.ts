import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { listConnections } from '../db/connections.ts';
import { migrate } from '../db/migrate.ts';
import type { Api } from './api.ts';
import { plainMessage } from './cli/trouble.ts';
import { type Config, loadConfig } from './config.ts';
import { checkoutFolder } from './embedded/places.ts';
import { openServers, type Servers } from './embedded/servers.ts';
import { type Health, serveHealth } from './health.ts';
import { nextCommand } from './pipelines.ts';
import { secretKeyOf } from './secret.ts';
import { createWorker, installRuntime, type WorkerParts } from './worker.ts';

/** True for the sources under tsx, false for what `npm run build` made. */
const fromSource = import.meta.url.endsWith('.ts');
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const print = (line: string) => void process.stdout.write(`${line}\n`);

/**
 * A worker, with the servers it needs. SIGTERM and SIGINT drain it: running steps commit and report first, then
 * everything that was started here stops.
 */
async function main(): Promise<void> {
  const config = loadConfig();
  // Before anything is started: the reason may be a missing key.
  const key = secretKeyOf(config);
  const servers = await openServers(config, { ui: true, onProgress: print, onLost: fail });
  try {
    await migrate(servers.databaseUrl);
    // After the servers: of the listeners to a signal theirs must be the first to see that the runtime's is there too.
    // The runtime's leaves when it is called, and servers without another listener stop before the worker has drained.
    const { metricsPort: port, apiHost: host } = config;
    installRuntime(config.logLevel, port === undefined ? undefined : { host, port });
    const parts = await createWorker(config, servers, key, await bundle(config));
    try {
      await serve(config, servers, parts);
    } finally {
      await parts.close();
    }
  } finally {
    await servers.stop();
  }
}

async function serve(config: Config, servers: Servers, parts: WorkerParts): Promise<void> {
  let health: Health | undefined;
  let api: Api | undefined;
  const running = parts.worker.run();
  try {
    health = config.healthPort === undefined ? undefined : await serveHealth(config.healthPort, parts);
    // Loaded where it is served: a worker without it does not pay for its memory.
    if (config.apiPort !== undefined)
      api = await (await import('./api.ts')).serveApi(config.apiPort, { ...parts, config });
    for (const line of await describe(config, servers, parts, { health, api })) print(line);
  } catch (error) {
    parts.worker.shutdown();
    await running;
    throw error;
  }
  await running;
  await api?.close();
  await health?.close();
  print('The worker has stopped.');
}

async function describe(
  config: Config,
  servers: Servers,
  { pool }: WorkerParts,
  { health, api }: { health?: Health; api?: Api },
): Promise<string[]> {
  const { address, namespace } = servers.temporal;
  const database = new URL(servers.databaseUrl);
  database.password = '';
  const password = servers.embedded.postgres
    ? ` (password in ${join(servers.embedded.postgres.dataDir, 'password')})`
    : '';
  const next = nextCommand(await listConnections(pool));
  return [
    '',
    `Temporal    ${address}, namespace ${namespace}`,
    ...(servers.uiAddress ? [`Web UI      ${servers.uiAddress}`] : []),
    `Postgres    ${database.href}${password}`,
    `Task queue  ${config.taskQueue}`,
    ...(api ? [`API         http://${config.apiHost}:${api.port}/openapi.json`] : []),
    ...(health ? [`Health      http://127.0.0.1:${health.port}/healthz`] : []),
    '',
    'The worker runs; Ctrl-C stops it.',
    next,
  ];
}

/**
 * File with the workflow code. A built copy brings its own; for the sources it is made once for each state they are in,
 * in a process of its own, since bundling leaves 75 MB in the memory of the one that does it.
 */
async function bundle(config: Config): Promise<string> {
  if (config.workflowBundle) return config.workflowBundle;
  const built = here('../workflows.bundle.js');
  if (!fromSource && existsSync(built)) return built;
  mkdirSync(config.dataDir, { recursive: true });
  const name = `workflows-${digestOf([here('../workflows'), join(checkoutFolder(), 'package.json')])}.bundle.js`;
  const file = join(config.dataDir, name);
  if (existsSync(file)) return file;
  const draft = `${file}.${process.pid}`;
  const program = here(fromSource ? './bundle.ts' : './bundle.js');
  await promisify(execFile)(process.execPath, [...process.execArgv, program, draft]);
  renameSync(draft, file);
  for (const other of readdirSync(config.dataDir))
    if (/^workflows-.*\.bundle\.js$/.test(other) && other !== name) rmSync(join(config.dataDir, other));
  return file;
}

function digestOf(paths: string[]): string {
  const hash = createHash('sha256');
  for (const path of paths.flatMap(filesBelow)) hash.update(path).update(readFileSync(path));
  return hash.digest('hex').slice(0, 16);
}

function filesBelow(path: string): string[] {
  if (!existsSync(path)) return [];
  if (/\.(ts|js|json)$/.test(path)) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Not just an exit code: the native side of a worker without servers, or that could not be made, keeps the process alive. */
function fail(error: unknown): never {
  process.stderr.write(`syncline: ${plainMessage(error)}\n`);
  process.exit(1);
}

await main().catch(fail);
