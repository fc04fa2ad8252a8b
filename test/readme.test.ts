import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readDirectory } from '../db/org/rows.ts';
import { startScimSandbox } from '../sandbox/scim.ts';
import { runCli } from '../workers/cli.ts';
import { loadConfig } from '../workers/config.ts';
import { compare } from '../workers/demo/compare.ts';
import { findTemporal } from '../workers/embedded/temporal-program.ts';
import { readmeFile, renewed } from './harness/readme.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const run = promisify(execFile);
const checkout = join(import.meta.dirname, '..');
const readme = readFileSync(readmeFile, 'utf8');
const source = (path: string) => readFileSync(join(checkout, path), 'utf8');
const name = `acme-${randomBytes(4).toString('hex')}`;
const token = randomBytes(9).toString('hex');

/** Contents of the fenced blocks of a language. */
function blocks(language: string): string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text = '']) => text,
  );
}

/** Command lines of all shell blocks without their comments. */
const shellLines = blocks('sh').flatMap((text) =>
  text
    .trim()
    .split('\n')
    .map((line) => line.replace(/\s+# .*$/, '')),
);
const linesOf = (program: string) => shellLines.filter((line) => line.startsWith(`${program} `));

/** Splits a command line as a shell does where the README needs it: spaces and single quotes. */
function words(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));
}

interface Said {
  code: number;
  text: string;
}

async function cli(args: string[], env: Record<string, string>): Promise<Said> {
  let text = '';
  const hear = (line: string) => {
    text += `${line}\n`;
  };
  const nobody = async () => expect.fail(`somebody was asked:\n${text}`);
  const terminal = {
    print: hear,
    warn: hear,
    interactive: false,
    redraw: () => undefined,
    ask: nobody,
    askSecret: nobody,
    env,
  };
  return { code: await runCli(args, terminal), text };
}

/** A temporary folder that the user `postgres` can walk through. */
function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'syncline-readme-'));
  chmodSync(made, 0o755);
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

