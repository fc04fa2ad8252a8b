import { expect, it } from 'vitest';
import { gauges, readGauge } from '../db/gauges.ts';
import { startSmtpSink } from '../sandbox/smtp.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, people } from './harness/audience.ts';
import { openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const { world, cli } = await openCli();
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());

it('shows how far a campaign is while its first slice is in hand', async () => {
  const connection = await people(world, { count: 5, from: 10, record: (n) => (n === 14 ? { mail: null } : {}) });
  const sink = await startSmtpSink();
  world.onClose(() => sink.stop());
  const mail = await world.connect({
    ...{ platform: 'smtp', baseUrl: sink.url, credential: null },
    options: { from: 'a@b.org' },
  });
  const name = await define(world, { connection }, mail, { throttle: 1, template: { subject: 'Hi', text: 'Hi' } });
  const sees: string[] = [];
  const running = cli(`campaign start ${name} --wait`, { sees });
  await until('the second message', async () => sink.counts.delivered >= 2);
  expect((await cli(`campaign report ${name}`)).out).toMatch(
    /^ {2}running \S+ (25|50|75) % \([1-3] of 4\), \d\/s, about \d+ s to go$/m,
  );
  expect((await running).code).toBe(0);
  expect(sees.join('\n')).toMatch(/^running \S+ (25|50|75) % \([1-3] of 4\), \d\/s, about \d+ s to go$/m);
});

it('shows open campaigns in status, and counts what they leave open for /metrics', async () => {
  const connection = await people(world, { count: 6 });
  const hook = await world.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: receiver.secret }),
  });
  expect((await cli(`status ${hook}`)).out).toBe('No campaign is open. All of them: npx syncline campaign list\n');
  receiver.setFaults([{ type: 'cut-after', times: 1 }]);
  const name = await define(world, { connection }, hook, { throttle: 1 });
  await cli(`campaign start ${name}`);
  const gauge = async (state: string) =>
    (await readGauge(world.pool, gauges.syncline_campaign_recipients as never, async () => [])).find(
      ({ labels }) => labels.campaign === name && labels.state === state,
    )?.value;
  await until('the first without an answer', async () => (await gauge('unknown')) === 1);
  await cli(`campaign pause ${name}`);
  const said = await until('the rest planned again', async () => {
    const { out } = await cli(`status ${hook}`);
    return /planned \d, unknown 1/.test(out) && (await gauge('planned')) && out;
  });
  expect(said).toMatch(new RegExp(`^campaign ${name} \\(${connection} by ${hook}\\)\n  run +paused, since `));
  expect(said).toMatch(/ people +sent \d of 6 recipients, planned \d, unknown 1\n/);
  expect(said).toContain(`npx syncline campaign resume ${name}`);
  expect((await cli(`campaign report ${name}`)).out).toMatch(/^ {2}paused \S+ .*\d\/s$/m);
  expect(JSON.parse((await cli('status --json')).out).campaigns).toMatchObject([
    { campaign: name, state: 'paused', recipients: 6, states: { unknown: 1 } },
  ]);
  await cli(`campaign cancel ${name}`);
  expect((await cli(`status ${hook}`)).out).toBe('No campaign is open. All of them: npx syncline campaign list\n');
});
