import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { expect, it } from 'vitest';
import { campaignDefinition } from '../connectors/campaign.ts';
import { channels } from '../connectors/channel.index.ts';
import { memberId, memberRows, orderRows, segmentTables } from '../sandbox/segments.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { fresh, openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const page = readFileSync(join(import.meta.dirname, '../docs/audience.md'), 'utf8');
const block = (language: string) =>
  new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(page)?.[1]?.trim() ?? '';
const { world, cli } = await openCli();
const receiver = await startWebhookSandbox({ secret: 'secret' });
world.onClose(() => receiver.stop());

/** Splits a command line as a shell does where the page needs it: spaces and single quotes. */
const words = (line: string) => [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));

it('shows commands that work, in the order in which they stand', async () => {
  const now = Date.now();
  for (const { text, values } of [
    ...segmentTables('postgres'),
    ...memberRows({ dialect: 'postgres', members: 30 }),
    orderRows(
      'postgres',
      Array.from({ length: 30 }, (_, n) => ({ id: n, member: n, atMs: now })),
    ),
  ])
    await world.pool.query(text, values);
  const names = Object.fromEntries(['members', 'hook', 'spring'].map((name) => [name, `${name}-${fresh()}`]));
  const definition = JSON.parse(block('json'));
  const file = join(tmpdir(), `${fresh()}.json`);
  const own = {
    ...definition,
    audience: { ...definition.audience, connection: names.members, filter: '1' },
    channel: names.hook,
    quiet: undefined,
  };
  writeFileSync(file, JSON.stringify(own));
  const env = {
    CRM: JSON.stringify({ databaseUrl: world.servers.databaseUrl }),
    HOOK: JSON.stringify({ signSecret: 'secret' }),
  };
  const lines = block('sh').split('\n');
  expect(lines[0]).toMatch(/^export CRM=.* HOOK=/);
  for (const line of lines.slice(1)) {
    const [npx, syncline, ...args] = words(line).map((word) =>
      word
        .replace(/^(members|hook|spring)$/, (name) => names[name] ?? name)
        .replace('spring.json', file)
        .replace('https://push.example.com/in', receiver.url)
        .replace(/^u(1|42)$/, memberId(1)),
    );
    expect([npx, syncline]).toEqual(['npx', 'syncline']);
    // Whoever unsubscribed gets no test message either.
    const user = args.includes('unsubscribe') ? args.map((word) => (word === memberId(1) ? memberId(4) : word)) : args;
    const said = await cli(user, { env });
    expect(said, line).toMatchObject({ code: 0, err: '' });
  }
  const report = await until('the end', async () => {
    const { out } = await cli(['campaign', 'report', names.spring as string]);
    return out.includes('completed') && out;
  });
  expect(report).toMatch(/sent +9/);
  expect(report).toMatch(/skipped unsubscribed +1/);
});

it('shows a definition that is one, and names every channel', () => {
  expect(v.safeParse(campaignDefinition, JSON.parse(block('json'))).success).toBe(true);
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
  for (let i = 0; i < 2; i++) await world.pool.query(block('sql'));
  const { rows } = await world.pool.query("SELECT remaining FROM audience.grants WHERE connection_id = 'mini'");
  expect(rows).toEqual([{ remaining: 1 }]);
});
