import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startSmtpSink } from '../sandbox/smtp.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, people, tally, userOf } from './harness/audience.ts';
import { openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const { world, cli } = await openCli();
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());
const hook = await world.connect({
  platform: 'webhook',
  baseUrl: receiver.url,
  credential: JSON.stringify({ signSecret: receiver.secret }),
});

let numbers = 0;
function someone(count: number) {
  numbers += count;
  return people(world, { count, from: numbers - count });
}

const rowOf = async (name: string) =>
  (await cli('campaign list')).out.split('\n').find((line) => line.startsWith(`${name} `));

it('says why a campaign failed before its audience was frozen', async () => {
  const connection = await someone(1);
  const empty = await define(world, { connection, filter: '404' }, hook);
  const started = await cli(`campaign start ${empty} --wait`);
  expect([started.code, started.err]).toEqual([1, expect.stringContaining('has nobody to send to')]);
  const why = `freezeAudience: Campaign "${empty}" has nobody to send to: its filter meets nobody.`;
  expect((await cli(`campaign report ${empty}`)).out).toContain(
    `Campaign ${empty}: failed; its audience is not frozen yet.\n  ${why}`,
  );
  expect(JSON.parse((await cli(`campaign report ${empty} --json`)).out)).toMatchObject({
    run: 'failed',
    failure: expect.stringContaining(why),
  });
  expect(await rowOf(empty)).toMatch(/ failed +not frozen, made /);
  const listed = JSON.parse((await cli('campaign list --json')).out).find(({ id }: { id: string }) => id === empty);
  expect(listed).toMatchObject({ run: 'failed', failure: expect.stringContaining(why) });
});

it('tells of several runs the newest, and of none that Temporal knows what the database does', {
  timeout: 120_000,
}, async () => {
  const connection = await someone(3);
  const name = await define(world, { connection }, hook, { deadline: '2001-01-01T00:00:00Z' });
  const change = (sql: string) => world.pool.query(`UPDATE audience.campaigns SET ${sql} WHERE id = $1`, [name]);
  await change("definition = definition - 'deadline'");
  expect((await cli(`campaign start ${name} --wait`)).code).toBe(0);
  await change(`definition = definition || '{"deadline":"2001-01-01T00:00:00Z"}'`);
  // One of them is left, as a cancelled run leaves them.
  await world.pool.query(
    `UPDATE audience.deliveries SET state = 'planned' WHERE no = 1 AND campaign_no = (SELECT no FROM audience.campaigns WHERE id = $1)`,
    [name],
  );
  const id = `other-${name}`;
  expect(
    (await cli(`campaign start ${name} --wait --id campaign-${name}`)).code,
    'the claim is still the first one’s',
  ).toBe(1);
  const report = await cli(`campaign report ${name}`);
  expect(report.out).toContain(
    `Campaign ${name}: failed, 3 recipients\n  beginCampaign: Campaign "${name}": its deadline`,
  );
  await world.pool.query('UPDATE syncline.claims SET workflow_id = $2 WHERE connection_id = $1', [
    `campaign ${name}`,
    id,
  ]);
  await world.client.workflowService.deleteWorkflowExecution({
    namespace: world.client.options.namespace,
    workflowExecution: { workflowId: `campaign-${name}` },
  });
  // Temporal deletes an execution by a task of its own, about 20 s after it was told to.
  await expect
    .poll(async () => (await cli(`campaign report ${name}`)).out, { timeout: 90_000 })
    .toContain(`Campaign ${name}: ended, 3 recipients`);
  await world.pool.query('UPDATE audience.campaigns SET ended_at = NULL WHERE id = $1', [name]);
  expect((await cli(`campaign report ${name}`)).out).toContain(`Campaign ${name}: cut off, 3 recipients`);
});

it('lists who was left out, each with the reason', async () => {
  const mails = ['a@x.org', 'A@x.org', null, 'none', 'e@x.org', 'f@x.org', 'g@x.org'];
  numbers += mails.length;
  const first = numbers - mails.length;
  const connection = await people(world, {
    ...{ count: mails.length, from: first, tags: (n) => [n - first] },
    record: (n) => ({ mail: mails[n - first] }),
  });
  const sink = await startSmtpSink();
  world.onClose(() => sink.stop());
  const account = await world.connect({
    ...{ platform: 'smtp', baseUrl: sink.url, credential: null },
    options: { from: 'news@x.org' },
  });
  const template = { subject: 'Hello', text: 'Hello {{name}}' };
  const capped = await define(world, { connection, filter: '4' }, account, { template });
  expect((await cli(`campaign start ${capped} --wait`)).code).toBe(0);
  expect((await cli(`audience unsubscribe ${connection} --user ${userOf(first + 5)}`)).code).toBe(0);
  const cap = { messages: 1, days: 1 };
  const name = await define(world, { connection, exclude: [userOf(first + 6)] }, account, { cap, template });
  expect((await cli(`campaign start ${name} --wait`)).out).toContain('Done: skipped 6, sent 1');
  const { out } = await cli(`campaign report ${name} --list skipped`);
  const rows = [...out.matchAll(/^(u\d+) +skipped +(\w+)/gm)].map(([, user, reason]) => [user, reason]);
  const reasons = [
    [1, 'same_address'],
    [2, 'no_address'],
    [3, 'bad_address'],
    [4, 'frequency_cap'],
    [5, 'unsubscribed'],
    [6, 'excluded'],
  ] as const;
  expect(rows.sort()).toEqual(reasons.map(([n, reason]) => [userOf(first + n), reason]));
});

