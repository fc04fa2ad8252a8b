import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WorkflowFailedError } from '@temporalio/client';
import { expect, it } from 'vitest';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, launch, mapping, people, tally } from './harness/audience.ts';
import { fresh, openCli } from './harness/cli.ts';

const { world, cli } = await openCli();
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());
const hook = await world.connect({
  platform: 'webhook',
  baseUrl: receiver.url,
  credential: JSON.stringify({ signSecret: receiver.secret }),
});
const members = await people(world, { count: 12, tags: (n) => [n % 2] });
const { timeZone: _timeZone, ...unzoned } = mapping.users;
const zoneless = await world.connect({
  platform: 'database',
  baseUrl: 'https://database.invalid',
  credential: null,
  options: { ...mapping, users: unzoned },
});
const smtp = await world.connect({
  platform: 'smtp',
  baseUrl: 'smtp://127.0.0.1:1',
  credential: null,
  options: { from: 'a@b.org' },
});

function file(definition: unknown): string {
  const path = join(tmpdir(), `${fresh()}.json`);
  writeFileSync(path, typeof definition === 'string' ? definition : JSON.stringify(definition));
  return path;
}

const sound = { audience: { connection: members }, channel: hook, template: { text: 'Hi {{name}}' } };

it.each([
  [
    'a variable that nobody has',
    { ...sound, template: { text: 'Hi {{nick}}' } },
    `template: got the variable {{nick}}, accepted city, name, user_id, orders, order_id (fields of connection "${members}")`,
  ],
  [
    'a variable that is none',
    { ...sound, template: { text: 'Hi {{first name}}' } },
    'template: got {{first name, accepted {{name}} or {{name|a text for those without}}',
  ],
  [
    'a filter that is none',
    { ...sound, audience: { connection: members, filter: '1 and 2' } },
    'filter, character 3: got and, accepted AND in capitals',
  ],
  [
    'an unknown field',
    { ...sound, trottle: 5 },
    'unknown field "trottle" (accepted: audience, channel, template, throttle',
  ],
  [
    'no channel',
    { audience: sound.audience, template: sound.template },
    'channel: got nothing, accepted a name of 1-64 characters',
  ],
  [
    'a deadline without a zone',
    { ...sound, deadline: 'tomorrow' },
    'deadline: got "tomorrow", accepted a moment such as 2026-12-01T18:00:00Z',
  ],
  [
    'quiet hours of a wrong zone',
    { ...sound, quiet: { from: '21:00', to: '8:00', timeZone: 'Mars/Base' } },
    'quiet.to: got "8:00", accepted a time such as 21:00',
  ],
  [
    'an unknown policy',
    { ...sound, policy: 'exactly-once' },
    'policy: got "exactly-once", accepted ("at-most-once" | "at-least-once" | "reconcile")',
  ],
  [
    'a channel that is none',
    { ...sound, channel: members },
    '"database" is no channel. Accepted: smtp, webhook, wechat',
  ],
  [
    'people that are none',
    { ...sound, audience: { connection: hook } },
    `audience.connection: "${hook}" is of platform webhook, accepted one of platform database`,
  ],
  ['a template of another channel', { ...sound, channel: smtp }, 'template.subject: got nothing, accepted'],
  [
    'a connection that is not there',
    { ...sound, channel: 'nobody' },
    'Connection "nobody" does not exist. Known connections:',
  ],
  [
    'an empty filter',
    { ...sound, audience: { connection: members, filter: ' ' } },
    'audience.filter: got an empty text, accepted a filter such as "1 AND vip"; for everybody leave the field out',
  ],
  [
    'reconcile for a channel without callbacks',
    { ...sound, channel: smtp, template: { subject: 'x', text: 'y' }, policy: 'reconcile' },
    'policy: got "reconcile", accepted "at-most-once" or "at-least-once": Mail (SMTP) has no callbacks',
  ],
  [
    'quiet hours without an hour',
    { ...sound, quiet: { from: '21:00', to: '21:00', timeZone: 'Asia/Shanghai' } },
    'quiet: got from and to 21:00, accepted two different times',
  ],
  [
    'zones of users that nobody mapped',
    {
      ...sound,
      audience: { connection: zoneless },
      quiet: { from: '21:00', to: '08:00', timeZone: 'Asia/Shanghai', zoneOf: 'user' },
    },
    `quiet.zoneOf: got "user", and connection "${zoneless}" maps no timeZone. Map it: npx syncline connect ${zoneless} --option users.timeZone=COLUMN`,
  ],
  ['no JSON', '{', 'got something that is no JSON, accepted a campaign'],
])('%s is told when the campaign is made', async (_what, definition, message) => {
  const name = fresh();
  const said = await cli(['campaign', 'create', name, file(definition)]);
  expect(said.err).toContain(message);
  expect(said.code).toBeGreaterThan(0);
  expect((await cli(['campaign', 'preview', name])).err).toContain(`Campaign "${name}" does not exist.`);
});

