import type { WorkflowFailedError } from '@temporalio/client';
import { describe, expect, it, onTestFinished } from 'vitest';
import { addChannels, channels } from '../connectors/channel.index.ts';
import { startReceiver } from '../sandbox/receiver.ts';
import { startSmtpSink } from '../sandbox/smtp.ts';
import { startWechatSandbox } from '../sandbox/wechat.ts';
import { define, deliveries, launch, mailOf, openidOf, people, tally, userOf } from './harness/audience.ts';
import { lantern } from './harness/lantern.channel.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

let numbers = 0;
async function someone(count: number, record?: (n: number) => Record<string, unknown>) {
  const from = numbers;
  numbers += count;
  return { from, connection: await people(world, { count, from, ...(record && { record }) }) };
}

describe('WeChat subscribe messages', async () => {
  const mini = await startWechatSandbox({ grantsOfEach: 1 });
  world.onClose(() => mini.stop());
  const connect = (secrets: Record<string, string> = {}, options: Record<string, unknown> = {}) =>
    world.connect({
      platform: 'wechat',
      baseUrl: mini.url,
      credential: JSON.stringify({ appSecret: mini.appSecret, ...secrets }),
      options: { appId: mini.appId, ...options },
    });
  const account = await connect();
  const template = { templateId: mini.templateId, data: { thing1: 'Hi {{name}}', date2: '2026-11-30' } };
  const got = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => mini.received.get(openidOf(from + i)) ?? 0);

  const grant = (channel: string, from: number, grants: number[]) =>
    world.pool.query(
      `INSERT INTO audience.grants (connection_id, address, template, remaining) SELECT $1, a, $2, r FROM unnest($3::text[], $4::int[]) AS g(a, r)`,
      [channel, mini.templateId, grants.map((_, i) => openidOf(from + i)), grants],
    );
  const remaining = async (channel: string, from: number, count: number) => {
    const { rows } = await world.pool.query(
      'SELECT address, remaining FROM audience.grants WHERE connection_id = $1 AND address = ANY($2) ORDER BY address',
      [channel, Array.from({ length: count }, (_, i) => openidOf(from + i))],
    );
    return rows.map((row) => row.remaining);
  };

  it('use up one grant each; who has none is never asked', async () => {
    const { from, connection } = await someone(6);
    await grant(account, from, [1, 2, 0, 1, 1, 1]);
    const name = await define(world, { connection }, account, { template });
    const before = mini.counts.messages;
    const result = await (await launch(world, name)).result();
    expect(result.states).toEqual({ sent: 5, refused: 1 });
    expect(result.reasons).toEqual({ 'refused no_grant': 1 });
    expect(got(from, 6)).toEqual([1, 1, 0, 1, 1, 1]);
    expect(mini.counts.messages - before).toBe(5);
    expect(await remaining(account, from, 6)).toEqual([0, 1, 0, 0, 0, 0]);
    const { rows } = await world.pool.query(
      `SELECT count(DISTINCT provider_id)::int AS n FROM audience.deliveries d JOIN audience.campaigns c ON c.no = d.campaign_no WHERE c.id = $1 AND state = 'sent'`,
      [name],
    );
    expect(rows[0].n).toBe(5);
  });

  it('use up a grant as a test too, and give it back when nothing was sent', async () => {
    const { from, connection } = await someone(4);
    await grant(account, from, [2, 0, 2, 2]);
    const name = await define(world, { connection }, account, { template });
    mini.setFaults([
      { type: 'answer', body: { errcode: 40003 }, to: [openidOf(from + 2)] },
      { type: 'answer', body: { errcode: 43101 }, to: [openidOf(from + 3)] },
    ]);
    const { users } = await world.client.workflow.execute('campaignTest', {
      args: [{ campaign: name, users: [0, 1, 2, 3].map((i) => userOf(from + i)) }],
      taskQueue: world.config.taskQueue,
      workflowId: `test-${name}`,
    });
    mini.setFaults([]);
    expect(users).toEqual([
      { outcome: 'sent', code: '0' },
      { outcome: 'refused', code: 'no_grant' },
      { outcome: 'refused', code: '40003' },
      { outcome: 'refused', code: '43101' },
    ]);
    expect(await remaining(account, from, 4)).toEqual([1, 0, 2, 0]);
  });

  it('are checked against the limits of their fields before anybody is claimed', async () => {
    const { from, connection } = await someone(3, (n) => ({ full_name: ['Ann', 'N'.repeat(18), null][n % 3] }));
    await grant(account, from, [1, 1, 1]);
    const result = await (await launch(world, await define(world, { connection }, account, { template }))).result();
    expect(result.reasons).toEqual({ 'refused too_long:thing1': 1, 'refused missing_value:name': 1 });
    expect((await remaining(account, from, 3)).sort()).toEqual([0, 1, 1]);
  });

  it.each([
    ['a text that is too long', { thing1: '{{name}} and more than twenty characters' }, 'too_long:thing1'],
    ['a value that nobody has', { thing1: '{{orders}}' }, 'missing_value:orders'],
  ])('%s stops the campaign after fifty, and leaves the others planned', async (_what, data, code) => {
    const { from, connection } = await someone(120);
    await grant(account, from, Array(120).fill(1));
    const name = await define(world, { connection }, account, {
      template: { templateId: mini.templateId, data: { ...data, date2: '2026-11-30' } },
    });
    const failed: unknown = await (await launch(world, name)).result().catch((error: unknown) => error);
    expect((failed as WorkflowFailedError).cause).toMatchObject({
      type: 'CampaignStopped',
      message: expect.stringContaining(
        `No message can be made (${code}): the first recipients were refused alike before anything was sent, and stay refused; everybody else stays planned.`,
      ),
    });
    expect(await tally(world.pool, name)).toEqual({ [`refused ${code}`]: 50, planned: 70 });
  });

  it('fifty who lack a value before one who has it are wrong for themselves', async () => {
    const last = numbers + 60;
    const { from, connection } = await someone(61, (n) => (n < last ? { full_name: null } : {}));
    await grant(account, from, Array(61).fill(1));
    const result = await (await launch(world, await define(world, { connection }, account, { template }))).result();
    expect(result.states).toEqual({ sent: 1, refused: 60 });
  });

  it('43101 empties the count, 40003 gives the grant back, -1 is tried again, 47003 is the row’s', async () => {
    const { from, connection } = await someone(6);
    await grant(account, from, [3, 3, 3, 3, 3, 3]);
    const fail = (errcode: number, i: number, times?: number) =>
      ({ type: 'answer', body: { errcode, errmsg: 'x' }, to: [openidOf(from + i)], ...(times && { times }) }) as const;
    mini.setFaults([fail(43101, 0), fail(40003, 1), fail(-1, 2, 1), fail(47003, 3)]);
    const result = await (await launch(world, await define(world, { connection }, account, { template }))).result();
    mini.setFaults([]);
    expect(result.reasons).toEqual({ 'refused 43101': 1, 'refused 40003': 1, 'refused 47003': 1 });
    expect(result.states).toEqual({ sent: 3, refused: 3 });
    expect(await remaining(account, from, 6)).toEqual([0, 3, 2, 3, 2, 2]);
  });

  it('a lost answer keeps the grant out of the count', async () => {
    const { from, connection } = await someone(2);
    await grant(account, from, [1, 1]);
    mini.setFaults([{ type: 'cut-after', to: [openidOf(from)] }]);
    const result = await (await launch(world, await define(world, { connection }, account, { template }))).result();
    mini.setFaults([]);
    expect(result.states).toEqual({ sent: 1, unknown: 1 });
    expect(await remaining(account, from, 2)).toEqual([0, 0]);
  });

  it('a token that was refused is replaced once for all of them, never forced', async () => {
    const { from, connection } = await someone(40);
    await grant(account, from, Array(40).fill(1));
    const { asked } = mini.tokens;
    mini.endToken();
    const result = await (await launch(world, await define(world, { connection }, account, { template }))).result();
    expect(result.states).toEqual({ sent: 40 });
    expect(got(from, 40).every((n) => n === 1)).toBe(true);
    expect(mini.tokens.asked - asked).toBe(1);
    expect(mini.tokens.forced).toBe(0);
  });

  it('get a fresh token as a test too, and use one grant', async () => {
    const { from, connection } = await someone(1);
    await grant(account, from, [3]);
    mini.grants.set(openidOf(from), 3);
    const name = await define(world, { connection }, account, { template });
    const test = (id: string) =>
      world.client.workflow.execute('campaignTest', {
        args: [{ campaign: name, users: [userOf(from)] }],
        taskQueue: world.config.taskQueue,
        workflowId: `test-${name}-${id}`,
      });
    const sent = { campaign: name, users: [{ outcome: 'sent', code: '0' }] };
    expect(await test('with a token in hand')).toEqual(sent);
    const { asked } = mini.tokens;
    mini.endToken();
    expect(await test('with one that ended')).toEqual(sent);
    expect(got(from, 1)).toEqual([2]);
    expect(await remaining(account, from, 1)).toEqual([1]);
    expect([mini.tokens.asked - asked, mini.tokens.forced]).toEqual([1, 0]);
  });

  it('go to one openid one at a time, over campaigns', async () => {
    const { from, connection } = await someone(8);
    const twin = await people(world, { count: 8, from });
    await grant(account, from, Array(8).fill(5));
    for (let i = 0; i < 8; i++) mini.grants.set(openidOf(from + i), 5);
    mini.setLatency(300);
    const runs = await Promise.all(
      [connection, twin].map(async (one) =>
        launch(world, await define(world, { connection: one }, account, { template })),
      ),
    );
    const results = await Promise.all(runs.map((run) => run.result()));
    mini.setLatency(0);
    expect(results.map(({ states }) => states)).toEqual([{ sent: 8 }, { sent: 8 }]);
    expect(got(from, 8).every((n) => n === 2)).toBe(true);
    expect(mini.overlaps()).toBe(0);
  });

  it.each([
    [43107, 'banned'],
    [40037, 'template id'],
  ])('%i stops the campaign, and who was not sent to keeps the grant', async (errcode, hint) => {
    const { from, connection } = await someone(5);
    await grant(account, from, Array(5).fill(1));
    mini.setFaults([{ type: 'answer', body: { errcode, errmsg: 'x' } }]);
    const run = await launch(world, await define(world, { connection }, account, { template }));
    await expect(run.result()).rejects.toMatchObject({
      cause: {
        type: 'CampaignStopped',
        message: expect.stringMatching(new RegExp(`^The channel refuses the campaign \\(${errcode}\\): .*${hint}`)),
      },
    });
    mini.setFaults([]);
    expect(await remaining(account, from, 5)).toEqual(Array(5).fill(1));
  });

  it('45009 waits until midnight in Beijing, visibly, and costs no attempt', async () => {
    const { from, connection } = await someone(2);
    await grant(account, from, [1, 1]);
    const own = await connect({}, { inFlight: 1 });
    await grant(own, from, [1, 1]);
    mini.setFaults([{ type: 'answer', body: { errcode: 45009, errmsg: 'x' } }]);
    const name = await define(world, { connection }, own, { template });
    const run = await launch(world, name);
    const { until } = await import('./harness/until.ts');
    const { campaignProgress } = await import('../workflows/audience.run.ts');
    const note = await until('the note of the wait', async () =>
      (await run.query(campaignProgress)).notes.find((one) => one.startsWith('waits')),
    );
    const at = Date.parse(/until (\S+)$/.exec(note)?.[1] ?? '');
    expect(Math.abs(((at + 8 * 3_600_000) % 86_400_000) - 0) % 86_400_000).toBeLessThan(5_000);
    await run.cancel();
    await expect(run.result()).rejects.toThrow();
    mini.setFaults([]);
    expect(
      (await deliveries(world.pool, name)).every(({ state, attempt }) => state === 'planned' && attempt === 0),
    ).toBe(true);
    expect(await remaining(own, from, 2)).toEqual([1, 1]);
  });

  it('a wrong secret ends the campaign with the way to correct it', async () => {
    const wrong = await connect({ appSecret: 'another' });
    const { from, connection } = await someone(1);
    await grant(wrong, from, [1]);
    const name = await define(world, { connection }, wrong, { template });
    const next = `Give a valid one: npx syncline connect ${wrong} --credential-env VARIABLE`;
    await expect((await launch(world, name)).result()).rejects.toMatchObject({
      cause: {
        type: 'Unauthorized',
        message: expect.stringContaining(`(40125). appId or appSecret are wrong. ${next}`),
      },
    });
    const test = world.client.workflow.execute('campaignTest', {
      args: [{ campaign: name, users: [userOf(from)] }],
      taskQueue: world.config.taskQueue,
      workflowId: `test-${name}`,
    });
    await expect(test).rejects.toMatchObject({
      cause: {
        cause: { type: 'Unauthorized', message: expect.stringContaining(`(40125). ${next}; nothing was sent`) },
      },
    });
  });
});

