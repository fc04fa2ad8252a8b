import fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { loadConnection } from '../db/connections.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { startWechatSandbox } from '../sandbox/wechat.ts';
import { callbacksPlugin } from '../workers/api/callbacks.ts';
import { define, deliveries, launch, openidOf, people, tally, userOf } from './harness/audience.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const app = fastify();
await app.register(
  callbacksPlugin({ deps: { pool: world.pool, connection: (id) => loadConnection(world.pool, world.key, id) } }),
);
world.onClose(() => app.close());

let numbers = 0;
async function someone(count: number) {
  const from = numbers;
  numbers += count;
  return { from, connection: await people(world, { count, from }) };
}

describe('of a webhook', async () => {
  const receiver = await startWebhookSandbox();
  world.onClose(() => receiver.stop());
  const hook = await world.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: receiver.secret }),
  });
  const post = (events: Parameters<typeof receiver.callback>[0], connection = hook) => {
    const { headers, body } = receiver.callback(events);
    return app.inject({ method: 'POST', url: `/callbacks/${connection}`, headers, payload: body });
  };
  const keyOf = (address: string) => [...receiver.keys].find(([, to]) => to === address)?.[0] ?? '';

  it('move sent to delivered or failed, once, whatever comes twice', async () => {
    const { from, connection } = await someone(4);
    const name = await define(world, { connection }, hook);
    await (await launch(world, name)).result();
    const keys = Array.from({ length: 4 }, (_, i) => keyOf(userOf(from + i)));
    const answer = await post([
      { key: keys[0] as string, status: 'delivered' },
      { key: keys[1] as string, status: 'failed', reason: 'moved' },
    ]);
    expect([answer.statusCode, answer.body]).toEqual([200, '{"ok":true}']);
    await post([{ key: keys[1] as string, status: 'delivered' }]);
    expect(await tally(world.pool, name)).toEqual({ delivered: 1, 'failed moved': 1, sent: 2 });
  });

  it('of somebody else, of a wrong form or of a message nobody knows change nothing', async () => {
    const { from, connection } = await someone(1);
    const name = await define(world, { connection }, hook);
    await (await launch(world, name)).result();
    const key = keyOf(userOf(from));
    const { headers, body } = receiver.callback([{ key, status: 'delivered' }]);
    const send = (change: { headers?: Record<string, string>; body?: string; connection?: string }) =>
      app.inject({
        method: 'POST',
        url: `/callbacks/${change.connection ?? hook}`,
        headers: { ...headers, ...change.headers },
        payload: change.body ?? body,
      });
    expect((await send({ body: body.replace('delivered', 'failed') })).statusCode).toBe(401);
    expect((await send({ headers: { 'x-syncline-signature': `t=1,v1=${'0'.repeat(64)}` } })).statusCode).toBe(401);
    expect((await send({ connection: 'nobody' })).statusCode).toBe(404);
    expect((await send({ connection })).statusCode, 'people are no channel').toBe(404);
    const other = await world.connect({
      platform: 'webhook',
      baseUrl: receiver.url,
      credential: JSON.stringify({ signSecret: receiver.secret }),
    });
    expect((await post([{ key, status: 'failed' }], other)).statusCode, 'another account with the same secret').toBe(
      200,
    );
    expect((await post([{ key: `${name}.1.999`, status: 'failed' }])).statusCode).toBe(200);
    expect((await post([{ key: "x'; DROP TABLE audience.campaigns; --.1.1", status: 'failed' }])).statusCode).toBe(200);
    const odd = receiver.callback([] as never);
    expect(
      (await app.inject({ method: 'POST', url: `/callbacks/${hook}`, headers: odd.headers, payload: odd.body }))
        .statusCode,
    ).toBe(200);
    expect((await post([{ key, status: 'lost' as never }])).statusCode).toBe(400);
    expect(await tally(world.pool, name)).toEqual({ sent: 1 });
  });

  it('tell what became of those without an answer: reconcile waits for them, at-least-once spares them', async () => {
    const { from, connection } = await someone(6);
    receiver.setFaults([{ type: 'cut-after', to: [userOf(from), userOf(from + 1)] }]);
    const name = await define(world, { connection }, hook, { policy: 'reconcile', reconcileMinutes: 5 });
    const run = await launch(world, name);
    await until('two unknown ones', async () => (await tally(world.pool, name))['unknown no_answer'] === 2);
    receiver.setFaults([]);
    await post([
      { key: keyOf(userOf(from)), status: 'delivered' },
      { key: keyOf(userOf(from + 1)), status: 'failed' },
    ]);
    expect((await run.result()).states).toEqual({ sent: 4, delivered: 1, failed: 1 });

    const again = await someone(1);
    receiver.setFaults([{ type: 'cut-after', to: [userOf(again.from)] }]);
    const second = await define(world, { connection: again.connection }, hook, { policy: 'at-least-once' });
    const retried = await launch(world, second);
    await until('the first try', async () => (await deliveries(world.pool, second))[0]?.attempt === 1);
    await post([{ key: keyOf(userOf(again.from)), status: 'delivered' }]);
    expect((await retried.result()).states).toEqual({ delivered: 1 });
    receiver.setFaults([]);
    expect(receiver.received.get(userOf(again.from)), 'not sent again').toBe(1);
  });
});