/** The failure that a campaign ends with. */
async function failureOf(
  definition: Record<string, unknown>,
): Promise<{ type?: string; message: string; name: string }> {
  const { audience, channel, ...more } = definition as { audience: { connection: string }; channel: string };
  const name = await define(world, audience, channel, more);
  const error = await (await launch(world, name)).result().then(
    () => expect.fail('the campaign should have failed'),
    (e: unknown) => e,
  );
  if (!(error instanceof WorkflowFailedError)) throw error;
  const { type, message } = error.cause as Error & { type?: string };
  return { ...(type !== undefined && { type }), message, name };
}

it('an audience without anybody fails, says who was left out, and can be corrected and started again', async () => {
  const { name, ...failure } = await failureOf({ ...sound, audience: { connection: members, filter: '99' } });
  expect(failure).toEqual({
    type: 'EmptyAudience',
    message: `freezeAudience: Campaign "${name}" has nobody to send to: its filter meets nobody. Nothing was frozen; look with: npx syncline campaign preview ${name}`,
  });
  const nobody = await people(world, { count: 3, record: () => ({ mail: null }) });
  const without = await failureOf({
    audience: { connection: nobody },
    channel: smtp,
    template: { subject: 'x', text: 'y' },
  });
  expect(without.message).toContain('left out are 3 no_address');
  expect(
    (await cli(['campaign', 'create', name, file({ ...sound, audience: { connection: members, filter: '1' } })])).out,
  ).toContain(`Changed campaign ${name}.`);
  expect((await (await launch(world, name)).result()).states).toEqual({ sent: 6 });
});

it('a deadline that is over fails before anything is frozen', async () => {
  const { name, ...failure } = await failureOf({ ...sound, deadline: '2026-01-01T00:00:00Z' });
  expect(failure.type).toBe('DeadlinePassed');
  expect(failure.message).toContain(
    `Campaign "${name}": its deadline 2026-01-01T00:00:00Z is over; nothing was sent by this run.`,
  );
  expect((await world.pool.query('SELECT frozen_at FROM audience.campaigns WHERE id = $1', [name])).rows).toEqual([
    { frozen_at: null },
  ]);
});

it('a webhook that answers 200 with an error to everybody stops the campaign', async () => {
  const many = await people(world, { count: 200, from: 1_000 });
  const account = await world.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: receiver.secret }),
    options: { inFlight: 10 },
  });
  receiver.setFaults([{ type: 'answer', status: 200, body: { ok: false, error: 'no such template' } }]);
  const failure = await failureOf({ ...sound, audience: { connection: many }, channel: account });
  receiver.setFaults([]);
  expect(failure.type).toBe('CampaignStopped');
  expect(failure.message).toContain(
    'The channel refuses the campaign (error_body): the receiver answers 200 with an error in its body: look at its log.',
  );
  const states = await tally(world.pool, failure.name);
  expect(states['refused error_body']).toBeLessThanOrEqual(120);
  expect(states.planned).toBeGreaterThan(0);
});

it('an id that cannot be kept costs nobody an outcome', async () => {
  receiver.setFaults([{ type: 'answer', status: 200, body: { id: 'half\u0000way' }, times: 2 }]);
  const name = await define(world, sound.audience, hook);
  expect(await (await launch(world, name)).result()).toMatchObject({ states: { sent: 12 } });
  receiver.setFaults([]);
});

it('a wrong secret stops the campaign', async () => {
  const wrong = await world.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: 'other' }),
  });
  const failure = await failureOf({ ...sound, channel: wrong });
  expect(failure.message).toContain(
    'The channel refuses the campaign (401): the receiver does not take messages at this address or with this secret',
  );
});

it('a receiver that is away is waited for, at the cost of no attempt', async () => {
  const { startReceiver } = await import('../sandbox/receiver.ts');
  const gone = await startReceiver({
    read: () => ({ address: 'x', key: '' }),
    take: () => ({ delivered: true, status: 200, body: {} }),
    limited: { status: 429, body: {} },
  });
  await gone.stop();
  const away = await world.connect({
    platform: 'webhook',
    baseUrl: gone.url,
    credential: JSON.stringify({ signSecret: 'x' }),
  });
  const name = await define(world, sound.audience, away);
  const run = await launch(world, name);
  const { until } = await import('./harness/until.ts');
  const told = await until('the failure to be seen', async () => {
    const { raw } = await run.describe();
    return raw.pendingActivities?.find((one) => (one.attempt ?? 0) > 1)?.lastFailure?.message;
  });
  expect(told).toBe(`${gone.url}/ did not answer (ECONNREFUSED)`);
  await run.cancel();
  await expect(run.result()).rejects.toThrow();
  expect(await tally(world.pool, name)).toEqual({ planned: 12 });
});

it('wrong input of a start names the field', async () => {
  for (const [input, message] of [
    [{}, 'campaign: got nothing, accepted a name'],
    [{ campaign: 'No' }, 'campaign: got "No", accepted a name'],
    [{ campaign: 'nobody-at-all' }, 'Campaign "nobody-at-all" does not exist.'],
  ] as const) {
    const error = await world.client.workflow
      .execute('campaign', { args: [input], taskQueue: world.config.taskQueue, workflowId: fresh() })
      .catch((e: unknown) => e);
    expect((error as WorkflowFailedError).cause?.message).toContain(message);
  }
});
