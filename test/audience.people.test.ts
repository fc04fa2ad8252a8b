import { expect, it } from 'vitest';
import { unsubscribe as unsubscribeBy } from '../activities/audience/unsubscribe.ts';
import { unsubscribe } from '../db/audience/unsubscribes.ts';
import { startSmtpSink } from '../sandbox/smtp.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, deliveries, launch, mailOf, people, userOf } from './harness/audience.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const sink = await startSmtpSink();
world.onClose(() => sink.stop());
const mail = await world.connect({
  platform: 'smtp',
  baseUrl: sink.url,
  credential: null,
  options: { from: 'a@b.org' },
});
const template = { subject: 'Hi', text: 'Hi {{name}}' };
it('an address that unsubscribed in other letter case gets nothing, and gets it again', async () => {
  const connection = await people(world, { count: 3, record: (n) => (n === 1 ? { mail: 'Person1@Example.org' } : {}) });
  const gone = [' PERSON0@example.org ', 'person1@EXAMPLE.org'];
  for (const value of gone) {
    for (const channel of ['', 'smtp'])
      await unsubscribe(world.pool, { connection, kind: 'address', value, channel }, false);
  }
  const name = await define(world, { connection }, mail, { template });
  expect((await (await launch(world, name)).result()).states).toEqual({ sent: 1, skipped: 2 });
  expect([...sink.received.keys()]).toEqual([mailOf(2)]);
  for (const value of gone) {
    for (const channel of ['', 'smtp'])
      expect(
        await unsubscribe(world.pool, { connection, kind: 'address', value: value.toUpperCase(), channel }, true),
      ).toBe(true);
  }
  const again = await define(world, { connection }, mail, { template });
  expect((await (await launch(world, again)).result()).states).toEqual({ sent: 3 });
});

it('a webhook with mail addresses compares them as mail does: for unsubscribes and for who is one person', async () => {
  const receiver = await startWebhookSandbox();
  world.onClose(() => receiver.stop());
  const hook = await world.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: receiver.secret }),
    options: { address: 'email' },
  });
  const mails = ['Anna@x.example', 'Ben@x.example', 'BEN@X.example', 'Cleo@x.example'];
  const connection = await people(world, { count: 4, from: 20, record: (n) => ({ mail: mails[n - 20] }) });
  const gone = (value: string) =>
    unsubscribe(world.pool, { connection, kind: 'address', value, channel: 'webhook' }, false);
  await gone('anna@X.example');
  const name = await define(world, { connection }, hook, { throttle: 0.5 });
  const run = await launch(world, name);
  await until('the freeze', async () => (await deliveries(world.pool, name)).length === 4);
  await gone('CLEO@x.example');
  expect((await run.result()).reasons).toEqual({ 'skipped unsubscribed': 2, 'skipped same_address': 1 });
  expect([...receiver.received.keys()]).toEqual(['ben@x.example']);
});

it('an address that unsubscribes in other letter case after the freeze is skipped', async () => {
  const connection = await people(world, { count: 2 });
  const name = await define(world, { connection }, mail, {
    template,
    throttle: 0.5,
  });
  const run = await launch(world, name);
  await until('the freeze', async () => (await deliveries(world.pool, name)).length === 2);
  await unsubscribe(world.pool, { connection, kind: 'address', value: 'Person1@example.ORG', channel: 'smtp' }, false);
  expect((await run.result()).reasons).toEqual({ 'skipped unsubscribed': 1 });
});

it('who unsubscribes under the id of another row with the same address gets nothing, before the freeze and after it', async () => {
  // Rows n and n + 5 are one person each; the filter meets the first five.
  const connection = await people(world, {
    count: 10,
    from: 200,
    tags: (n) => [n < 205 ? 1 : 2],
    record: (n) => ({ mail: `${n < 205 ? 'two' : 'TWO'}${n % 5}@twice.org` }),
  });
  const gone = (n: number, channel = '') =>
    unsubscribe(world.pool, { connection, kind: 'user', value: userOf(n), channel }, false);
  await gone(205);
  await world.pool.query('UPDATE audience.users SET deleted_at = now() WHERE id = $1', [userOf(205)]);
  await gone(206, 'webhook');
  const name = await define(world, { connection, filter: '1' }, mail, { template, throttle: 1 });
  const run = await launch(world, name);
  await until('the freeze', async () => (await deliveries(world.pool, name)).length === 5);
  const places = (await deliveries(world.pool, name)).filter(({ address }) => address !== null);
  // The first of them may have left already.
  const late = places.map(({ user }) => Number(user.slice(1))).slice(2);
  for (const [i, n] of late.entries()) await gone(n + 5, i === 0 ? '' : 'smtp');
  const ended = await run.result();
  expect(ended.audience.skipped).toEqual({ unsubscribed: 1 });
  expect(ended.reasons).toEqual({ 'skipped unsubscribed': 3 });
  const got = [...sink.received.keys()].filter((to) => to.endsWith('@twice.org'));
  expect(got).toEqual(places.slice(0, 2).map(({ address }) => address));
});

