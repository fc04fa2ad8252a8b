import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Connection } from '@temporalio/client';
import pg from 'pg';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Config, ConfigError, loadConfig, programFolders } from '../workers/config.ts';
import { freePort } from '../workers/embedded/launch.ts';
import { withLock } from '../workers/embedded/lock.ts';
import { isRoot } from '../workers/embedded/places.ts';
import { type EmbeddedPostgres, startPostgres } from '../workers/embedded/postgres.ts';
import { endProcess, identify, isRunning, type ProcessIdentity } from '../workers/embedded/process.ts';
import { openServers } from '../workers/embedded/servers.ts';
import { startTemporal } from '../workers/embedded/temporal.ts';
import { buildingLine, buildTemporal, findTemporal } from '../workers/embedded/temporal-program.ts';

vi.setConfig({ testTimeout: 90_000 });

const small = { shared_buffers: '32MB' };
const folders = programFolders();

function scratch(): string {
  const dir = mkdtempSync(join(tmpdir(), 'syncline-embedded-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function postgresIn(dataDir: string, durable = false): Promise<EmbeddedPostgres> {
  const postgres = await startPostgres({ dataDir, durable, settings: small });
  onTestFinished(() => postgres.stop());
  return postgres;
}

async function ask(postgres: { url: string }, sql: string): Promise<unknown[]> {
  const client = new pg.Client(postgres.url);
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query({ text: sql, rowMode: 'array' });
    return rows.flat();
  } finally {
    await client.end();
  }
}

function running(pid: number): ProcessIdentity {
  const identity = identify(pid);
  if (!identity) throw new Error(`process ${pid} does not run`);
  return identity;
}

/** A process that starts a server, tells its process number and then waits to be killed. */
async function parentOf(module: string, call: string): Promise<{ parent: ChildProcess; server: ProcessIdentity }> {
  const url = pathToFileURL(join(import.meta.dirname, '../workers/embedded', module)).href;
  const code = `import * as room from ${JSON.stringify(url)};
    const server = await room.${call};
    process.stdout.write(String(server.pid));
    setInterval(() => {}, 60_000);`;
  const parent = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    cwd: join(import.meta.dirname, '..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const [chunk] = (await once(parent.stdout, 'data')) as [Buffer];
  return { parent, server: running(Number(chunk.toString())) };
}

async function signalled(parent: ChildProcess, signal: NodeJS.Signals): Promise<NodeJS.Signals | null> {
  const ended = once(parent, 'exit');
  parent.kill(signal);
  const [, by] = (await ended) as [number | null, NodeJS.Signals | null];
  return by;
}

const postgresCall = (dataDir: string) =>
  `startPostgres(${JSON.stringify({ dataDir, durable: true, settings: small })})`;

describe('Postgres', () => {
  test('serves UTF8 in C.UTF-8 order on 127.0.0.1 only, and is gone after stop', async () => {
    const postgres = await postgresIn(scratch());
    const server = running(postgres.pid);
    const sql = `select datlocale, pg_encoding_to_char(encoding) from pg_database where datname = 'postgres'`;
    expect(await ask(postgres, sql)).toEqual(['C.UTF-8', 'UTF8']);
    expect(
      await ask(postgres, `select 'B' < 'a', current_setting('fsync'), current_setting('shared_buffers')`),
    ).toEqual([true, 'off', '32MB']);
    expect(
      await ask(postgres, `select name from pg_settings where name = 'listen_addresses' and setting = '127.0.0.1'`),
    ).toHaveLength(1);
    await postgres.stop();
    expect(isRunning(server)).toBe(false);
    await expect(ask(postgres, 'select 1')).rejects.toThrow(/ECONNREFUSED/);
  });

  test('asks for the password', async () => {
    const postgres = await postgresIn(scratch());
    const url = postgres.url.replace(/:[^:@]+@/, ':wrong@');
    await expect(ask({ url }, 'select 1')).rejects.toThrow(/password authentication failed/);
  });

  test('keeps committed rows and its port over a crash', async () => {
    const postgres = await postgresIn(scratch(), true);
    const { url, pid } = postgres;
    await ask(postgres, 'create table kept as select generate_series(1, 1000) as n');
    await postgres.crash();
    await expect(ask(postgres, 'select 1')).rejects.toThrow(/ECONNREFUSED/);
    await postgres.restart();
    expect(postgres.url).toBe(url);
    expect(postgres.pid).not.toBe(pid);
    expect(await ask(postgres, 'select count(*)::int from kept')).toEqual([1000]);
  });

  test('stops the server that outlived its killed parent, and serves again', async () => {
    const dataDir = scratch();
    const { parent, server } = await parentOf('postgres.ts', postgresCall(dataDir));
    await signalled(parent, 'SIGKILL');
    expect(isRunning(server)).toBe(true);
    const postgres = await postgresIn(dataDir, true);
    expect(isRunning(server)).toBe(false);
    expect(postgres.shared).toBe(false);
    expect(await ask(postgres, 'select 1')).toEqual([1]);
  });

  test('recovers when parent and server were killed together', async () => {
    const dataDir = scratch();
    const { parent, server } = await parentOf('postgres.ts', postgresCall(dataDir));
    await signalled(parent, 'SIGKILL');
    await endProcess(server, [['SIGKILL', 5_000]]);
    const postgres = await postgresIn(dataDir, true);
    expect(await ask(postgres, 'select 1')).toEqual([1]);
    expect(readFileSync(join(dataDir, 'server.log'), 'utf8')).toContain('not properly shut down');
  });

  test('writes no value of a failed statement into its log', async () => {
    const dataDir = scratch();
    const postgres = await postgresIn(dataDir, true);
    await expect(ask(postgres, `select 'ada@example.com'::int`)).rejects.toThrow('ada@example.com');
    await postgres.stop();
    const log = readFileSync(join(dataDir, 'server.log'), 'utf8');
    expect(log).toContain('shutting down');
    expect(log).not.toContain('ada@example.com');
  });

  test('shares the server of a living process, and leaves it running', async () => {
    const dataDir = scratch();
    const { parent, server } = await parentOf('postgres.ts', postgresCall(dataDir));
    const postgres = await postgresIn(dataDir, true);
    expect(postgres).toMatchObject({ shared: true, pid: server.pid });
    await postgres.stop();
    expect(await ask(postgres, 'select 1')).toEqual([1]);
    await expect(postgres.crash()).rejects.toThrow(/belongs to another process/);
    await expect(startPostgres({ dataDir, durable: false })).rejects.toThrow(/with other settings.*SYNCLINE_DATA_DIR/);
    expect(await signalled(parent, 'SIGTERM')).toBe('SIGTERM');
    await vi.waitFor(() => expect(isRunning(server)).toBe(false), 10_000);
  });

  test('is started again on its port when its server was killed', async () => {
    const said: string[] = [];
    const onProgress = (line: string) => void said.push(line);
    const postgres = await startPostgres({ dataDir: scratch(), durable: true, settings: small, onProgress });
    onTestFinished(() => postgres.stop());
    const { url, pid } = postgres;
    await ask(postgres, 'create table kept as select generate_series(1, 1000) as n');
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(said).toHaveLength(1), 60_000);
    expect(said).toEqual([`Postgres: process ${pid} has ended; started again on the same port`]);
    expect(postgres.pid).not.toBe(pid);
    expect(postgres.url).toBe(url);
    expect(await ask({ url }, 'select count(*)::int from kept')).toEqual([1000]);
    const server = running(postgres.pid);
    await postgres.stop();
    expect(isRunning(server)).toBe(false);
  });

  test('says in one line why a killed server cannot be started again', async () => {
    const dataDir = scratch();
    const lost: Error[] = [];
    const onLost = (reason: Error) => void lost.push(reason);
    const postgres = await startPostgres({ dataDir, durable: true, settings: small, onLost });
    onTestFinished(() => postgres.stop());
    writeFileSync(join(dataDir, 'data', 'postgresql.conf'), 'nonsense\n');
    process.kill(postgres.pid, 'SIGKILL');
    await vi.waitFor(() => expect(lost).toHaveLength(1), 60_000);
    expect(lost[0]?.message).toMatch(
      /^Postgres in \S+ has ended and could not be started again: Postgres ended while starting \(exit 1\)\. Its log \(\S+server\.log\) says why\. Repair that, then start the worker again: it goes on where it was$/,
    );
  });

  test('has its port again at the next start, when that is free', async () => {
    const dataDir = scratch();
    const first = await postgresIn(dataDir);
    const { url } = first;
    await first.stop();
    const second = await postgresIn(dataDir);
    expect(second.url).toBe(url);
  });

  test('a handle ends only the server that it began', async () => {
    const dataDir = scratch();
    const [first, record] = [await postgresIn(dataDir), join(dataDir, 'server.json')];
    await first.crash();
    const second = await postgresIn(dataDir);
    const written = readFileSync(record, 'utf8');
    await first.stop();
    expect(readFileSync(record, 'utf8')).toBe(written);
    expect(await ask(second, 'select 1')).toEqual([1]);
  });

  test('goes over to who shares it when its owner ends', async () => {
    const dataDir = scratch();
    const { parent, server } = await parentOf('postgres.ts', postgresCall(dataDir));
    const postgres = await postgresIn(dataDir, true);
    const { url } = postgres;
    expect(postgres.shared).toBe(true);
    await signalled(parent, 'SIGTERM');
    await vi.waitFor(() => expect(postgres).toMatchObject({ shared: false, url }), 60_000);
    expect(postgres.pid).not.toBe(server.pid);
    expect(await ask(postgres, 'select 1')).toEqual([1]);
  });

  test('never signals a foreign process that has the number of a dead server', async () => {
    const dataDir = scratch();
    const first = await postgresIn(dataDir);
    const data = join(dataDir, 'data');
    const pidFile = readFileSync(join(data, 'postmaster.pid'), 'utf8');
    const record = JSON.parse(readFileSync(join(dataDir, 'server.json'), 'utf8'));
    await first.stop();
    // Of the same user as the server: only then Postgres itself would take it for a living server.
    const owner = statSync(data);
    const as = isRoot ? { uid: owner.uid, gid: owner.gid } : {};
    const foreign = spawn('sleep', ['600'], { ...as, cwd: '/', stdio: 'ignore' });
    onTestFinished(() => void foreign.kill('SIGKILL'));
    const identity = running(foreign.pid ?? 0);
    writeFileSync(join(data, 'postmaster.pid'), pidFile.replace(/^\d+/, String(foreign.pid)));
    writeFileSync(
      join(dataDir, 'server.json'),
      JSON.stringify({ ...record, server: { ...record.server, pid: foreign.pid } }),
    );
    const second = await postgresIn(dataDir);
    expect(await ask(second, 'select 1')).toEqual([1]);
    expect(isRunning(identity)).toBe(true);
    expect(foreign.signalCode).toBeNull();
  });

  test('tells what the server says when it does not start', async () => {
    const start = startPostgres({ dataDir: scratch(), durable: false, settings: { shared_buffers: 'plenty' } });
    await expect(start).rejects.toThrow(
      /ended while starting[\s\S]*invalid value for parameter "shared_buffers": "plenty"/,
    );
  });

  test('takes the wanted port or none', async () => {
    const first = await postgresIn(scratch());
    const port = Number(new URL(first.url).port);
    const second = startPostgres({ dataDir: scratch(), durable: false, port });
    await expect(second).rejects.toThrow(/Address already in use/);
  });
});

describe('Temporal', () => {
  test('serves its namespace with a web UI, also after a restart on the same ports', async () => {
    const temporal = await startTemporal({
      dataDir: scratch(),
      folders,
      ui: true,
      namespace: 'tried',
      dbFilename: 'db',
    });
    onTestFinished(() => temporal.stop());
    const { address, pid } = temporal;
    expect((await fetch(`${temporal.uiAddress}/`)).status).toBe(200);
    await temporal.crash();
    await temporal.restart({ keepDb: true });
    expect(temporal.pid).not.toBe(pid);
    const connection = await Connection.connect({ address });
    onTestFinished(() => connection.close());
    const { namespaceInfo } = await connection.workflowService.describeNamespace({ namespace: 'tried' });
    expect(namespaceInfo?.name).toBe('tried');
    const server = running(temporal.pid);
    await temporal.stop();
    expect(isRunning(server)).toBe(false);
  });

  test('stops the server that outlived its killed parent', async () => {
    const options = { dataDir: scratch(), folders, ui: false };
    const { parent, server } = await parentOf('temporal.ts', `startTemporal(${JSON.stringify(options)})`);
    await signalled(parent, 'SIGKILL');
    expect(isRunning(server)).toBe(true);
    const temporal = await startTemporal(options);
    onTestFinished(() => temporal.stop());
    expect(isRunning(server)).toBe(false);
    expect(temporal.pid).not.toBe(server.pid);
  });

  test('is started again on its port, with its workflows, when its server was killed', async () => {
    const said: string[] = [];
    const temporal = await startTemporal({
      dataDir: scratch(),
      folders,
      ui: false,
      dbFilename: 'db',
      namespace: 'tried',
      onProgress: (line) => said.push(line),
    });
    onTestFinished(() => temporal.stop());
    const { address, pid } = temporal;
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(temporal.pid).not.toBe(pid), 60_000);
    expect(said).toEqual([`Temporal: process ${pid} has ended; started again on the same port`]);
    const connection = await Connection.connect({ address });
    onTestFinished(() => connection.close());
    const { namespaceInfo } = await connection.workflowService.describeNamespace({ namespace: 'tried' });
    expect(namespaceInfo?.name).toBe('tried');
  });

  test('says what to do when there is no program', async () => {
    const search = findTemporal({ folders: [], cacheDir: scratch(), mayInstall: false });
    await expect(search).rejects.toThrow(
      /"temporal" in no folder \(PATH is empty\)[\s\S]*go install github.com\/temporalio\/cli\/cmd\/temporal@v[\s\S]*TEMPORAL_ADDRESS/,
    );
  });
});

