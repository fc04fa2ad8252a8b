import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { memberId, memberRows, segmentMapping, segmentTables } from '../sandbox/segments.ts';
import { startSmtpSink } from '../sandbox/smtp.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { startWechatSandbox } from '../sandbox/wechat.ts';
import { fresh, openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const { world, cli } = await openCli();
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());
const [members, hook, campaign] = [fresh(), fresh(), fresh()];
const env = {
  CRM: JSON.stringify({ databaseUrl: world.servers.databaseUrl }),
  HOOK: JSON.stringify({ signSecret: receiver.secret }),
};

for (const { text, values } of [...segmentTables('postgres'), ...memberRows({ dialect: 'postgres', members: 120 })])
  await world.pool.query(text, values);

function file(definition: unknown): string {
  const path = join(tmpdir(), `${fresh()}.json`);
  writeFileSync(path, JSON.stringify(definition));
  return path;
}

it('connects a database with its mapping, after a look at each list', async () => {
  const options = Object.entries(segmentMapping('postgres')).flatMap(([key, value]) => [
    '--option',
    `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  ]);
  const said = await cli(['connect', members, '--platform', 'database', ...options, '--credential-env', 'CRM'], {
    env,
  });
  expect(said).toMatchObject({ code: 0, err: '' });
  expect(said.out).toContain('users: read one page, 120 rows.');
  expect(said.out).toContain('memberships: read one page, 24 rows.');
  expect(said.out).toContain(`connection ${members}: database, tenant ${members}, credential sealed.`);
  expect(said.out).toContain(`Next: npx syncline start segmentSync ${members} --wait`);
  const wrong = await cli(
    ['connect', fresh(), '--platform', 'database', '--option', 'users.from=crm.members', '--credential-env', 'CRM'],
    { env },
  );
  expect(wrong.err).toContain('options: users.id: got nothing, accepted a column without spaces, quotes and dots');
  const absent = await cli(
    [
      'connect',
      fresh(),
      '--platform',
      'database',
      '--option',
      'users.from=crm.nobody',
      '--option',
      'users.id=id',
      '--credential-env',
      'CRM',
    ],
    { env },
  );
  expect(absent.err).toContain('lacks the table or a column (SQLSTATE 42P01). Nothing was saved');
  const scheme = await cli(
    [
      'connect',
      fresh(),
      '--platform',
      'database',
      '--option',
      'dialect=mysql',
      '--option',
      'users.from=a',
      '--option',
      'users.id=id',
      '--credential-env',
      'CRM',
    ],
    { env },
  );
  expect(scheme.err).toMatch(
    /databaseUrl of connection ".*": got a text of \d+ characters, accepted mysql:\/\/user:password@host:port\/database/,
  );
});

it('connects channels: each as far as it can be tried without a message', async () => {
  const said = await cli(
    ['connect', hook, '--platform', 'webhook', '--url', receiver.url, '--credential-env', 'HOOK'],
    { env },
  );
  expect(said).toMatchObject({ code: 0, err: '' });
  expect(said.out).toContain('Next: npx syncline campaign create NAME FILE, with this name as its channel');
  const mini = await startWechatSandbox();
  world.onClose(() => mini.stop());
  const wechat = (secret: string) =>
    cli(
      [
        'connect',
        fresh(),
        '--platform',
        'wechat',
        '--url',
        mini.url,
        '--option',
        `appId=${mini.appId}`,
        '--credential-env',
        'MINI',
      ],
      {
        env: { MINI: JSON.stringify({ appSecret: secret }) },
      },
    );
  expect((await wechat(mini.appSecret)).out).toContain('WeChat subscribe message (微信订阅消息) gave a token.');
  expect((await wechat('wrong')).err).toContain('(40125)');
  const sink = await startSmtpSink();
  world.onClose(() => sink.stop());
  const smtp = (url: string) =>
    cli(['connect', fresh(), '--platform', 'smtp', '--url', url, '--option', 'from=a@b.org', '--no-credential']);
  expect((await smtp(sink.url)).out).toContain('The server answered and let us in.');
  expect((await smtp('smtp://127.0.0.1:1')).err).toContain('did not answer (ESOCKET)');
  expect((await smtp('https://mail.example.org')).err).toContain('accepted for smtp: smtp://host or smtps://host');
  expect((await cli(`start platformSync ${hook}`)).err).toContain(
    `"${hook}" is a channel (webhook): nothing reads it.`,
  );
});

it('copies the people, and shows how far it is', async () => {
  const said = await cli(`start segmentSync ${members} --wait`);
  expect(said).toMatchObject({ code: 0, err: '' });
  expect(said.out).toMatch(/Whole: 4 of 4 streams whole/);
  const status = await cli(`status ${members}`);
  expect(status.out).toMatch(/run +whole/);
  expect(status.out).toMatch(/users/);
  expect((await cli(`start segmentSync ${members} --streams nobody`)).err).toContain(
    'streams.0: got "nobody", accepted',
  );
  expect((await cli(`start platformSync ${members}`)).err).toContain(
    `The workflow for it is segmentSync: npx syncline start segmentSync ${members}`,
  );
});

it('counts and shows people by tags', async () => {
  expect((await cli(['audience', 'count', members, '--filter', '1'])).out).toBe('40 users\n');
  expect((await cli(['audience', 'count', members, '--filter', '1 AND segment:gold AND NOT vip', '--json'])).out).toBe(
    `${JSON.stringify({ connection: members, filter: '1 AND segment:gold AND NOT vip', users: 4 })}\n`,
  );
  expect((await cli(['audience', 'sample', members, '--filter', 'vip', '--limit', '2'])).out).toBe(
    `${memberId(0)}  0, 10, vip\n${memberId(10)}  1, 11, vip\n`,
  );
  expect(await cli(['audience', 'count', members, '--filter', '1 AND'])).toMatchObject({
    code: 2,
    err: 'syncline: filter, character 6: got the end, accepted a tag, segment:ID, NOT or (\n',
  });
  expect((await cli(`audience count ${members}`)).out).toBe('120 users\n');
  for (const command of ['count', 'sample'])
    for (const empty of ['', ' '])
      expect(await cli(['audience', command, members, '--filter', empty])).toEqual({
        code: 2,
        out: '',
        err: 'syncline: filter: got an empty text, accepted a filter such as "1 AND vip"; for everybody leave it out\n',
      });
  expect((await cli(`audience count ${hook}`)).err).toContain(
    'is of platform webhook; people stand in connections of platform database',
  );
});

it('makes, previews, tries and sends a campaign, and tells who got what', async () => {
  await cli(['audience', 'unsubscribe', members, '--user', memberId(10)]);
  const definition = {
    audience: { connection: members, filter: 'vip' },
    channel: hook,
    template: { text: 'Hi {{name}} of {{city}}' },
    throttle: 50,
  };
  expect((await cli(['campaign', 'create', campaign, file(definition)])).out).toContain(
    `Created campaign ${campaign}.`,
  );
  const preview = await cli(`campaign preview ${campaign} --samples 1`);
  expect(preview.out).toBe(
    [
      '11 recipients',
      '  left out: 1 unsubscribed',
      'About 1 s at 50 a second.',
      `${memberId(0)}: {"text":"Hi Member 0 of City 0"}`,
      `Next: npx syncline campaign test ${campaign} --users ID, then npx syncline campaign start ${campaign}`,
      '',
    ].join('\n'),
  );
  expect((await cli(`campaign report ${campaign}`)).out).toContain('never started; its audience is not frozen yet');
  const test = await cli(`campaign test ${campaign} --users ${memberId(3)}`);
  expect([test.code, test.out]).toEqual([0, expect.stringContaining(`${memberId(3)}  sent  200`)]);
  expect(receiver.received.get(memberId(3))).toBe(1);
  const began = performance.now();
  const started = await cli(`campaign start ${campaign}`);
  expect(started.out).toContain(`Follow it with: npx syncline campaign report ${campaign}`);
  expect(performance.now() - began, 'it waits for nobody').toBeLessThan(5_000);
  const report = await until('the end', async () => {
    const said = await cli(`campaign report ${campaign}`);
    return said.out.includes('completed') && said;
  });
  expect(report.out).toContain(`Campaign ${campaign}: completed, 11 recipients`);
  expect(report.out).toMatch(/sent +11/);
  expect(report.out).toMatch(/skipped unsubscribed +1/);
  expect(JSON.parse((await cli(`campaign report ${campaign} --list skipped --json`)).out).skipped).toMatchObject([
    { user: memberId(10), reason: 'unsubscribed' },
  ]);
  expect((await cli('campaign list')).out).toContain(`${members} by ${hook}`);
  const again = await cli(['campaign', 'create', campaign, file({ ...definition, attempts: 3 })]);
  expect([again.code, again.err]).toEqual([1, expect.stringContaining(`Campaign "${campaign}" is frozen`)]);
});

it('pauses, resumes and cancels', async () => {
  const name = fresh();
  await cli([
    'campaign',
    'create',
    name,
    file({ audience: { connection: members }, channel: hook, template: { text: 'x' }, throttle: 5 }),
  ]);
  await cli(`campaign start ${name}`);
  await until('the freeze', async () => (await cli(`campaign report ${name}`)).out.includes('recipients'));
  expect((await cli(`campaign start ${name}`)).err).toContain(
    `Campaign ${name} is sent already: workflow id campaign-${name}.`,
  );
  expect((await cli(`campaign pause ${name}`)).out).toContain(
    `paused: messages on their way are still written down. Go on with: npx syncline campaign resume ${name}`,
  );
  expect((await cli(`campaign report ${name}`)).out).toContain('paused');
  expect((await cli(`campaign resume ${name}`)).out).toBe(`Campaign ${name} goes on.\n`);
  expect((await cli(`campaign cancel ${name}`)).out).toContain(
    `Cancelled campaign ${name}. Who was not sent to stays planned`,
  );
  const { states } = JSON.parse((await cli(`campaign report ${name} --json`)).out);
  expect(Object.keys(states).sort()).toEqual(['planned', 'sent', 'skipped']);
  expect(states.planned + states.sent + states.skipped).toBe(120);
  expect((await cli(`campaign cancel ${name}`)).err).toContain('is not sent at the moment: nothing to cancel');
});
