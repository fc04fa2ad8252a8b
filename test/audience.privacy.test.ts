import { describe, expect, inject, it } from 'vitest';
import { startReceiver } from '../sandbox/receiver.ts';
import { startSmtpSink } from '../sandbox/smtp.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { startWechatSandbox } from '../sandbox/wechat.ts';
import { define, launch, people } from './harness/audience.ts';
import { historyJson, scan } from './harness/scan.ts';
import { until } from './harness/until.ts';
import { startWorkerProcess } from './harness/worker-process.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const { servers, key, config } = world;
const { bundle } = inject('shared');
const worker = startWorkerProcess({ servers, key, bundle, taskQueue: config.taskQueue, logLevel: 'DEBUG' });
world.onClose(() => worker.stop());

/** Somebody who cannot be mixed up with anything. */
const person = {
  full_name: 'Zebediahx Quuxington',
  city: 'Whisperville',
  mail: 'zebediahx@quux.example',
  wx_openid: 'oZebediahxQuuxington',
};
const user = 'u00000000';
const secrets = { hook: 'hook-secret-4711', app: 'app-secret-of-the-mini-program', mail: 'mail-password-4711' };
const databasePassword = decodeURIComponent(new URL(servers.databaseUrl).password);
const never = [...Object.values(person), user, ...Object.values(secrets), databasePassword, 'Hello Zebediahx'];

/** Follows a campaign to its end and finds no trace of the person or of a secret in what Temporal keeps and the worker says. */
async function expectSilent(
  channel: string,
  template: Record<string, unknown>,
  more: Record<string, unknown> = {},
): Promise<Record<string, number>> {
  const connection = await people(world, { count: 3, record: (n) => (n === 0 ? person : {}) });
  if ('templateId' in template)
    await world.pool.query(
      `INSERT INTO audience.grants SELECT $1, data->>'wx_openid', $2, 5 FROM audience.users WHERE connection_id = $3 ON CONFLICT DO NOTHING`,
      [channel, template.templateId, connection],
    );
  const name = await define(world, { connection }, channel, { template, attempts: 1, ...more });
  const run = await launch(world, name);
  const seen: Record<string, unknown> = {};
  await until('the end of a campaign', async () => {
    const { raw, status } = await run.describe();
    if ((raw.pendingActivities ?? []).length > 0) seen[`pending ${Object.keys(seen).length}`] = raw.pendingActivities;
    return status.name !== 'RUNNING';
  });
  const outcome = await run
    .result()
    .catch((error: Error) => ({ states: {}, error: error.message, cause: error.cause }));
  Object.assign(seen, {
    history: historyJson(await run.fetchHistory()),
    description: (await run.describe()).raw,
    progress: await run.query('progress'),
    metadata: await run.query('__temporal_workflow_metadata'),
    outcome,
    log: worker.output(),
  });
  expect(scan(seen, never)).toEqual([]);
  return outcome.states as Record<string, number>;
}

describe('nothing of a person and no secret is seen', () => {
  it('of a webhook that works, refuses, echoes what it was sent, and breaks', async () => {
    const receiver = await startWebhookSandbox({ secret: secrets.hook });
    world.onClose(() => receiver.stop());
    const hook = await world.connect({
      platform: 'webhook',
      baseUrl: `${receiver.url}/in?token=${secrets.hook}`,
      credential: JSON.stringify({ signSecret: secrets.hook }),
    });
    const template = { text: 'Hello {{name}} of {{city}}' };
    expect(await expectSilent(hook, template)).toEqual({ sent: 3 });
    const echo = { error: `refused for ${person.full_name}`, to: user, data: person };
    for (const status of [200, 500]) {
      receiver.setFaults([{ type: 'answer', status, body: echo, to: [user] }]);
      const states = await expectSilent(hook, template);
      expect(states.sent).toBe(2);
    }
    receiver.setFaults([{ type: 'cut-after', to: [user] }]);
    expect(await expectSilent(hook, template)).toEqual({ sent: 2, unknown: 1 });
    receiver.setFaults([{ type: 'answer', status: 401, body: echo }]);
    expect(await expectSilent(hook, template)).toEqual({});
  }, 120_000);

  it('of WeChat, whose errors quote fields', async () => {
    const mini = await startWechatSandbox({ grantsOfEach: 9 });
    world.onClose(() => mini.stop());
    const account = await world.connect({
      platform: 'wechat',
      baseUrl: mini.url,
      credential: JSON.stringify({ appSecret: secrets.app }),
      options: { appId: mini.appId },
    });
    const template = { templateId: mini.templateId, data: { thing1: '{{name}}' } };
    expect(await expectSilent(account, template)).toEqual({ sent: 3 });
    mini.setFaults([
      {
        type: 'answer',
        body: { errcode: 47003, errmsg: `data.thing1.value ${person.full_name} invalid` },
        to: [person.wx_openid],
      },
    ]);
    expect(await expectSilent(account, template)).toEqual({ sent: 2, refused: 1 });
    mini.setFaults([{ type: 'answer', body: { errcode: 43107, errmsg: person.full_name } }]);
    expect(await expectSilent(account, template)).toEqual({});
  });

  it('of mail, whose servers quote addresses', async () => {
    const sink = await startSmtpSink({
      refuse: new Map([[person.mail, { code: 550, text: `no mailbox ${person.mail} for ${person.full_name}` }]]),
    });
    world.onClose(() => sink.stop());
    const account = await world.connect({
      platform: 'smtp',
      baseUrl: sink.url,
      credential: JSON.stringify({ password: secrets.mail }),
      options: { from: 'a@b.org' },
    });
    expect(await expectSilent(account, { subject: 'Hello {{name}}', text: 'x' })).toEqual({ sent: 2, refused: 1 });
  });

  it('of a receiver that is away', async () => {
    const gone = await startReceiver({
      read: () => ({ address: '', key: '' }),
      take: () => ({ delivered: true, status: 200, body: {} }),
      limited: { status: 429, body: {} },
    });
    await gone.stop();
    const away = await world.connect({
      platform: 'webhook',
      baseUrl: `${gone.url}/in?token=${secrets.hook}`,
      credential: JSON.stringify({ signSecret: secrets.hook }),
    });
    const deadline = new Date(Date.now() + 3_000).toISOString();
    expect(await expectSilent(away, { text: 'Hello {{name}}' }, { deadline })).toEqual({ skipped: 3 });
  });
});
