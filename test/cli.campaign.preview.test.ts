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
      'About 5 s at 1 a second.',
    ].join('\n'),
  );
});

it('says when nothing leaves, and that the deadline comes first', async () => {
  const { connection } = await someone(40);
  const now = Date.now();
  const clock = (ms: number) => new Date(ms).toISOString().slice(11, 16);
  const quiet = { from: clock(now - 3_600_000), to: clock(now + 7_200_000), timeZone: 'UTC' };
  const until = new Date(quietUntil(quiet, now) as number).toISOString();
  const deadline = new Date(now + 3_600_000).toISOString();
  const name = await define(world, { connection }, hook, { quiet, deadline, throttle: 0.01 });
  const { out } = await cli(`campaign preview ${name}`);
  expect(out).toContain(`  quiet hours: nothing leaves before ${until}\n`);
  expect(out).toContain(`  the deadline ${deadline} leaves time for 35 of 40: the others are left out\n`);
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
