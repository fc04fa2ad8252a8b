import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as v from 'valibot';
import { expect, it } from 'vitest';
import { campaignDefinition } from '../connectors/campaign.ts';
import { channels } from '../connectors/channel.index.ts';
import { fresh, openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const page = readFileSync(join(import.meta.dirname, '../docs/audience.md'), 'utf8');
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text]) => text?.trim() ?? '',
  );
const blockWith = (language: string, what: string) =>
  blocks(language).find((text) => text.includes(what)) ?? expect.fail(`no block of ${language} has ${what}`);
const { world, cli } = await openCli();

/** Splits a command line as a shell does where the page needs it: spaces and single quotes. */
const words = (line: string) => [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));
/** Values of the variables that a line exports. */
const exported = (line: string) =>
  Object.fromEntries([...line.matchAll(/(\w+)='([^']*)'/g)].map(([, name, value]) => [name as string, value]));

interface Sandbox {
  url: string;
  counts(): Promise<Record<string, number>>;
}

/** Runs a command of the page that serves until its input closes. A port of the page may be in use here: it gets a free one. */
async function serve(line: string): Promise<Sandbox> {
  const [npx, ...args] = words(line.replace(/"port":\d+/, '"port":0'));
  const child = spawn(npx as string, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  world.onClose(async () => {
    child.stdin.end();
    await closed;
  });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => JSON.parse((await answers.next()).value);
  const { url } = await answer();
  return {
    url,
    counts: () => {
      child.stdin.write('{"op":"counts"}\n');
      return answer();
    },
  };
}

it('shows commands that work, in the order in which they stand, with a database and receivers as it makes them', async () => {
  await world.pool.query(blockWith('sql', 'crm.members'));
  const served = blockWith('sh', 'sandbox/serve.ts').split('\n');
  const [hook, mini, mail] = await Promise.all(served.map(serve));
  const names = Object.fromEntries(['members', 'hook', 'mini', 'mail', 'spring'].map((n) => [n, `${n}-${fresh()}`]));
  const definition = JSON.parse(blockWith('json', 'audience'));
  const file = join(tmpdir(), `${fresh()}.json`);
  const audience = { ...definition.audience, connection: names.members };
  // Who tries it out at night waits for the morning.
  writeFileSync(file, JSON.stringify({ ...definition, audience, channel: names.hook, quiet: undefined }));
  const run = async (text: string, own: Record<string, string> = {}) => {
    const [head = '', ...lines] = text.split('\n');
    expect(head).toMatch(/^export /);
    for (const line of lines) {
      const [npx, syncline, ...args] = words(line).map((word) =>
        word
          .replace(/^(members|hook|mini|mail|spring)$/, (name) => names[name] ?? name)
          .replace('spring.json', file)
          .replace(/^(https:\/\/push\.example\.com\/in|http:\/\/127\.0\.0\.1:8081)$/, hook?.url ?? '')
          .replace('http://127.0.0.1:8082', mini?.url ?? '')
          .replace('smtp://127.0.0.1:8025', mail?.url ?? ''),
      );
      expect([npx, syncline]).toEqual(['npx', 'syncline']);
      const said = await cli(args, { env: { ...exported(head), ...own } });
      expect(said, line).toMatchObject({ code: 0, err: '' });
    }
  };
  await run(blockWith('sh', 'connect members'), {
    CRM: JSON.stringify({ databaseUrl: world.servers.databaseUrl }),
  });
  const report = await until('the end', async () => {
    const { out } = await cli(['campaign', 'report', names.spring as string]);
    return out.includes('completed') && out;
  });
  // Members 1, 7, 13 … 997 without member 7, and the test message to member 1.
  expect(report).toMatch(/sent +166\n/);
  expect(report).toMatch(/skipped excluded +1\n/);
  expect(await hook?.counts()).toMatchObject({ delivered: 167, reached: 166, twice: 1 });
  await run(blockWith('sh', '--url http://127.0.0.1:8081'));
});

it('shows a definition that is one, and names every channel', () => {
  expect(v.safeParse(campaignDefinition, JSON.parse(blockWith('json', 'audience'))).success).toBe(true);
  const fields = Object.keys(campaignDefinition.entries).filter(
    (field) => !['audience', 'channel', 'reconcileMinutes'].includes(field),
  );
  for (const field of fields) expect(page, field).toMatch(new RegExp(`^\\| \`${field}\` \\|`, 'm'));
  for (const channel of Object.values(channels)) {
    const row = page.split('\n').find((line) => line.startsWith(`| \`${channel.channel}\` |`)) ?? '';
    for (const setting of Object.keys(channel.settings))
      expect(row, `${channel.channel} ${setting}`).toContain(`\`${setting}\``);
  }
});

it('shows SQL that takes in unsubscribes and grants, also twice', async () => {
  for (let i = 0; i < 2; i++) await world.pool.query(blockWith('sql', 'audience.grants'));
  const { rows } = await world.pool.query("SELECT remaining FROM audience.grants WHERE connection_id = 'mini'");
  expect(rows).toEqual([{ remaining: 1 }]);
});