describe('mail', () => {
  it('is refused for one recipient and reaches the others, to one mailbox once', async () => {
    const { from, connection } = await someone(12);
    const sink = await startSmtpSink({
      refuse: new Map([
        [mailOf(from), { code: 550, text: `no such user ${mailOf(from)}` }],
        [mailOf(from + 1), { code: 450, text: 'mailbox busy' }],
      ]),
    });
    world.onClose(() => sink.stop());
    const account = await world.connect({
      platform: 'smtp',
      baseUrl: sink.url,
      credential: null,
      options: { from: 'Shop <news@shop.example>', inFlight: 3 },
    });
    const name = await define(world, { connection }, account, {
      attempts: 1,
      template: { subject: 'Grüße, {{name}}', text: 'from {{city}}', html: '<b>{{name}}</b>' },
    });
    const result = await (await launch(world, name)).result();
    expect(result.reasons).toEqual({ 'refused 550': 1, 'failed 450': 1 });
    expect(result.states).toEqual({ sent: 10, refused: 1, failed: 1 });
    expect([...sink.received.values()]).toEqual(Array(10).fill(1));
    expect(sink.counts.mostAtOnce).toBeLessThanOrEqual(3);
    const mail = sink.messages.get(mailOf(from + 2)) ?? '';
    expect(mail).toMatch(/^Message-ID: <c[0-9a-f]+\.\d+\.\d+@shop\.example>/im);
    expect(mail).toMatch(/^Subject: =\?UTF-8\?/m);
  });

  it('whose connection breaks before the answer is unknown', async () => {
    const { connection } = await someone(6);
    const sink = await startSmtpSink({ cutEvery: 3 });
    world.onClose(() => sink.stop());
    const account = await world.connect({
      platform: 'smtp',
      baseUrl: sink.url,
      credential: null,
      options: { from: 'a@b.org', inFlight: 1 },
    });
    const result = await (
      await launch(world, await define(world, { connection }, account, { template: { subject: 'x', text: 'y' } }))
    ).result();
    expect(result.states).toEqual({ sent: 4, unknown: 2 });
    expect(sink.counts.delivered).toBe(6);
  });

  it('logs in; a wrong password stops the campaign', async () => {
    const { connection } = await someone(2);
    const sink = await startSmtpSink({ user: 'shop', password: 'right' });
    world.onClose(() => sink.stop());
    const connect = (password: string, requireTls?: boolean) =>
      world.connect({
        platform: 'smtp',
        baseUrl: sink.url,
        credential: JSON.stringify({ password }),
        options: { from: 'a@b.org', user: 'shop', ...(requireTls !== undefined && { requireTls }) },
      });
    const template = { subject: 'x', text: 'y' };
    const wrong = await launch(world, await define(world, { connection }, await connect('wrong', false), { template }));
    await expect(wrong.result()).rejects.toMatchObject({
      cause: { type: 'CampaignStopped', message: expect.stringContaining('the server refuses user or password') },
    });
    const right = await launch(world, await define(world, { connection }, await connect('right', false), { template }));
    expect((await right.result()).states).toEqual({ sent: 2 });
    const open = await launch(world, await define(world, { connection }, await connect('right'), { template }));
    await expect(open.result()).rejects.toMatchObject({
      cause: { type: 'CampaignStopped', message: expect.stringContaining('(tls): the server offers no TLS') },
    });
    expect(sink.counts.delivered, 'nothing without TLS').toBe(2);
  });
});

describe('a new channel', () => {
  it('is one file, one line, one fixture', async () => {
    addChannels({ lantern }, 'test/harness/lantern.channel.ts');
    onTestFinished(() => void delete channels.lantern);
    expect(channels.lantern).toBe(lantern);
    const tower = await startReceiver({
      read: (_request, body) => ({ address: (JSON.parse(body) as { lamp: string }).lamp, key: '' }),
      take: () => ({ delivered: true, status: 200, body: { seen: true } }),
      limited: { status: 429, body: {} },
    });
    world.onClose(() => tower.stop());
    const { from, connection } = await someone(9);
    const account = await world.connect({ platform: 'lantern', baseUrl: tower.url, credential: null });
    const result = await (
      await launch(world, await define(world, { connection }, account, { template: { signal: 'three long {{name}}' } }))
    ).result();
    expect(result.states).toEqual({ sent: 9 });
    expect([...tower.received.keys()].sort()).toEqual(Array.from({ length: 9 }, (_, i) => openidOf(from + i)));
    expect(tower.counts.mostAtOnce).toBeLessThanOrEqual(4);
  });
});
