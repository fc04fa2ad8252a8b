import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { upToDate } from '../workers/cli/campaign.find.ts';
import { nextCommand } from '../workers/pipelines.ts';
import { define, people, userOf } from './harness/audience.ts';
import { fresh, openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const { world, cli } = await openCli();
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());
const hook = await world.connect({
  platform: 'webhook',
  baseUrl: receiver.url,
  credential: JSON.stringify({ signSecret: receiver.secret }),
});
const connection = await people(world, { count: 3 });

it('names a next command that works when channels are connected', () => {
  const hooked = { id: 'hook', platform: 'webhook' };
  expect(nextCommand([hooked, { id: 'members', platform: 'database' }])).toBe(
    'Start a run:  npx syncline start segmentSync members --wait',
  );
  expect(nextCommand([hooked])).toMatch(/^Connect a directory: /);
});

it('estimates an end only while nothing is waited for', () => {
  const estimate = (progress: object, pending: object[] = []) =>
    upToDate(
      { state: 'running', notes: [], audience: { recipients: 10, skipped: {} }, ...progress } as never,
      { sent: 5, planned: 5 },
      { startedAt: new Date(Date.now() - 5_000), pending } as never,
    ).etaSeconds;
  const failed = { name: 'sendShard', failure: 'away' };
  expect(estimate({}, [{ ...failed, nextAt: null }])).toBeGreaterThan(0);
  expect(estimate({}, [{ ...failed, nextAt: new Date() }])).toBeNull();
  expect(estimate({ notes: ['waits for the limit of the account until 2026-11-30T16:00:00.000Z'] })).toBeNull();
  expect(estimate({ state: 'paused' })).toBeNull();
});

it('says of a second test what is in the way', async () => {
  const name = await define(world, { connection }, hook);
  receiver.setFaults([{ type: 'hang' }]);
  const first = cli(`campaign test ${name} --users ${userOf(0)}`);
  await until('the first message', async () => receiver.counts.messages > 0);
  const second = await cli(`campaign test ${name} --users ${userOf(1)}`);
  expect([second.code, second.err]).toEqual([1, expect.stringMatching(/It ends by itself within minutes/)]);
  expect(second.err).not.toContain('npx');
  receiver.setFaults([]);
  await first;
});

it('lists recipients of a state that there is, and says when there are more', async () => {
  const name = await define(world, { connection }, hook);
  await cli(`campaign start ${name} --wait`);
  const bogus = await cli(`campaign report ${name} --list bogus`);
  expect([bogus.code, bogus.err]).toEqual([2, expect.stringContaining('Allowed choices are planned, claimed')]);
  expect((await cli(`campaign report ${name} --list sent --limit 2`)).out).toContain(
    '1 more; all of them with --limit 3\n',
  );
  expect((await cli(`campaign report ${name} --list unknown`)).out).toContain('Nobody is unknown.\n');
});

it('points to what fits: channels for a channel, the report for a campaign, a word for an id that nobody has', async () => {
  const path = join(tmpdir(), `${fresh()}.json`);
  writeFileSync(path, JSON.stringify({ audience: { connection }, channel: 'nobody', template: { text: 'Hi' } }));
  expect((await cli(['campaign', 'create', 'spring', path])).err).toContain(
    'npx syncline connect nobody --platform smtp --credential-env VARIABLE (or --platform webhook, wechat)',
  );
  const name = await define(world, { connection }, hook);
  expect((await cli(`status ${name}`)).err).toContain(
    `"${name}" is a campaign, no connection. Look at it with: npx syncline campaign report ${name}`,
  );
  const unsubscribe = (user: string) => cli(['audience', 'unsubscribe', connection, '--user', user]);
  expect(await unsubscribe('u-typo')).toMatchObject({
    out: 'The user gets no more messages.\n',
    err: `Nobody in connection "${connection}" has that id today; is it spelt so? It is kept for whoever gets it.\n`,
  });
  expect((await unsubscribe(userOf(2))).err).toBe('');
});

it('calls a campaign’s name by what it is, and hints at a segment without members', async () => {
  const path = join(tmpdir(), `${fresh()}.json`);
  writeFileSync(path, '{}');
  expect(await cli(['campaign', 'create', 'Bad Name', path])).toMatchObject({
    code: 2,
    err: expect.stringContaining('campaign: got "Bad Name", accepted a name'),
  });
  expect(await cli(['audience', 'count', connection, '--filter', '1 OR NOT segment:typo'])).toMatchObject({
    code: 0,
    out: '3 users\n',
    err: `segment:typo has no members in connection "${connection}"; is its id spelt so?\n`,
  });
});
