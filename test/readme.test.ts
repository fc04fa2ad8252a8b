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
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { getTableConfig, getViewConfig } from 'drizzle-orm/pg-core';
import * as v from 'valibot';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { directoryOptions } from '../connectors/directory.ts';
import { connectors } from '../connectors/index.ts';
import { platformOptions } from '../connectors/platform.ts';
import { gauges } from '../db/gauges.ts';
import { applySteps } from '../db/org/plan.ts';
import { readDirectory } from '../db/org/rows.ts';
import * as org from '../db/schema/org.ts';
import { kuaishou } from '../sandbox/kuaishou.ts';
import { type Fixture, startPlatformSandbox } from '../sandbox/platform.ts';
import { startScimSandbox } from '../sandbox/scim.ts';
import { startStripeSandbox } from '../sandbox/stripe.ts';
import { runCli } from '../workers/cli.ts';
import { loadConfig } from '../workers/config.ts';
import { compare } from '../workers/demo/compare.ts';
import { findTemporal } from '../workers/embedded/temporal-program.ts';
import { openShop } from './harness/platforms.ts';
import {
  operateFile,
  orgFile,
  pages,
  pipelineFiles,
  platformFile,
  readmeFile,
  referenceFile,
  renewed,
} from './harness/readme.ts';
import { guideFile, writeExample } from './harness/readme-guide.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const run = promisify(execFile);
const checkout = join(import.meta.dirname, '..');
const readme = readFileSync(readmeFile, 'utf8');
const pipelinePages = pipelineFiles.map((file) => readFileSync(file, 'utf8')).join('\n');
const orgPage = readFileSync(orgFile, 'utf8');
const operatePage = readFileSync(operateFile, 'utf8');
const source = (path: string) => readFileSync(join(checkout, path), 'utf8');
const guide = readFileSync(guideFile, 'utf8');
const example = writeExample();
// Commands that were given it have added it for the whole process.
afterAll(() => void delete connectors.desk);
world.onClose(async () => example.remove());
const name = `acme-${randomBytes(4).toString('hex')}`;
/** An identifier of TypeScript too. */
const shopName = `shop_${randomBytes(4).toString('hex')}`;
const token = randomBytes(9).toString('hex');

/** Contents of the fenced blocks of a language. */
function blocks(language: string, page = readme): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(([, text = '']) => text);
}

/** Command lines of all shell blocks without their comments. */
const shellLinesOf = (page: string) =>
  blocks('sh', page).flatMap((text) =>
    text
      .trim()
      .split('\n')
      .map((line) => line.replace(/\s+# .*$/, '')),
  );
const shellLines = [readme, pipelinePages].flatMap(shellLinesOf);
const linesOf = (program: string, lines = shellLines) => lines.filter((line) => line.startsWith(`${program} `));

/** Splits a command line as a shell does where the README needs it: spaces and single quotes. */
function words(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));
}

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

/** What the compiler says. */
async function compile(folder: string, args: string[]): Promise<string> {
  const tsc = await run(join(checkout, 'node_modules/.bin/tsc'), args, { cwd: folder }).catch((error) => error);
  return tsc.stdout;
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

/** A file, and where the link says so a heading in it, as GitHub names it. */
function isThere(from: string, target: string): boolean {
  const [path = '', heading] = target.split('#');
  const file = join(from, path);
  if (!existsSync(file) || heading === undefined) return existsSync(file);
  const headings = readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm);
  return [...headings].some(
    ([, text = '']) =>
      text
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-') === heading,
  );
}

