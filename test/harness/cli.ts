import { randomBytes } from 'node:crypto';
import { expect, onTestFinished } from 'vitest';
import { kuaishou } from '../../sandbox/kuaishou.ts';
import { type PlatformSandbox, type PlatformSandboxOptions, startPlatformSandbox } from '../../sandbox/platform.ts';
import { type ScimSandbox, type ScimSandboxOptions, startScimSandbox } from '../../sandbox/scim.ts';
import { runCli } from '../../workers/cli.ts';
import { openWorld, type WorldOptions } from './world.ts';

export interface Said {
  code: number;
  out: string;
  err: string;
}

export interface Person {
  env?: Record<string, string | undefined>;
  /** What is typed, in order; given, somebody sits at the terminal. */
  types?: string[];
  /** Given, somebody sits at the terminal: gets the lines of each picture that is redrawn. */
  sees?: string[];
}

/** Temporal is shared by all test files and ids come from names: each is used once. */
export const fresh = () => `cli-${randomBytes(4).toString('hex')}`;

/** A world with a terminal in it, and what tests of commands begin with. */
export async function openCli(options: WorldOptions = {}) {
  const world = await openWorld(options);
  const token = `tok-${randomBytes(9).toString('hex')}`;
  const environment: Record<string, string> = {
    DATABASE_URL: world.servers.databaseUrl,
    TEMPORAL_ADDRESS: world.servers.temporal.address,
    TEMPORAL_NAMESPACE: world.servers.temporal.namespace,
    SYNCLINE_SECRET_KEY: world.key.toString('base64'),
    SYNCLINE_TASK_QUEUE: world.config.taskQueue,
    ACME_TOKEN: token,
  };

  /** Runs one command line as a terminal would, without a process of its own. */
  async function cli(line: string | string[], { env = {}, types, sees }: Person = {}): Promise<Said> {
    const said = { out: '', err: '' };
    const typed = [...(types ?? [])];
    const answer = async (question: string) => {
      said.out += `${question}\n`;
      return typed.shift() ?? expect.fail(`nobody expected to be asked: ${question}`);
    };
    const code = await runCli(typeof line === 'string' ? line.split(' ') : line, {
      print: (text) => {
        said.out += `${text}\n`;
      },
      warn: (text) => {
        said.err += `${text}\n`;
      },
      interactive: types !== undefined || sees !== undefined,
      redraw: (lines) => void sees?.push(...lines),
      ask: answer,
      askSecret: answer,
      env: { ...environment, ...env },
    });
    expect(said.out + said.err, 'the credential was shown').not.toContain(token);
    return { code, ...said };
  }

  async function sandbox(options: Partial<ScimSandboxOptions> = {}): Promise<ScimSandbox> {
    const source = await startScimSandbox({ users: 60, groups: 6, token, ...options });
    onTestFinished(() => source.stop());
    return source;
  }

  /** A connection made by `connect`. */
  async function connected(source: ScimSandbox, ...more: string[]): Promise<string> {
    const name = fresh();
    const line = ['connect', name, '--platform', 'scim', '--url', source.url, '--credential-env', 'ACME_TOKEN'];
    const said = await cli([...line, ...more]);
    expect(said).toMatchObject({ code: 0, err: '' });
    return name;
  }

  /** A simulated shop of 60 orders, connected by `connect`. */
  async function shop(
    options: PlatformSandboxOptions = {},
    ...more: string[]
  ): Promise<{ name: string; source: PlatformSandbox }> {
    const source = await startPlatformSandbox(kuaishou, { rows: 60, ...options });
    onTestFinished(() => source.stop());
    const name = fresh();
    const { platform, baseUrl, credential, options: own } = source.connection();
    const settings = Object.entries(own).flatMap(([key, value]) => ['--option', `${key}=${value}`]);
    const line = ['connect', name, '--platform', platform, '--url', baseUrl, ...settings, '--no-probe', ...more];
    const env = { SHOP: JSON.stringify(credential) };
    expect(await cli([...line, '--credential-env', 'SHOP'], { env })).toMatchObject({ code: 0, err: '' });
    return { name, source };
  }

  /** A connection whose next run takes more people away than may go without asking. */
  async function decimated(): Promise<{ name: string; source: ScimSandbox }> {
    const source = await sandbox();
    const name = await connected(source);
    expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
    source.directory.removeUsers(source.directory.userIds().slice(0, 40));
    return { name, source };
  }

  /** Starts a run and stops it before its first page is written; the answer to the first request takes a moment. */
  async function pausedRun(): Promise<{ name: string; source: ScimSandbox }> {
    const source = await sandbox();
    const name = await connected(source);
    source.setFaults([{ type: 'latency', ms: 1_000 }]);
    expect((await cli(`start orgSync ${name}`)).code).toBe(0);
    expect(await cli(`pause ${name}`)).toMatchObject({ code: 0, out: expect.stringMatching(/^Paused/) });
    source.setFaults([]);
    return { name, source };
  }

  const stateOf = async (name: string) => JSON.parse((await cli(`status ${name} --json`)).out).connections[0];

  async function liveUsers(name: string): Promise<number> {
    const { rows } = await world.pool.query(
      'SELECT count(*)::int AS n FROM org.users WHERE connection_id = $1 AND deleted_at IS NULL',
      [name],
    );
    return rows[0].n;
  }

  return { world, token, environment, fresh, cli, sandbox, connected, shop, decimated, pausedRun, stateOf, liveUsers };
}