describe('the program of Temporal', () => {
  const goThat = (does: string) => {
    const folder = scratch();
    const go = join(folder, 'go');
    writeFileSync(go, `#!/bin/sh\n${does}\n`, { mode: 0o755 });
    return { folder, go };
  };

  test('is built for an hour at most; what was built stays', async () => {
    const { go } = goThat('sleep 600');
    const lines: string[] = [];
    expect(await buildTemporal(go, (line) => lines.push(line), 300)).toMatch(
      /go install github\.com\/temporalio\/cli\/cmd\/temporal@v\S+": not done after 0 s; Go keeps what it built: run it again, it goes on$/,
    );
    expect(lines).toEqual([buildingLine(0)]);
    expect(buildingLine(10)).toContain('about three minutes');
    expect(buildingLine(200)).toContain('longer than the usual');
    const broken = goThat('echo no such module >&2; exit 1');
    expect(await buildTemporal(broken.go, () => undefined)).toMatch(/": no such module$/);
  });

  test('was looked for in folders that are named once, npm left out', async () => {
    const { folder } = goThat('echo /none/bin; echo /home/me/go');
    const inside = join(scratch(), 'node_modules', '.bin');
    const search = findTemporal({
      folders: [inside, folder, '/home/me/go/bin'],
      cacheDir: scratch(),
      mayInstall: false,
    });
    await expect(search).rejects.toThrow(`"temporal" in ${folder}, /home/me/go/bin, /none/bin\n`);
  });
});

test("a port of the system's choice goes to one server only, however long that takes to listen there", async () => {
  const given = new Set<number>();
  for (let i = 0; i < 1_000; i++) given.add(await freePort());
  expect(given.size).toBe(1_000);
});

describe('both servers', () => {
  test('start at once, and stop together', async () => {
    const lines: string[] = [];
    const config = { ...loadConfig({}), programFolders: folders };
    const options = { dataDir: scratch(), durable: false, onProgress: (line: string) => lines.push(line) };
    const servers = await openServers(config, options);
    onTestFinished(() => servers.stop());
    expect(lines.sort()).toEqual([
      expect.stringMatching(/^Postgres: 127\.0\.0\.1:\d+, started/),
      expect.stringMatching(/^Temporal: 127\.0\.0\.1:\d+, started/),
    ]);
    const connection = await Connection.connect(servers.temporal.connectionOptions);
    await connection.close();
    expect(await ask({ url: servers.databaseUrl }, 'select 1')).toEqual([1]);
    const [postgres, temporal] = [running(servers.embedded.postgres!.pid), running(servers.embedded.temporal!.pid)];
    await servers.stop();
    expect([isRunning(postgres), isRunning(temporal)]).toEqual([false, false]);
  });

  test('a server that is named is used as it is, and nothing is started', async () => {
    const config = loadConfig({
      DATABASE_URL: 'postgres://me@db.example:5432/ours',
      TEMPORAL_ADDRESS: 'temporal.example:7233',
    });
    const servers = await openServers(config, { dataDir: scratch() });
    expect(servers).toMatchObject({
      databaseUrl: 'postgres://me@db.example:5432/ours',
      temporal: { address: 'temporal.example:7233', namespace: 'default' },
      embedded: { postgres: undefined, temporal: undefined },
    });
  });

  test('one that does not come up stops the other', async () => {
    const dataDir = scratch();
    writeFileSync(join(dataDir, 'temporal'), 'a file where a folder should be');
    const config: Config = { ...loadConfig({}), programFolders: folders };
    await expect(openServers(config, { dataDir, durable: false })).rejects.toThrow(/EEXIST/);
    const next = await postgresIn(join(dataDir, 'postgres'));
    expect(next.shared).toBe(false);
  });
});

test('one holder of a lock at a time', async () => {
  const path = join(scratch(), 'lock');
  let inside = 0;
  let most = 0;
  const enter = () =>
    withLock(path, { waitMs: 30_000 }, async () => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
    });
  await Promise.all([enter(), enter(), enter()]);
  expect([most, inside]).toEqual([1, 0]);
});