describe('of WeChat', async () => {
  const mini = await startWechatSandbox({ grantsOfEach: 1 });
  world.onClose(() => mini.stop());
  const account = await world.connect({
    platform: 'wechat',
    baseUrl: mini.url,
    credential: JSON.stringify({ appSecret: mini.appSecret, callbackToken: mini.callbackToken }),
    options: { appId: mini.appId },
  });
  const template = { templateId: mini.templateId, data: { thing1: '{{name}}' } };
  const push = (event: Record<string, unknown>, ageSeconds?: number) => {
    const { query, body } = mini.push(event, ageSeconds);
    return app.inject({
      method: 'POST',
      url: `/callbacks/${account}?${query}`,
      headers: { 'content-type': 'text/xml' },
      payload: body,
    });
  };
  const accept = (openid: string, more: Record<string, unknown> = {}) => ({
    Event: 'subscribe_msg_popup_event',
    FromUserName: openid,
    List: { TemplateId: mini.templateId, SubscribeStatusString: 'accept', PopupScene: '0' },
    ...more,
  });
  const remaining = async (openid: string) => {
    const { rows } = await world.pool.query(
      'SELECT remaining FROM audience.grants WHERE connection_id = $1 AND address = $2',
      [account, openid],
    );
    return rows[0]?.remaining;
  };

  it('answer whether the address is ours, to who knows the token', async () => {
    const { query } = mini.push({});
    const ask = (text: string) => app.inject({ method: 'GET', url: `/callbacks/${account}?${text}&echostr=4711` });
    expect((await ask(query)).body).toBe('4711');
    expect((await ask(query.replace(/signature=\w{4}/, 'signature=0000'))).statusCode).toBe(401);
  });

  it('are refused once their signature is old: somebody recorded it', async () => {
    const openid = openidOf(900_001);
    expect((await push(accept(openid), 360)).statusCode).toBe(401);
    expect((await push(accept(openid), -360)).statusCode).toBe(401);
    expect(await remaining(openid)).toBeUndefined();
    expect((await push(accept(openid), 200)).statusCode).toBe(200);
  });

  it('count grants as people give them and take them back, each event once', async () => {
    const openid = openidOf(900_000);
    await push(accept(openid, { CreateTime: 1 }));
    await push(accept(openid, { CreateTime: 1 }));
    await push(
      accept(openid, {
        CreateTime: '2',
        List: [accept(openid).List, { TemplateId: 'other', SubscribeStatusString: 'reject' }],
      }),
    );
    expect(await remaining(openid)).toBe(2);
    await push({
      Event: 'subscribe_msg_change_event',
      FromUserName: openid,
      List: { TemplateId: mini.templateId, SubscribeStatusString: 'reject' },
    });
    expect(await remaining(openid)).toBe(0);
  });

  it('tell what was delivered, by the vendor’s id, and of a lost answer by openid and template', async () => {
    const { from, connection } = await someone(4);
    for (let i = 0; i < 4; i++) await push(accept(openidOf(from + i)));
    mini.setFaults([{ type: 'cut-after', to: [openidOf(from + 3)] }]);
    const name = await define(world, { connection }, account, { template });
    await (await launch(world, name)).result();
    mini.setFaults([]);
    const idOf = (i: number) => Number([...mini.messages].find(([, openid]) => openid === openidOf(from + i))?.[0]);
    const sent = (i: number, ErrorCode: string | number, MsgID: number) => ({
      Event: 'subscribe_msg_sent_event',
      FromUserName: openidOf(from + i),
      List: { TemplateId: mini.templateId, MsgID, ErrorCode, ErrorStatus: 'success' },
    });
    expect((await push(sent(0, '0', idOf(0)))).body).toBe('success');
    await push(sent(0, 0, idOf(0)));
    await push(sent(1, '2', idOf(1)));
    await push(sent(2, '0', 12_345));
    await push(sent(3, '0', idOf(3)));
    await push(sent(3, '0', idOf(3)));
    expect(
      (await deliveries(world.pool, name))
        .sort((a, b) => (a.user < b.user ? -1 : 1))
        .map(({ state, reason }) => [state, reason]),
    ).toEqual([
      ['delivered', null],
      ['failed', '2'],
      ['sent', null],
      ['delivered', null],
    ]);
  });

  it('that overtake the answer count', async () => {
    const { from, connection } = await someone(1);
    await push(accept(openidOf(from)));
    const name = await define(world, { connection }, account, { template });
    await (await launch(world, name)).result();
    await world.pool.query(
      `UPDATE audience.deliveries d SET state = 'sending', provider_id = NULL FROM audience.campaigns c WHERE c.no = d.campaign_no AND c.id = $1`,
      [name],
    );
    const List = { TemplateId: mini.templateId, MsgID: 777, ErrorCode: '7', ErrorStatus: 'failed' };
    await push({ Event: 'subscribe_msg_sent_event', FromUserName: openidOf(from), List });
    expect(await tally(world.pool, name)).toEqual({ 'failed 7': 1 });
  });

  it('are answered and settled with U+0000 in every text, which Postgres refuses', async () => {
    const { from, connection } = await someone(2);
    for (let i = 0; i < 2; i++) await push(accept(`\0${openidOf(from + i)}`, { CreateTime: '\0' }));
    expect(await remaining(openidOf(from))).toBe(1);
    const name = await define(world, { connection }, account, { template });
    await (await launch(world, name)).result();
    const idOf = (i: number) => [...mini.messages].find(([, openid]) => openid === openidOf(from + i))?.[0];
    const sent = (MsgID: string, ErrorCode: string) => ({
      Event: 'subscribe_msg_sent_event',
      FromUserName: `${openidOf(from)}\0`,
      List: { TemplateId: `${mini.templateId}\0`, MsgID, ErrorCode, ErrorStatus: '\0' },
    });
    for (const event of [sent(`${idOf(0)}\0`, '0'), sent(`${idOf(1)}`, '43101\0'), sent('\0', '1')])
      expect([(await push(event)).statusCode, (await push(event)).body]).toEqual([200, 'success']);
    expect(await tally(world.pool, name)).toEqual({ delivered: 1, 'failed 43101': 1 });
  });
});