describe('the text', () => {
  test('is short', () => {
    expect(readme.trimEnd().split('\n').length).toBeLessThan(200);
  });

  test.each(pages)(
    '%s has the tables that the code gives (renew them with: npx tsx test/harness/readme.ts --write)',
    async (file, wanted) => {
      const page = readFileSync(file, 'utf8');
      expect(page).toBe(await renewed(page, wanted));
    },
  );

  test.each(pages.map(([file]) => file))('%s links to what exists', (file) => {
    const page = readFileSync(file, 'utf8');
    const links = [...page.matchAll(/\]\(([^)]+)\)/g)].map(([, target = '']) => target);
    expect(links.length).toBeGreaterThan(0);
    expect(links.filter((target) => !isThere(dirname(file), target))).toEqual([]);
  });

  test('links every page', () => {
    for (const [file] of pages) if (file !== readmeFile) expect(readme).toContain(`](${relative(checkout, file)}`);
  });

  test('repeats what the help says of exit codes', async () => {
    const { text } = await cli(['--help'], {});
    const said = /Ends with (.*)\.$/m.exec(text)?.[1];
    expect(said).toBeDefined();
    expect(readFileSync(referenceFile, 'utf8')).toContain(`Each ends with ${said}.`);
  });

  test('says the numbers that the code has', () => {
    const { count, percent, smallCount, smallPercent } = v.parse(platformOptions.guard, undefined);
    const guard = `more than ${count} rows or ${percent} % (below 100 rows, ${smallCount} or ${smallPercent} %) stay`;
    expect(pipelinePages).toContain(guard);
    expect(source('db/sweep.ts')).toContain('living < 100');
    const { guards, confirmMissing, changesDays, approvalHours } = v.parse(v.object(directoryOptions), {});
    const { users, groups, deactivations, editsPercent, additionsPercent, membershipsPercent } = v.parse(
      directoryOptions.guards,
      guards,
    );
    const { changesPercent, ...ofGroups } = groups;
    expect([ofGroups, deactivations]).toEqual([users, users]);
    expect(orgPage).toContain(
      `more than ${users.count} or ${users.percent} %, whichever is less (below 100 rows, ${users.smallCount} or ${users.smallPercent} %)`,
    );
    expect(orgPage).toContain(
      `more than ${editsPercent} % edited, more than ${changesPercent} % of the groups moved or renamed, more than ${additionsPercent} % additions and more than ${membershipsPercent} % of the memberships removed`,
    );
    expect(source('db/org/limits.ts')).toContain('const small = 100;');
    expect(orgPage).toContain(`up to ${confirmMissing} missing people or groups (option \`confirmMissing\`)`);
    expect(orgPage).toContain(`kept ${changesDays} days (option \`changesDays\`)`);
    expect([approvalHours, orgPage]).toEqual([7 * 24, expect.stringContaining('a week of silence fails it')]);
    expect(pipelinePages).toContain('read up to two times more');
    expect(source('activities/platform/anew.ts')).toContain('rereadsMost = 2;');
    expect(pipelinePages).toContain('else 90 days (option `since`)');
    expect(source('connectors/history.ts')).toContain('usualMs = 90 * dayMs;');
  });

  test('says how long things are kept, and how much a worker takes, as the code has it', () => {
    const { changesDays } = v.parse(v.object(directoryOptions), {});
    expect(operatePage).toContain(`${changesDays} days (option \`changesDays\`)`);
    expect(source('db/passes.ts')).toContain(`interval '30 days'`);
    expect(source('db/rejects.ts')).toContain('settledDays = 30;');
    expect(source('docker-compose.yml')).toContain('TEMPORAL_RETENTION: 7d');
    expect(source('workers/worker.ts')).toContain(`shutdownGraceTime = '30s'`);
    expect(operatePage).toContain(`${loadConfig({}).poolSize} connections a worker`);
  });

  test('alerts by gauges that are served', () => {
    const [rules = ''] = blocks('yaml', operatePage);
    const { groups } = parse(rules);
    const exprs: string[] = groups.flatMap((group: { rules: { expr: string }[] }) =>
      group.rules.map(({ expr }) => expr),
    );
    const used = exprs.flatMap((expr) => expr.match(/syncline_\w+/g) ?? []);
    expect(used.length).toBeGreaterThan(4);
    expect(used.filter((name) => !Object.hasOwn(gauges, name))).toEqual([]);
    for (const [, gauge = '', label = ''] of exprs.flatMap((expr) => [...expr.matchAll(/(syncline_\w+)\{(\w+)/g)]))
      expect(gauges[gauge]?.labels).toContain(label);
  });

  test('names the columns that every table of a platform has', async () => {
    const list = /\| column \| holds[\s\S]*?\n\n/.exec(readFileSync(platformFile, 'utf8'))?.[0] ?? '';
    const told = [...list.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = '']) => cell.match(/\w+/g) ?? []);
    const made = /CREATE TABLE \$\{where\} \(([\s\S]*?)\$\{/.exec(source('db/streams.ts'))?.[1] ?? '';
    expect(told.toSorted()).toEqual(
      [...made.matchAll(/(\w+) (?:text|jsonb|timestamptz|bigint)/g)].map((m) => m[1]).toSorted(),
    );
  });

  test('names the columns of the tables of directories, and the steps in their order', () => {
    const list = /\| table \| column [\s\S]*?\n\n/.exec(orgPage)?.[0] ?? '';
    const told: Record<string, string[]> = {};
    let at = '';
    for (const [, table = '', cell = ''] of list.matchAll(/^\| (?:`(org\.\w+)`|) ?\| (`[^|]+) \|/gm)) {
      at = table || at;
      told[at] = [...(told[at] ?? []), ...(cell.match(/\w+/g) ?? [])];
    }
    const tables = [org.users, org.groups, org.memberships, org.conflicts].map((one) => getTableConfig(one));
    const made = [...tables, getViewConfig(org.changes)].map(({ name: table, ...config }) => [
      `org.${table}`,
      ('columns' in config ? config.columns : Object.values(config.selectedFields)).map((column) =>
        String((column as { name: string }).name),
      ),
    ]);
    const sorted = (entries: (readonly [string, string[]])[]) =>
      entries.map(([table, names]) => [table, names.toSorted()]).toSorted();
    expect(sorted(Object.entries(told))).toEqual(sorted(made as [string, string[]][]));
    const steps = /^Steps, each on or off.*?: (.*?)\. A step/m.exec(orgPage)?.[1] ?? '';
    expect([...steps.matchAll(/`(\w+)`/g)].map(([, step]) => step)).toEqual(applySteps);
  });

  test('names every room', () => {
    const rooms = [...readme.matchAll(/^\| \[(\w+)\/\]/gm)].map(([, room]) => room);
    const folders = readdirSync(checkout, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !/^(node_modules|dist|docker|docs|\..*)$/.test(entry.name))
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
      /^(npm ci && npm (run demo|test)|npm start|npx syncline .+|npx vitest run test\/connectors\.test\.ts -t desk|temporal .+|export( [A-Z_]+=([\w./]+|'[^']+'))+)$/;
    expect([...shellLines, ...shellLinesOf(guide)].filter((line) => !known.test(line))).toEqual([]);
    expect(source('.ci/run')).toContain('npm ci && npm test');
  });

  test('starts the composition that is here', () => {
    expect(readme).toContain('`docker compose up --detach --build --wait`');
    expect(source('docker-compose.yml')).toMatch(/^ {2}worker:$/m);
  });

  test('says how the command line reaches the composition', async () => {
    const [, service, program] =
      /`docker compose exec --env ACME_TOKEN (\w+) node dist\/(\S+)\.js status`/.exec(readme) ?? [];
    const { services } = parse(source('docker-compose.yml'), { merge: true });
    const inside = services[service ?? ''].environment;
    const published = (name: string) =>
      /^(127\.0\.0\.1):\$\{\w+:-(\d+)\}:/.exec(services[name].ports[0])?.slice(1).join(':');
    // The worker's own address, as it is from outside.
    const outside = inside.DATABASE_URL.replace(/\$\{\w+:\?[^}]*\}@postgres:5432/, `…@${published('postgres')}`);
    expect(readme).toContain(`\`DATABASE_URL=${outside}\` (the password is \`SYNCLINE_DB_PASSWORD\`)`);
    expect(readme).toContain(`\`TEMPORAL_ADDRESS=${published('temporal')}\``);
    const reached = { DATABASE_URL: world.servers.databaseUrl, TEMPORAL_ADDRESS: world.servers.temporal.address };
    const env = {
      ...reached,
      TEMPORAL_NAMESPACE: world.servers.temporal.namespace,
      SYNCLINE_SECRET_KEY: world.key.toString('base64'),
    };
    expect(Object.keys(inside)).toEqual(expect.arrayContaining(Object.keys(env)));
    const args = ['--import', 'tsx', `${program}.ts`, 'status'];
    expect((await run(process.execPath, args, { cwd: checkout, env })).stdout).toContain('No connections yet');
  });

  test('names package scripts that exist', () => {
    const { scripts } = JSON.parse(source('package.json'));
    const used = [...readme.matchAll(/npm (?:run (\w+)|(start|test))\b/g)].map(([, one, other]) => one ?? other);
    expect(used).toEqual(expect.arrayContaining(['demo', 'start', 'check', 'test']));
    expect(used.filter((script) => !Object.hasOwn(scripts, script ?? ''))).toEqual([]);
  });

  test('spells every syncline command as the program takes it', async () => {
    const text = [readme, pipelinePages, guide, operatePage, readFileSync(referenceFile, 'utf8')].join('\n');
    const inline = [...text.matchAll(/`(npx syncline [^`…]+)`/g)].map(([, line = '']) => line);
    const lines = [...inline, ...linesOf('npx syncline', shellLinesOf(text))];
    expect(lines.length).toBeGreaterThan(20);
    const nowhere = {
      SYNCLINE_DATA_DIR: folder(),
      SYNCLINE_SECRET_KEY: world.key.toString('base64'),
      SYNCLINE_CONNECTORS: example.connector,
      ACME_TOKEN: 'x',
      LDAP_PASSWORD: 'x',
      SHOP: '{}',
      STRIPE_KEY: 'x',
      DESK_KEY: 'x',
    };
    for (const line of lines) {
      // Typed wrong ends with 2; typed right it goes on to the servers, of which there are none here.
      const asksNobody = line.startsWith('npx syncline connectors');
      const expected = asksNobody ? { code: 0 } : { code: 1, text: expect.stringContaining('No Postgres') };
      expect(await cli(words(line).slice(2), nowhere), line).toMatchObject(expected);
    }
    expect((await cli(['start', 'orgSync', 'acme', '--wrong'], nowhere)).code).toBe(2);
  });
});

describe('the commands', async () => {
  const directory = await startScimSandbox({ users: 120, groups: 20, token });
  world.onClose(() => directory.stop());
  // Its clock is behind, so that changes have settled when they are asked for.
  const shop = await startPlatformSandbox(kuaishou, { rows: 300, now: () => Date.now() - 60_000 });
  world.onClose(() => shop.stop());
  const account = shop.connection();
  const billing = await startStripeSandbox({ counts: { customers: 120, subscriptions: 30 } });
  world.onClose(() => billing.stop());
  const [badOrder = ''] = shop.lists.orders?.ids() ?? [];
  shop.lists.orders?.update(badOrder, { status: 'paid?' });
  const env = {
    DATABASE_URL: world.servers.databaseUrl,
    TEMPORAL_ADDRESS: world.servers.temporal.address,
    TEMPORAL_NAMESPACE: world.servers.temporal.namespace,
    SYNCLINE_SECRET_KEY: world.key.toString('base64'),
    SYNCLINE_TASK_QUEUE: world.config.taskQueue,
    ACME_TOKEN: token,
    LDAP_PASSWORD: 'unused',
    SHOP: JSON.stringify(account.credential),
    STRIPE_KEY: billing.key,
  };
  const dayOf = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  /** The README's names and addresses, as they are here. */
  const here = (text: string) =>
    text
      .replaceAll('https://acme.example.com/scim/v2', directory.url)
      .replaceAll('localhost:7233', env.TEMPORAL_ADDRESS)
      .replaceAll("'default'", `'${env.TEMPORAL_NAMESPACE}'`)
      .replace(/(--task-queue |taskQueue: ')syncline/g, `$1${env.SYNCLINE_TASK_QUEUE}`)
      .replaceAll('acme', name)
      .replace(/\bbilling\b/g, `billing-${name}`)
      .replace(/\bshop\b/g, shopName)
      .replace(/\bks\d{10}\b/, account.options.appKey ?? '')
      .replace(/--from \S+ --to \S+/, `--from ${dayOf(-40)} --to ${dayOf(1)}`)
      .replaceAll('connect hq', `connect hq-${name}`);
  const syncline = async (part: string) => {
    const line = linesOf('npx').find((text) => text.includes(part)) ?? expect.fail(`no page has a line with ${part}`);
    // There is no LDAP server here, and the platform answers at another address than its own.
    const fast = ['types=["customers","subscriptions"]', 'requestsPerSecond=1000', 'endpointRequestsPerSecond=1000'];
    const platforms: Record<string, string[]> = {
      ldap: ['--no-probe'],
      kuaishou: ['--url', shop.url],
      stripe: ['--url', billing.url, ...fast.flatMap((option) => ['--option', option])],
    };
    const platform = /--platform (\w+)/.exec(line)?.[1] ?? '';
    const more = platforms[platform] ?? [];
    const args = [...words(here(line)).slice(2), ...more];
    const said = await cli(args, env);
    expect(said, `${line}\n${said.text}`).toMatchObject({ code: 0 });
    return said.text;
  };
  const temporal = async (part: string) => {
    const program = await findTemporal({ folders: loadConfig().programFolders, mayInstall: false });
    const line =
      linesOf('temporal').find((text) => text.includes(part)) ?? expect.fail(`no page has a line with ${part}`);
    return run(program, words(here(line)).slice(1), { env: { ...env, HOME: folder() } });
  };
  const latest = (id: string) => world.client.workflow.getHandle(id).result();

  test('connect every source', async () => {
    expect(await syncline('connect acme')).toContain('Read one page of each list: 120 of 120 users, 20 of 20 groups.');
    expect(await syncline('--platform ldap')).toContain(`Saved connection hq-${name}: ldap`);
    expect(await syncline('--platform kuaishou')).toContain(`Saved connection ${shopName}: kuaishou`);
  });

  test('copy a Stripe account and compare it', async () => {
    const connected = await syncline('--platform stripe');
    expect(connected).toContain('Read one page of 2 lists: customers, subscriptions.');
    expect(connected).toContain('A key of a sandbox: 1000 requests/s, of which 50 % are used (option share).');
    expect(connected).toContain(`Next: npx syncline start stripeSync billing-${name} --wait`);
    expect(await syncline('start stripeSync')).toContain(
      `billing-${name} is copied, and the run follows the feed until`,
    );
    const { rows } = await world.pool.query(
      'SELECT count(*)::int AS n FROM stripe.customers WHERE connection_id = $1',
      [`billing-${name}`],
    );
    expect(rows).toEqual([{ n: 120 }]);
    expect(await syncline('verify billing')).toMatch(/Equal: 150 objects compared, \d+ s/);
    await world.client.workflow.getHandle(`stripeSync-billing-${name}`).cancel();
    await latest(`stripeSync-billing-${name}`).catch(() => undefined);
  });

  test('plan without writing', async () => {
    expect(await syncline('--dry-run')).toContain('Planned, nothing was written: plan 1, full');
  });

  test("start runs with Temporal's CLI", async () => {
    await temporal('--workflow-id orgSync-acme');
    await temporal('--workflow-id platformSync-shop');
    expect(await latest(`orgSync-${name}`)).toMatchObject({
      outcome: 'applied',
      mode: 'full',
      applied: { addGroups: 20, addUsers: 120 },
    });
    expect(await latest(`platformSync-${shopName}`)).toMatchObject({ connection: shopName, outcome: 'whole' });
  });

  test('start runs with our CLI', async () => {
    directory.directory.addUser();
    expect(await syncline('acme --wait')).toContain('Applied: plan 3, incremental');
    expect(await syncline('--streams orders,refunds --wait')).toContain('Whole: 2 of 2 streams whole');
  });

  test('read the people of a directory', async () => {
    const [block, ...more] = blocks('sql', orgPage);
    expect(more).toEqual([]);
    const { rows } = await world.pool.query(here(block ?? ''));
    expect(rows).toHaveLength(10);
    for (const row of rows)
      expect(row).toEqual({
        user_name: expect.any(String),
        email: expect.any(String),
        group_name: expect.any(String),
        is_primary: expect.any(Boolean),
      });
  });

  test('read the rows of a platform', async () => {
    const [block, ...more] = blocks('sql', readFileSync(platformFile, 'utf8'));
    expect(more).toEqual([]);
    const { rows } = await world.pool.query(here(block ?? ''));
    expect(rows).toHaveLength(10);
    for (const { id, paid } of rows) expect([shop.lists.orders?.get(id)?.id, paid]).toEqual([id, expect.any(Date)]);
  });

  test('show and replay what stands aside', async () => {
    expect(await syncline('status shop')).toMatch(/orders: 1 record set aside: npx syncline rejects/);
    expect(await syncline('rejects shop')).toContain(`${shopName} orders ${badOrder}: wrong_type (status)`);
    const before = shop.requests.total;
    expect(await syncline('--rejects --wait')).toContain('orders: 0 of 1 record that stood aside landed');
    expect(shop.requests.total).toBe(before);
    shop.lists.orders?.update(badOrder, { status: 30 });
    await world.pool.query('DELETE FROM kuaishou.orders WHERE connection_id = $1', [shopName]);
    expect(await syncline('replay shop orders --from')).toMatch(/orders +whole +replay +300 rows +300 written/);
    expect(await syncline('rejects shop')).toContain('Nothing is handed back.');
  });

  test('accept deletions that a guard withheld', async () => {
    const line = /`(npx syncline start platformSync shop [^`]*--accept-deletions)`/.exec(pipelinePages)?.[1] ?? '';
    const all = shop.lists.comments?.ids() ?? [];
    for (const id of all) shop.lists.comments?.remove(id);
    const living = async () =>
      (
        await world.pool.query('SELECT FROM kuaishou.comments WHERE connection_id = $1 AND deleted_at IS NULL', [
          shopName,
        ])
      ).rowCount;
    expect(all.length).toBeGreaterThan(20);
    await temporal('--workflow-id platformSync-shop');
    await latest(`platformSync-${shopName}`);
    expect(await living()).toBe(all.length);
    expect(await cli(words(here(line)).slice(2), env)).toMatchObject({ code: 0 });
    await latest(`platformSync-${shopName}`);
    expect(await living()).toBe(0);
  });

  test('start runs from TypeScript', async () => {
    const place = folder();
    symlinkSync(join(checkout, 'node_modules'), join(place, 'node_modules'));
    const [block, ...more] = blocks('ts');
    expect(more).toEqual([]);
    writeFileSync(join(place, 'package.json'), '{"type":"module"}');
    writeFileSync(join(place, 'run.ts'), here(block ?? ''));
    expect(await compile(place, [...strict, 'run.ts'])).toBe('');
    directory.directory.addUser();
    const { stdout } = await run(process.execPath, ['--import', 'tsx', 'run.ts'], { cwd: place });
    expect(stdout).toContain("outcome: 'applied'");
    expect(stdout).toContain('addUsers: 1');
  });

  test('make schedules with our CLI and with that of Temporal', async () => {
    const shopWay = { workflow: 'platformSync', connection: shopName };
    const orgWay = { workflow: 'orgSync', connection: name };
    const wanted: { id: string; workflow: string; connection: string; mode?: string }[] = [
      { id: `orgSync-${name}`, ...orgWay },
      { id: `platformSync-${shopName}`, ...shopWay },
      { id: `nightly-${name}`, ...orgWay, mode: 'full' },
      { id: `nightly-${shopName}`, ...shopWay, mode: 'full' },
    ];
    onTestFinished(async () => {
      for (const { id } of wanted) await world.client.schedule.getHandle(id).delete();
    });
    expect(await syncline('schedule acme')).toContain(`Made the schedule of ${name}. Next: `);
    expect(await syncline('schedule shop')).toContain(`Made the schedule of ${shopName}. Next: `);
    await temporal('--schedule-id nightly-acme');
    await temporal('--schedule-id nightly-shop');
    for (const { id, workflow, connection, mode } of wanted) {
      const { action, policies, info } = await world.client.schedule.getHandle(id).describe();
      expect(action, id).toMatchObject({ workflowType: workflow, taskQueue: env.SYNCLINE_TASK_QUEUE });
      expect(action.args).toEqual([{ connection, ...(mode && { mode }) }]);
      expect(policies.overlap).toBe('SKIP');
      expect(info.nextActionTimes.length).toBeGreaterThan(0);
    }
  });
});

describe('adding a platform', () => {
  test('shows an example that compiles', async () => {
    const args = [...strict, '--allowImportingTsExtensions', example.connector, example.fixture];
    expect(await compile(example.folder, args)).toBe('');
  });

  test('shows commands that connect it and read it whole', async () => {
    const { desk } = (await import(pathToFileURL(example.fixture).href)) as { desk: Fixture };
    const desks = await startPlatformSandbox(desk, { rows: 700 });
    onTestFinished(() => desks.stop());
    const { credential } = desks.connection();
    const env = {
      DATABASE_URL: world.servers.databaseUrl,
      TEMPORAL_ADDRESS: world.servers.temporal.address,
      TEMPORAL_NAMESPACE: world.servers.temporal.namespace,
      SYNCLINE_SECRET_KEY: world.key.toString('base64'),
      SYNCLINE_TASK_QUEUE: world.config.taskQueue,
      SYNCLINE_CONNECTORS: example.connector,
      DESK_KEY: credential.apiKey ?? '',
    };
    const said: Said[] = [];
    for (const line of linesOf('npx syncline', shellLinesOf(guide))) {
      const more = line.includes(' connect ') ? ['--url', desks.url] : [];
      said.push(await cli([...words(line).slice(2), ...more], env));
    }
    expect(
      said.map(({ code }) => code),
      said.map(({ text }) => text).join('\n'),
    ).toEqual([0, 0, 0]);
    expect(said[0]?.text).toMatch(/^desk: Example Desk/);
    expect(said[2]?.text).toContain('Whole: 2 of 2 streams whole');
  });

  test('shows a fixture that the engine agrees with: first fill, changes, deletions', async () => {
    const { desk } = (await import(pathToFileURL(example.fixture).href)) as { desk: Fixture };
    const shop = await openShop(world, desk, { rows: 700 });
    expect(await shop.sync()).toMatchObject({ outcome: 'whole' });
    for (const stream of ['tickets', 'agents']) await shop.expectSame(stream);
    const { tickets, agents } = shop.source.lists;
    const [first = '', second = ''] = tickets?.ids() ?? [];
    tickets?.update(first, { status: 'solved' });
    tickets?.remove(second);
    agents?.remove(agents.ids()[0] ?? '');
    const holdsRemoved = async () => {
      await shop.sync();
      return (await shop.copy('tickets')).has(second);
    };
    // The newest changes are left to settle for some seconds.
    await expect.poll(holdsRemoved, { timeout: 30_000 }).toBe(false);
    for (const stream of ['tickets', 'agents']) await shop.expectSame(stream);
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