it('ends with a code of its own when nobody was reached', async () => {
  receiver.setFaults([{ type: 'answer', status: 400 }]);
  const refused = await define(world, { connection: await someone(2) }, hook);
  const said = await cli(`campaign start ${refused} --wait`);
  expect([said.code, said.out]).toEqual([1, expect.stringContaining('Nobody was reached: refused 2')]);
  expect((await cli(`campaign report ${refused}`)).out).toContain(
    '2 got nothing for good: another start does not try them again',
  );
  const again = await cli(`campaign start ${refused}`);
  expect([again.code, again.out, again.err]).toEqual([
    1,
    '',
    expect.stringContaining(`Everybody of campaign ${refused} has an outcome: a start would send to nobody.`),
  ]);
  const preview = await cli(`campaign preview ${refused}`);
  expect([preview.code, preview.out]).toEqual([
    1,
    expect.stringContaining(
      'A start would fail: everybody of its frozen audience has an outcome. Make another campaign: npx syncline campaign create NAME FILE\n',
    ),
  ]);
  receiver.setFaults([{ type: 'cut-after' }]);
  const lost = await define(world, { connection: await someone(2) }, hook);
  const unknown = await cli(`campaign start ${lost} --wait`);
  receiver.setFaults([]);
  expect([unknown.code, unknown.out]).toEqual([
    4,
    expect.stringContaining('Nobody is known to have been reached: unknown 2'),
  ]);
});

it('tests with users that are all there, once each, and says what went wrong', async () => {
  const connection = await someone(2);
  const [first, second] = [userOf(numbers - 2), userOf(numbers - 1)];
  const name = await define(world, { connection }, hook);
  const test = (users: string) => cli(`campaign test ${name} --users ${users}`);
  const before = receiver.counts.messages;
  expect(await test(`${first},nobody`)).toMatchObject({
    code: 1,
    err: expect.stringContaining(`users.1: no such user in connection "${connection}"; nothing was sent`),
  });
  expect(receiver.counts.messages - before, 'nobody got it').toBe(0);
  const twice = await test(`${first},${first}`);
  expect([twice.code, twice.out.match(/ sent /g)?.length]).toEqual([0, 1]);
  expect(receiver.received.get(first)).toBe(1);

  const away = await startWebhookSandbox();
  const own = { platform: 'webhook', baseUrl: away.url, credential: JSON.stringify({ signSecret: away.secret }) };
  const gone = await define(world, { connection }, await world.connect(own));
  await away.stop();
  expect((await cli(`campaign test ${gone} --users ${second}`)).err).toMatch(/The test failed: .*; nothing was sent/);
});

it('lets deadline, throttle and quiet hours be changed after the freeze, and nothing else', async () => {
  const connection = await someone(4);
  const name = await define(world, { connection }, hook, { throttle: 0.5 });
  const path = join(tmpdir(), `${name}.json`);
  const create = (more: Record<string, unknown>) => {
    const definition = { audience: { connection }, channel: hook, template: { text: 'Hello {{name}}' }, ...more };
    writeFileSync(path, JSON.stringify(definition));
    return cli(['campaign', 'create', name, path]);
  };
  expect((await create({ throttle: 0.5 })).code).toBe(0);
  const running = cli(`campaign start ${name} --wait`);
  await until('the first message', async () => (await tally(world.pool, name)).sent === 1);
  await cli(`campaign pause ${name}`);
  expect((await create({ throttle: 1, attempts: 2 })).err).toContain('only deadline, throttle, quiet can be changed');
  expect((await create({ deadline: '2001-01-01T00:00:00Z' })).out).toContain(`Changed campaign ${name}.`);
  await cli(`campaign resume ${name}`);
  const said = await running;
  expect([said.code, said.out]).toEqual([1, expect.stringContaining('The deadline came first: ')]);
  expect((await tally(world.pool, name))['skipped deadline']).toBeGreaterThan(0);
});