describe('the text', () => {
  test('is short', () => {
    expect(readme.trimEnd().split('\n').length).toBeLessThan(200);
  });

  test('has the tables that the code gives (renew them with: npx tsx test/harness/readme.ts --write)', async () => {
    expect(readme).toBe(await renewed(readme));
  });

  test('links to what exists', () => {
    const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, target = '']) => target);
    expect(links.length).toBeGreaterThan(5);
    expect(links.filter((target) => !existsSync(join(checkout, target)))).toEqual([]);
  });

  test('names every room', () => {
    const rooms = [...readme.matchAll(/^\| \[(\w+)\/\]/gm)].map(([, room]) => room);
    const folders = readdirSync(checkout, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !/^(node_modules|dist|docker|\..*)$/.test(entry.name))
      .map((entry) => entry.name);
    expect(rooms.toSorted()).toEqual(folders.toSorted());
  });

  test('explains every failure a run can end with', () => {
    const table = /\| failure [\s\S]*?\n\n/.exec(readme)?.[0] ?? '';
    const explained = [...table.matchAll(/^\| ((?:`\w+` )+)/gm)].flatMap(([, cell = '']) => cell.match(/\w+/g) ?? []);
    const types = [...source('activities/errors.ts').matchAll(/^ {2}\| '(\w+)'/gm)].map(([, type]) => type);
    const thrown = readdirSync(join(checkout, 'workflows')).flatMap((file) =>
      [...source(`workflows/${file}`).matchAll(/nonRetryable\([\s\S]*?'(\w+)',?\s*\);/g)].map(([, type]) => type),
    );
    expect(types.length).toBeGreaterThan(10);
    expect(thrown.length).toBeGreaterThan(1);
    expect(explained.toSorted()).toEqual([...new Set([...types, ...thrown])].toSorted());
  });

  test('shows only commands that this file knows how to check', () => {
    const known =
      /^(npm ci && npm (run demo|test)|npm start|npx syncline .+|temporal .+|export [A-Z_]+=\w+( [A-Z_]+=\w+)*)$/;
    expect(shellLines.filter((line) => !known.test(line))).toEqual([]);
    expect(source('.ci/run')).toContain('npm ci && npm test');
  });

  test('starts the composition that is here', () => {
    expect(readme).toContain('`docker compose up --detach --build --wait`');
    expect(source('docker-compose.yml')).toMatch(/^ {2}worker:$/m);
  });

  test('names package scripts that exist', () => {
    const { scripts } = JSON.parse(source('package.json'));
    const used = [...readme.matchAll(/npm (?:run (\w+)|(start|test))\b/g)].map(([, one, other]) => one ?? other);
    expect(used).toEqual(expect.arrayContaining(['demo', 'start', 'check', 'test']));
    expect(used.filter((script) => !Object.hasOwn(scripts, script ?? ''))).toEqual([]);
  });

  test('spells every syncline command as the program takes it', async () => {
    const inline = [...readme.matchAll(/`(npx syncline [^`]+)`/g)].map(([, line = '']) => line);
    const lines = [...inline, ...linesOf('npx')];
    expect(lines.length).toBeGreaterThan(8);
    const nowhere = {
      SYNCLINE_DATA_DIR: folder(),
      SYNCLINE_SECRET_KEY: world.key.toString('base64'),
      ACME_TOKEN: 'x',
      LDAP_PASSWORD: 'x',
    };
    for (const line of lines) {
      // Typed wrong ends with 2; typed right it goes on to the servers, of which there are none here.
      expect(await cli(words(line).slice(2), nowhere), line).toEqual({
        code: 1,
        text: expect.stringContaining('No Postgres'),
      });
    }
    expect((await cli(['start', 'orgSync', 'acme', '--wrong'], nowhere)).code).toBe(2);
  });
});

describe('the commands', async () => {
  const directory = await startScimSandbox({ users: 120, groups: 20, token });
  world.onClose(() => directory.stop());
  const env = {
    DATABASE_URL: world.servers.databaseUrl,
    TEMPORAL_ADDRESS: world.servers.temporal.address,
    TEMPORAL_NAMESPACE: world.servers.temporal.namespace,
    SYNCLINE_SECRET_KEY: world.key.toString('base64'),
    SYNCLINE_TASK_QUEUE: world.config.taskQueue,
    ACME_TOKEN: token,
    LDAP_PASSWORD: 'unused',
  };
  /** The README's names and addresses, as they are here. */
  const here = (text: string) =>
    text
      .replaceAll('https://acme.example.com/scim/v2', directory.url)
      .replaceAll('localhost:7233', env.TEMPORAL_ADDRESS)
      .replaceAll("'default'", `'${env.TEMPORAL_NAMESPACE}'`)
      .replace(/(--task-queue |taskQueue: ')syncline/g, `$1${env.SYNCLINE_TASK_QUEUE}`)
      .replaceAll('acme', name)
      .replaceAll('connect hq', `connect hq-${name}`);
  const syncline = async (part: string) => {
    const line =
      linesOf('npx').find((text) => text.includes(part)) ?? expect.fail(`the README has no line with ${part}`);
    // There is no LDAP server here.
    const args = [...words(here(line)).slice(2), ...(part.includes('ldap') ? ['--no-probe'] : [])];
    const said = await cli(args, env);
    expect(said, `${line}\n${said.text}`).toMatchObject({ code: 0 });
    return said.text;
  };
  const temporal = async (part: string) => {
    const program = await findTemporal({ folders: loadConfig().programFolders, mayInstall: false });
    const line =
      linesOf('temporal').find((text) => text.includes(part)) ?? expect.fail(`the README has no line with ${part}`);
    return run(program, words(here(line)).slice(1), { env: { ...env, HOME: folder() } });
  };
  const latest = () => world.client.workflow.getHandle(`orgSync-${name}`).result();

  test('connect both sources', async () => {
    expect(await syncline('connect acme')).toContain('Read one page of each list: 120 of 120 users, 20 of 20 groups.');
    expect(await syncline('--platform ldap')).toContain(`Saved connection hq-${name}: ldap`);
  });

  test('plan without writing', async () => {
    expect(await syncline('--dry-run')).toContain('Planned, nothing was written: plan 1, full');
  });

  test("start a run with Temporal's CLI", async () => {
    await temporal('workflow start');
    expect(await latest()).toMatchObject({
      outcome: 'applied',
      mode: 'full',
      applied: { addGroups: 20, addUsers: 120 },
    });
  });

  test('start a run with our CLI', async () => {
    directory.directory.addUser();
    expect(await syncline('acme --wait')).toContain('Applied: plan 3, incremental');
  });

  test('start a run from TypeScript', async () => {
    const place = folder();
    symlinkSync(join(checkout, 'node_modules'), join(place, 'node_modules'));
    const [block, ...more] = blocks('ts');
    expect(more).toEqual([]);
    writeFileSync(join(place, 'package.json'), '{"type":"module"}');
    writeFileSync(join(place, 'run.ts'), here(block ?? ''));
    const strict = [
      '--strict',
      '--noEmit',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--skipLibCheck',
      '--types',
      'node',
    ];
    const tsc = await run(join(checkout, 'node_modules/.bin/tsc'), [...strict, 'run.ts'], { cwd: place }).catch(
      (error) => error,
    );
    expect(tsc.stdout).toBe('');
    directory.directory.addUser();
    const { stdout } = await run(process.execPath, ['--import', 'tsx', 'run.ts'], { cwd: place });
    expect(stdout).toContain("outcome: 'applied'");
    expect(stdout).toContain('addUsers: 1');
  });

  test('make a schedule with our CLI and with that of Temporal', async () => {
    const ids = [`orgSync-${name}`, `nightly-${name}`];
    onTestFinished(async () => {
      for (const id of ids) await world.client.schedule.getHandle(id).delete();
    });
    expect(await syncline('schedule acme')).toContain(`Made the schedule of ${name}. Next: `);
    await temporal('schedule create');
    for (const [i, mode] of [undefined, 'full'].entries()) {
      const { action, policies, info } = await world.client.schedule.getHandle(ids[i]!).describe();
      expect(action).toMatchObject({ workflowType: 'orgSync', taskQueue: env.SYNCLINE_TASK_QUEUE });
      expect(action.args).toEqual([{ connection: name, ...(mode && { mode }) }]);
      expect(policies.overlap).toBe('SKIP');
      expect(info.nextActionTimes.length).toBeGreaterThan(0);
    }
  });
});

describe('npm run demo', () => {
  /** Numbers and names vary; everything else of a line is what the README shows. */
  const shape = (line: string) =>
    line
      .replace(/\d[\d,.]*/g, '#')
      .replace(/ edit +\S.*: title .* -> .*/, ' edit *: title * -> *')
      .replace(/\s+/g, ' ')
      .trim();
  const env = (data: string) => ({
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    TMPDIR: tmpdir(),
    SYNCLINE_DATA_DIR: data,
  });
  const running = async (data: string) => {
    const { stdout } = await run('ps', ['-eo', 'pid,args']);
    return stdout.split('\n').filter((line) => line.includes(data));
  };

  test('prints what the README shows, ends with 0 and leaves nothing running', { timeout: 180_000 }, async () => {
    const data = folder();
    const args = ['run', '--silent', 'demo', '--', '--users', '300', '--groups', '30'];
    const { stdout } = await run('npm', args, { cwd: checkout, env: env(data) });
    const lines = stdout.split('\n').map(shape);
    const [block, ...more] = blocks('text');
    expect(more).toEqual([]);
    // `…` stands for any lines; between two of them the lines follow each other.
    let at = 0;
    for (const part of (block ?? '').split('…\n')) {
      const wanted = part.trimEnd().split('\n').map(shape);
      const from = lines.findIndex((_, i) => i >= at && wanted.every((line, k) => lines[i + k] === line));
      expect(from, `not found behind line ${at}:\n${part}\nThe demo printed:\n${stdout}`).toBeGreaterThanOrEqual(at);
      at = from + wanted.length;
    }
    expect(await running(data)).toEqual([]);
  });

  test('stops everything on Ctrl-C', { timeout: 120_000 }, async () => {
    const data = folder();
    const demo = spawn(process.execPath, ['--import', 'tsx', 'workers/demo.ts', '--users', '300', '--groups', '30'], {
      cwd: checkout,
      env: env(data),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let printed = '';
    demo.stdout.on('data', (text) => {
      printed += text;
      if (printed.includes('1. The first run')) demo.kill('SIGINT');
    });
    const [code] = await once(demo, 'close');
    expect(printed).toContain('Stopping everything (SIGINT)');
    expect(code).toBe(130);
    expect(await running(data)).toEqual([]);
  });

  test('takes a difference between source and copy for one', async () => {
    const { name: other, source: scim } = await world.scim({ users: 60, groups: 8 });
    await world.run(other);
    const found = async () => compare(await readDirectory(world.pool, other), scim.directory).differences;
    expect(await found()).toEqual([]);
    const [edited, removed, moved] = scim.directory.userIds() as [string, string, string];
    scim.directory.editUser(edited, { title: 'Captain' });
    expect(await found()).toEqual([expect.stringMatching(`^person ${edited}: source .*Captain.*, copy `)]);
    scim.directory.removeUser(removed);
    expect(await found()).toContainEqual(expect.stringMatching(`^person ${removed}: source none`));
    const [group] = scim.directory.groupsOf(scim.directory.findPerson(moved)!);
    scim.directory.removeMember(scim.directory.id('Group', group!), moved);
    expect(await found()).toContainEqual(expect.stringMatching(`^membership ${moved} in .*: source none`));
  });
});
