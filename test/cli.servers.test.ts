import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const { cli, environment, fresh, sandbox } = await openCli();
const checkout = join(import.meta.dirname, '..');

/** Where no server is named. */
const nowhere = {
  DATABASE_URL: undefined,
  TEMPORAL_ADDRESS: undefined,
  TEMPORAL_NAMESPACE: undefined,
  SYNCLINE_SECRET_KEY: undefined,
};

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

describe('servers', () => {
  test('none named and none running: one line with the next command, and none is started', async () => {
    const folder = scratch();
    for (const [line, server] of [
      ['status', 'Postgres'],
      ['schedule list', 'Postgres'],
      ['rejects', 'Postgres'],
    ] as const) {
      const said = await cli(line, { env: { ...nowhere, SYNCLINE_DATA_DIR: folder } });
      expect(said).toMatchObject({ code: 1, out: '' });
      expect(said.err).toMatch(
        new RegExp(
          `^syncline: No ${server} to talk to: DATABASE_URL is not set, and no process keeps one running in .+ npm start\n$`,
        ),
      );
    }
    const noTemporal = await cli('status', { env: { TEMPORAL_ADDRESS: undefined, SYNCLINE_DATA_DIR: folder } });
    expect(noTemporal.err).toContain('No Temporal to talk to: TEMPORAL_ADDRESS is not set');
  });

  test('named and not answering: says which', async () => {
    const database = await cli('rejects', { env: { DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:9/x' } });
    expect(database).toMatchObject({
      code: 1,
      err: 'syncline: Postgres does not answer (ECONNREFUSED). Is it running? DATABASE_URL names another one.\n',
    });
    const temporal = await cli('status', { env: { TEMPORAL_ADDRESS: '127.0.0.1:9' } });
    expect(temporal).toMatchObject({ code: 1, err: expect.stringContaining('Temporal at 127.0.0.1:9') });
    const settings = await cli('status', { env: { DATABASE_URL: 'mysql://me:hunter2@h/x' } });
    expect(settings).toMatchObject({
      code: 1,
      err: expect.stringContaining('DATABASE_URL: got a text of 22 characters'),
    });
    expect(database.err + settings.err).not.toContain('hunter2');
    const keyless = await cli(`connect ${fresh()} --platform scim --url http://h --no-credential --no-probe`, {
      env: { SYNCLINE_SECRET_KEY: undefined },
    });
    expect(keyless).toMatchObject({ code: 1, err: expect.stringContaining('SYNCLINE_SECRET_KEY is not set') });
  });

  test('the program runs from a checkout without a build', async () => {
    const child = spawn(join(checkout, 'workers/syncline.js'), ['status', '--debug'], {
      cwd: tmpdir(),
      env: { PATH: process.env.PATH, SYNCLINE_DATA_DIR: scratch() },
    });
    const [out, err] = [collect(child.stdout), collect(child.stderr)];
    const [code] = await once(child, 'close');
    expect([code, out()]).toEqual([1, '']);
    expect(err()).toMatch(/^syncline: No Postgres to talk to.+\nCommandError: No Postgres/);
  });
});

describe('npm start', () => {
  const ready = (program: ReturnType<typeof startProgram>) =>
    until('a ready worker', async () => {
      endedBadly(program.child, program.output);
      return /The worker runs[\s\S]*\n/.test(program.output()) && program.output();
    });
  const ended = async ({ child, output }: ReturnType<typeof startProgram>, signal: NodeJS.Signals) => {
    const closed = once(child, 'close');
    child.kill(signal);
    const [code] = await closed;
    if (signal === 'SIGTERM') expect(code, output()).toBe(0);
  };

  test('outlives a killed Postgres and Temporal, another worker beside it, and a killed worker', async () => {
    const folder = scratch();
    const env = {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      SYNCLINE_DATA_DIR: folder,
      SYNCLINE_HEALTH_PORT: '0',
      SYNCLINE_WORKFLOW_BUNDLE: inject('shared').bundle,
    };
    const metricsPort = await freePort();
    const own = { ...nowhere, SYNCLINE_TASK_QUEUE: undefined, SYNCLINE_DATA_DIR: folder };
    const serverOf = (name: string) => JSON.parse(readFileSync(join(folder, name, 'server.json'), 'utf8')).server.pid;
    const addresses = (said: string) => [/^Postgres {4}.*$/m.exec(said)?.[0], /^Temporal {4}.*$/m.exec(said)?.[0]];
    const healthy = async (said: string) => {
      const answer = await fetch(/Health +(http\S+)/.exec(said)?.[1] ?? '');
      return answer.status === 200;
    };
    const first = startProgram({ ...env, SYNCLINE_METRICS_PORT: String(metricsPort) });
    const firstSaid = await ready(first);
    const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    expect(metrics).toMatch(/^temporal_worker_task_slots_available\{.*task_queue="syncline".*\} \d+$/m);
    const source = await sandbox();
    expect(
      await cli(`connect acme --platform scim --url ${source.url} --credential-env ACME_TOKEN`, { env: own }),
    ).toMatchObject({ code: 0, err: '' });
    for (const name of ['postgres', 'temporal']) process.kill(serverOf(name), 'SIGKILL');
    await until('both servers again', async () =>
      ['Postgres', 'Temporal'].every((name) =>
        new RegExp(`${name}: process \\d+ has ended; started again`).test(first.output()),
      ),
    );
    await until('a healthy worker', () => healthy(firstSaid));
    // The server that came back learns of a poller when the worker asks again.
    await until('somebody who polls', async () => JSON.parse((await cli('status --json', { env: own })).out).polled);
    expect(await cli('start orgSync acme --wait', { env: own })).toMatchObject({ code: 0, err: '' });

    const second = startProgram(env);
    const secondSaid = await ready(second);
    expect(addresses(secondSaid)).toEqual(addresses(firstSaid));
    await ended(first, 'SIGTERM');
    await until('both servers taken over', async () =>
      ['Postgres', 'Temporal'].every((name) => second.output().includes(`${name}: process`)),
    );
    await until('somebody who polls', async () => JSON.parse((await cli('status --json', { env: own })).out).polled);
    expect(await cli('start orgSync acme --wait', { env: own })).toMatchObject({ code: 0, err: '' });

    await ended(second, 'SIGKILL');
    expect(await cli('status', { env: own })).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringContaining('60 users'),
    });
    const third = startProgram(env);
    expect(addresses(await ready(third))).toEqual(addresses(firstSaid));
    await ended(third, 'SIGTERM');
    expect((await cli('status', { env: own })).err).toContain('No Postgres to talk to');
  }, 240_000);

  test('brings its servers, serves health, is found by the command line, and stops everything on SIGTERM', async () => {
    const folder = scratch();
    const env = {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      SYNCLINE_DATA_DIR: folder,
      SYNCLINE_HEALTH_PORT: '0',
      SYNCLINE_WORKFLOW_BUNDLE: inject('shared').bundle,
    };
    const { child, output } = startProgram(env);
    const ready = await until(
      'a ready worker',
      async () => endedBadly(child, output) ?? (/The worker runs[\s\S]*\n/.test(output()) && output()),
    );
    const [, health] = /Health +(http\S+)/.exec(ready) ?? [];
    expect(await (await fetch(health!)).json()).toEqual({ healthy: true, worker: 'RUNNING', postgres: 'answers' });
    expect((await fetch(new URL('/else', health))).status).toBe(404);
    expect(ready).toMatch(
      /Postgres +postgres:\/\/postgres@127\.0\.0\.1:\d+\/postgres \(password in .+\)\nTask queue +syncline\n/,
    );
    expect(ready).toMatch(/Web UI +http/);

    const own = { ...nowhere, SYNCLINE_TASK_QUEUE: undefined, SYNCLINE_DATA_DIR: folder };
    const source = await sandbox();
    expect(
      await cli(`connect acme --platform scim --url ${source.url} --credential-env ACME_TOKEN`, { env: own }),
    ).toMatchObject({ code: 0, err: '' });
    const run = await cli('start orgSync acme --wait', { env: own });
    expect(run).toMatchObject({ code: 0, err: '' });
    expect(run.out).toMatch(/See http:\/\/127\.0\.0\.1:\d+\/namespaces\/default\/workflows\/orgSync-acme\//);

    child.kill('SIGTERM');
    const [code] = await once(child, 'close');
    expect(code, output()).toBe(0);
    expect(output()).toContain('The worker has stopped.');
    expect((await cli('status', { env: own })).err).toContain('No Postgres to talk to');
  }, 120_000);

  test.each([
    [
      'Temporal',
      { TEMPORAL_ADDRESS: '127.0.0.1:9' },
      'Temporal at 127.0.0.1:9 (namespace default) does not answer. Is it running?',
    ],
    [
      'Postgres',
      { DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:9/x' },
      'Postgres does not answer (ECONNREFUSED). Is it running?',
    ],
    ['the key', { SYNCLINE_SECRET_KEY: '' }, 'SYNCLINE_SECRET_KEY is not set'],
  ])('says in one line that %s is missing', async (_what, wrong, message) => {
    const { child, output, errors } = startProgram({
      ...environment,
      TEMPORAL_NAMESPACE: '',
      PATH: process.env.PATH,
      SYNCLINE_WORKFLOW_BUNDLE: inject('shared').bundle,
      ...wrong,
    });
    const [code] = await once(child, 'close');
    expect(code, output()).toBe(1);
    expect(errors()).toContain(`syncline: ${message}`);
    expect(errors().trimEnd().split('\n')).toHaveLength(1);
    expect(output()).not.toContain('hunter2');
  });
});

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-cli-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function startProgram(env: Record<string, string | undefined>) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'workers/start.ts'], { cwd: checkout, env });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [out, errors] = [collect(child.stdout), collect(child.stderr)];
  return { child, output: () => out() + errors(), errors };
}

function endedBadly(child: ChildProcess, output: () => string): undefined {
  if (child.exitCode !== null) throw new Error(`The program ended with ${child.exitCode}:\n${output()}`);
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  return () => text;
}
