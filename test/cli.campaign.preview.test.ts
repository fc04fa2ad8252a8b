import { expect, it } from 'vitest';
import { quietUntil } from '../activities/audience/quiet.ts';
import { define, openidOf, people } from './harness/audience.ts';
import { openCli } from './harness/cli.ts';

const { world, cli } = await openCli();
const hook = await world.connect({ platform: 'webhook', baseUrl: 'https://push.invalid', credential: null });

let numbers = 0;
async function someone(count: number, record?: (n: number) => Record<string, unknown>) {
  const from = numbers;
  numbers += count;
  return { from, connection: await people(world, { count, from, ...(record && { record }) }) };
}

it('counts who has no grant and who lacks a value', async () => {
  const { from, connection } = await someone(5, (n) => (n % 5 === 4 ? { city: '' } : {}));
  const account = await world.connect({
    platform: 'wechat',
    baseUrl: 'https://wechat.invalid',
    credential: JSON.stringify({ appSecret: 'none' }),
    options: { appId: 'wx1', requestsPerSecond: 1 },
  });
  await world.pool.query(
    `INSERT INTO audience.grants (connection_id, address, template, remaining) VALUES ($1, $2, 'T1', 1), ($1, $3, 'T1', 0), ($1, $4, 'T2', 1)`,
    [account, openidOf(from), openidOf(from + 1), openidOf(from + 2)],
  );
  const template = { templateId: 'T1', data: { thing1: '{{city}}', thing2: '{{name|friend}}', thing3: '{{orders}}' } };
  const name = await define(world, { connection }, account, { template });
  const said = await cli(`campaign preview ${name}`);
  expect(said).toMatchObject({ code: 0, err: '' });
  expect(said.out).toContain(
    [
      '5 recipients',
      '  4 without a grant of template T1: refused with no_grant',
      '  1 without a value of {{city}}: refused with missing_value:city',
      '  5 without a value of {{orders}}: refused with missing_value:orders',
      '  of the first 5 recipients 5 would be refused before anything leaves: 4 missing_value:orders, 1 missing_value:city',
      'About 5 s at 1 a second.',
    ].join('\n'),
  );
});

it('tells whom the check of the channel refuses, and offers no start where it is everybody', async () => {
  const { connection } = await someone(8, (n) => ({ full_name: n % 4 === 0 ? 'N'.repeat(21) : 'Ann' }));
  const account = await world.connect({
    ...{ platform: 'wechat', baseUrl: 'https://wechat.invalid', options: { appId: 'wx1' } },
    credential: JSON.stringify({ appSecret: 'none' }),
  });
  const previewOf = async (thing1: string) => {
    const name = await define(world, { connection }, account, { template: { templateId: 'T1', data: { thing1 } } });
    return { name, out: (await cli(`campaign preview ${name}`)).out };
  };
  const some = await previewOf('{{name}}');
  expect(some.out).toContain(
    '  of the first 8 recipients 2 would be refused before anything leaves: 2 too_long:thing1\n',
  );
  expect(some.out).toContain(`campaign start ${some.name}\n`);
  const all = await previewOf('More than twenty characters, {{name}}');
  expect(all.out).toContain(
    '  of the first 8 recipients 8 would be refused before anything leaves: 8 too_long:thing1\n',
  );
  expect(all.out).toContain('do not start it like this. Correct it with: npx syncline campaign create ');
  expect(all.out).not.toContain('campaign start');
});

const clock = (ms: number) => new Date(ms).toISOString().slice(11, 16);
const hourMs = 3_600_000;

it('says when nothing leaves, and whom the deadline leaves out', async () => {
  const { connection } = await someone(40);
  const now = Date.now();
  const quiet = { from: clock(now - hourMs), to: clock(now + 2 * hourMs), timeZone: 'UTC' };
  const until = new Date(quietUntil(quiet, now) as number).toISOString();
  const previewOf = async (more: Record<string, unknown>) =>
    (await cli(`campaign preview ${await define(world, { connection }, hook, { throttle: 0.01, ...more })}`)).out;
  const deadline = new Date(now + hourMs).toISOString();
  expect(await previewOf({ deadline })).toContain(
    `  the deadline ${deadline} leaves time for 35 of 40: the others are left out\nAbout 1 h 6 min at 0.01 a second.\n`,
  );
  const asleep = await previewOf({ deadline, quiet });
  expect(asleep).toContain(`  quiet hours: nothing leaves before ${until}\n`);
  expect(asleep).toContain(
    `  the deadline ${deadline} comes before the quiet hours end: nobody of 40 is sent to\nAbout 1 h 6 min at 0.01 a second. With the quiet hours between, until `,
  );
  // The hour before them is left: 36 messages, less what has passed of this minute.
  const between = { ...quiet, from: clock(now + hourMs), to: clock(now + 3 * hourMs) };
  const late = new Date(now + 3 * hourMs - 60_000).toISOString();
  expect(await previewOf({ deadline: late, quiet: between })).toMatch(
    new RegExp(`  the deadline ${late} leaves time for 3[56] of 40: the others are left out\\n`),
  );
});

it('counts whose own quiet hours last until the deadline', async () => {
  const now = Date.now();
  // Six hours ahead it is the middle of the quiet hours, which have not begun in UTC.
  const { connection } = await someone(6, (n) => ({ tz: ['Etc/GMT-6', 'nowhere', null][n % 3] }));
  const quiet = {
    ...{ from: clock(now + 5 * hourMs), to: clock(now + 7 * hourMs) },
    ...{ timeZone: 'Etc/UTC', zoneOf: 'user' },
  };
  const deadline = new Date(now + 600_000).toISOString();
  const name = await define(world, { connection }, hook, { quiet, deadline });
  expect((await cli(`campaign preview ${name}`)).out).toContain(
    `  the deadline ${deadline} leaves time for about 4 of 6: the others are left out, among them 2 whose quiet hours last until then\n`,
  );
});

it('guesses how long it takes where no limit is set, and says from what', async () => {
  const { connection } = await someone(3);
  const name = await define(world, { connection }, hook);
  expect((await cli(`campaign preview ${name}`)).out).toContain(
    "3 recipients\nAbout 1 s if an answer takes 100 ms, with 256 messages on their way at once: no limit is set, so it is the receiver's answers that decide.\n",
  );
});

it('ends with 1 when a start would fail: nobody to send to, or a deadline that is over', async () => {
  const { connection } = await someone(1);
  const late = await define(world, { connection }, hook, { deadline: '2001-01-01T00:00:00Z' });
  expect(await cli(`campaign preview ${late}`)).toMatchObject({
    code: 1,
    out: expect.stringContaining('A start would fail: the deadline 2001-01-01T00:00:00Z is over. Correct it with:'),
  });
  const empty = await define(world, { connection, filter: '404' }, hook);
  expect(await cli(`campaign preview ${empty}`)).toMatchObject({
    code: 1,
    out: expect.stringContaining('0 recipients\n'),
  });
  const told = await cli(`campaign preview ${empty} --json`);
  expect([told.code, JSON.parse(told.out).fails]).toEqual([1, 'nobody is to be sent to']);
});