test('a lock whose holder is dead is taken over, one that is held is waited for in vain', async () => {
  const path = join(scratch(), 'lock');
  writeFileSync(path, JSON.stringify({ pid: process.pid, started: 'before', command: 'gone' }));
  const outcome = await withLock(path, { waitMs: 0 }, async () =>
    withLock(path, { waitMs: 0 }, async () => 'both').catch((error: Error) => error.message),
  );
  expect(outcome).toContain(`has been held by process ${process.pid}`);
});

describe('configuration', () => {
  test('has defaults for everything, and names no Temporal server', () => {
    const config = loadConfig({ TEMPORAL_ADDRESS: '', TEMPORAL_API_KEY: '', SYNCLINE_POOL_SIZE: '' });
    expect(config.temporal).toBeUndefined();
    expect(config).toMatchObject({
      namespace: 'default',
      taskQueue: 'syncline',
      poolSize: 20,
      activitySlots: 16,
      apiHost: '127.0.0.1',
      liveSlots: 20,
      logLevel: 'INFO',
    });
  });

  test('takes the key as base64 and as hex', () => {
    const key = Buffer.from(Array.from({ length: 32 }, (_, index) => index * 7));
    for (const form of ['base64', 'hex'] as const) {
      expect(loadConfig({ SYNCLINE_SECRET_KEY: key.toString(form) }).secretKey).toEqual(key);
    }
  });

  test('tells all problems at once, with value and accepted values, and no secret', () => {
    const load = () =>
      loadConfig({
        DATABASE_URL: 'mysql://admin:hunter2@db.example/ours',
        SYNCLINE_SECRET_KEY: 'hunter2hunter2',
        SYNCLINE_POOL_SIZE: '3',
        SYNCLINE_ACTIVITY_SLOTS: '19',
        TEMPORAL_API_KEY: 'hunter2',
      });
    expect(load).toThrow(ConfigError);
    expect(load).toThrow(/SYNCLINE_POOL_SIZE: got "3"; accepted: a whole number from 4 to 200; default: 20/);
    expect(load).toThrow(/SYNCLINE_ACTIVITY_SLOTS: got "19"; accepted: a whole number from 1 to 18/);
    expect(load).toThrow(
      /DATABASE_URL: got a text of 37 characters that begins with mysql:\/\/; accepted: postgres:\/\//,
    );
    expect(load).toThrow(/SYNCLINE_SECRET_KEY: got a text of 14 characters/);
    expect(load).toThrow(/TEMPORAL_ADDRESS: got nothing, though an API key is set/);
    expect(load).not.toThrow(/hunter2/);
  });

  test('a profile that is not there is an error, and the file is never quoted', () => {
    const file = join(scratch(), 'temporal.toml');
    writeFileSync(file, '[profile.default]\napi_key = "hunter2\n');
    const load = (env: Record<string, string>) => () => loadConfig({ TEMPORAL_CONFIG_FILE: file, ...env });
    expect(load({})).toThrow(/TEMPORAL_\*: Invalid TOML document/);
    expect(load({})).not.toThrow(/hunter2/);
    writeFileSync(file, '[profile.default]\naddress = "temporal.example:7233"\n');
    expect(load({})().temporal).toMatchObject({ address: 'temporal.example:7233' });
    expect(load({ TEMPORAL_PROFILE: 'other' })).toThrow(/Profile 'other' not found/);
  });
});