it('a second row of a person who is excluded or at the cap is left out with the first', async () => {
  // Rows 0 and 3, 1 and 4, 2 and 5 are one person each.
  const connection = await people(world, {
    count: 6,
    tags: (n) => [n],
    record: (n) => ({ mail: `one${n % 3}@cap.org` }),
  });
  const first = await define(world, { connection, filter: '0' }, mail, { template });
  await (await launch(world, first)).result();
  const capped = await define(world, { connection, filter: '3 OR 4', exclude: [userOf(2)] }, mail, {
    template,
    cap: { messages: 1, days: 1 },
  });
  expect((await (await launch(world, capped)).result()).audience.skipped).toEqual({ frequency_cap: 1 });
  const rest = await define(world, { connection, exclude: [userOf(2)] }, mail, { template });
  expect((await (await launch(world, rest)).result()).audience.skipped).toEqual({ excluded: 2, same_address: 2 });
  expect(sink.received.get('one2@cap.org')).toBeUndefined();
});

it('an unknown message counts towards the cap as one that was sent', async () => {
  const connection = await people(world, { count: 2, from: 50 });
  const first = await define(world, { connection }, mail, { template });
  await (await launch(world, first)).result();
  await world.pool.query(
    `UPDATE audience.deliveries d SET state = 'unknown' FROM audience.campaigns c WHERE c.no = d.campaign_no AND c.id = $1 AND d.user_id = $2`,
    [first, userOf(50)],
  );
  const cap = async (messages: number) => {
    const name = await define(world, { connection }, mail, { template, cap: { messages, days: 1 } });
    return (await launch(world, name)).result();
  };
  expect((await cap(2)).audience.recipients).toBe(2);
  const ended = await cap(2).catch((error: { cause?: { message: string } }) => error.cause?.message);
  expect(ended).toContain('left out are 2 frequency_cap');
});

it('a test of a campaign drawn from orders shows each user the own ones, and without any what the template has for those', async () => {
  const connection = await people(world, { count: 3, from: 300 });
  const users = [300, 301, 302].map(userOf);
  const now = Date.now();
  for (const [id, user, daysAgo] of [
    ['o1', users[0], 0],
    ['o2', users[0], 0],
    ['o3', users[1], 30],
  ] as const)
    await world.pool.query(
      `INSERT INTO audience.orders (connection_id, id, data, generation, synced_at, user_id, ordered_at) VALUES ($1, $2, '{}', 0, now(), $3, to_timestamp($4::float8 / 1000))`,
      [connection, id, user, now - daysAgo * 86_400_000],
    );
  const test = async (text: string) => {
    const audience = { connection, orders: { days: 2, moreThan: 2 } };
    const name = await define(world, audience, mail, { template: { subject: 'Hi', text } });
    return world.client.workflow.execute('campaignTest', {
      args: [{ campaign: name, users }],
      taskQueue: world.config.taskQueue,
      workflowId: `test-${name}`,
    });
  };
  const [sent, none] = [
    { outcome: 'sent', code: 'sent' },
    { outcome: 'refused', code: 'missing_value:orders' },
  ];
  expect(await test('{{orders}} orders, the last {{order_id}}')).toMatchObject({ users: [sent, none, none] });
  expect(await test('{{orders|no}} orders, the last {{order_id|missing}}')).toMatchObject({
    users: [sent, sent, sent],
  });
  const textOf = (n: number) => /^\w+ orders, the last \w+/m.exec(sink.messages.get(mailOf(n)) ?? '')?.[0];
  expect([300, 301, 302].map(textOf)).toEqual([
    '2 orders, the last o2',
    'no orders, the last missing',
    'no orders, the last missing',
  ]);
});

it('an unsubscribe names a channel, or a connection to one; anything else is refused', async () => {
  const connection = await people(world, { count: 1, from: 70 });
  const what = (channel: string) => ({ connection, kind: 'user' as const, value: userOf(70), channel });
  expect(await unsubscribeBy(world.pool, what(mail), false)).toEqual({ changed: true, channel: 'smtp' });
  expect(await unsubscribeBy(world.pool, what('smtp'), false)).toEqual({ changed: false, channel: 'smtp' });
  for (const wrong of ['mail', connection, 'toString'])
    await expect(unsubscribeBy(world.pool, what(wrong), false)).rejects.toThrow(
      `channel: got "${wrong}", accepted smtp, webhook, wechat, or a connection to one of them.`,
    );
});
