import { expect, it } from 'vitest';
import { freezeAudience } from '../db/audience/freeze.ts';
import { countPeople } from '../db/audience/people.ts';
import { unsubscribe } from '../db/audience/unsubscribes.ts';
import { type Claim, takeClaim } from '../db/claims.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, deliveries, launch, people, userOf } from './harness/audience.ts';
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
async function someone(count: number) {
  numbers += count;
  return { from: numbers - count, connection: await people(world, { count, from: numbers - count }) };
}

const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();
const noOf = async (name: string): Promise<number> =>
  (await world.pool.query('SELECT no FROM audience.campaigns WHERE id = $1', [name])).rows[0].no;

/** Sends a campaign, and makes it one of long ago. @returns its name, its number and its partition */
async function sentBefore(days: number, connection: string, more: Record<string, unknown> = {}) {
  const name = await define(world, { connection }, hook, more);
  await (await launch(world, name)).result();
  await age(name, days);
  const no = await noOf(name);
  return { name, no, table: `audience.deliveries_${no}` };
}

async function age(name: string, days: number) {
  const at = daysAgo(days);
  await world.pool.query(
    'UPDATE audience.campaigns SET frozen_at = $2, ended_at = CASE WHEN ended_at IS NOT NULL THEN $2::timestamptz END WHERE id = $1',
    [name, at],
  );
  await world.pool.query('UPDATE audience.deliveries SET at = $2 WHERE campaign_no = $1', [await noOf(name), at]);
}

const isThere = async (table: string): Promise<boolean> =>
  (await world.pool.query('SELECT to_regclass($1) IS NOT NULL AS there', [table])).rows[0].there;

it('deletes what ended before, says so, and keeps the rest and the unsubscribes', async () => {
  const { from, connection } = await someone(3);
  await unsubscribe(world.pool, { connection, kind: 'user', value: userOf(from), channel: '' }, false);
  const [old, late] = [await sentBefore(100, connection), await sentBefore(50, connection)];
  const tried = await cli(`campaign purge --before ${daysAgo(80)} --dry-run`);
  expect([tried.code, tried.out]).toEqual([
    0,
    expect.stringMatching(
      new RegExp(`^Would delete ${old.name}: 3 rows, ended .*\nWould delete 1 campaign that ended before .*, 3 rows`),
    ),
  ]);
  expect(await isThere(old.table)).toBe(true);
  const said = await cli(`campaign purge --before ${daysAgo(80)}`);
  expect([said.code, said.out]).toEqual([
    0,
    expect.stringMatching(
      new RegExp(
        `^Deleted ${old.name}: 3 rows, ended .*Z\nDeleted 1 campaign that ended before .*Z, 3 rows of deliveries. Unsubscribes and grants stay.\n$`,
      ),
    ),
  ]);
  expect([await isThere(old.table), await isThere(late.table)]).toEqual([false, true]);
  expect((await deliveries(world.pool, late.name)).length).toBe(3);
  expect((await cli(`campaign report ${old.name}`)).err).toContain(`Campaign "${old.name}" does not exist.`);
  const left = async (table: string, of: string) =>
    (await world.pool.query(`SELECT count(*)::int AS n FROM ${table} WHERE connection_id = $1`, [of])).rows[0].n;
  expect(await left('syncline.claims', `campaign ${old.name}`)).toBe(0);
  expect(await left('audience.unsubscribes', connection)).toBe(1);
  expect((await cli(`campaign purge --before ${daysAgo(80)}`)).out).toMatch(/^Deleted nothing: no campaign that ended/);

  // A run that began in between would reach everybody again.
  const run = { connection: `campaign ${old.name}`, pipeline: 'campaign', workflowId: old.name, runId: 'late' };
  const claim = (await takeClaim(world.pool, { ...run, isOpen: async () => false })) as Claim;
  const everybody = { connection, addressColumn: null, addressPattern: '.', fold: false, channel: 'webhook' };
  await expect(freezeAudience(world.pool, claim, { id: old.name, no: old.no }, everybody, false)).rejects.toThrow(
    `Campaign "${old.name}" does not exist.`,
  );
  expect(await isThere(old.table)).toBe(false);
});

it('keeps what the longest cap to the same people still counts', async () => {
  const { connection } = await someone(4);
  const [old, counted] = [await sentBefore(40, connection), await sentBefore(20, connection)];
  await define(world, { connection }, hook, { cap: { messages: 1, days: 30 } });
  const capped = () =>
    countPeople(world.pool, {
      connection,
      ...{ addressColumn: null, addressPattern: '.', fold: false, channel: 'webhook' },
      cap: { messages: 1, days: 30 },
    });
  const before = await capped();
  expect(before).toMatchObject({ recipients: 0, skipped: { frequency_cap: 4 } });
  const { out } = await cli(`campaign purge --before ${daysAgo(1)}`);
  expect(out).toContain(`Deleted ${old.name}: 4 rows`);
  expect(out).toMatch(
    new RegExp(`Kept ${counted.name}: 4 rows, ended .*: a cap of the campaigns to ${connection} counts 30 days`),
  );
  expect([await isThere(old.table), await isThere(counted.table)]).toEqual([false, true]);
  expect(await capped()).toEqual(before);
});

it('deletes what was cut off long ago, never what is at work', async () => {
  const { connection } = await someone(4);
  const name = await define(world, { connection }, hook, { throttle: 0.2 });
  const run = await launch(world, name);
  await until('the first message', async () =>
    (await deliveries(world.pool, name)).some((one) => one.state === 'sent'),
  );
  expect(await run.executeUpdate('pause')).toContain('paused');
  await until('the pause', async () =>
    (await deliveries(world.pool, name)).every((one) => ['sent', 'planned'].includes(one.state)),
  );
  await age(name, 100);
  for (const more of ['', ' --dry-run'])
    expect((await cli(`campaign purge --before ${daysAgo(80)}${more}`)).out).toMatch(
      new RegExp(`^Kept ${name}: 4 rows, ended .*: a run of it is at work\n.*nothing`),
    );
  await run.terminate();
  expect((await cli(`campaign purge --before ${daysAgo(80)}`)).out).toContain(`Deleted ${name}: 4 rows`);
});

it('deletes one by its name: a draft, and what a cap still counts; not what is at work', async () => {
  const { connection } = await someone(3);
  const old = await sentBefore(20, connection);
  const draft = await define(world, { connection }, hook, { cap: { messages: 1, days: 30 } });
  for (const wrong of [`campaign purge ${draft} --before 2026-01-01`, 'campaign purge'])
    expect(await cli(wrong)).toMatchObject({ code: 2, err: expect.stringContaining('one of both') });
  expect(await cli('campaign purge nobody')).toMatchObject({ code: 1, err: expect.stringContaining('does not exist') });
  expect((await cli(`campaign purge ${old.name} --dry-run`)).out).toBe(
    `Would delete campaign ${old.name}: 3 rows of deliveries. Unsubscribes and grants stay.\n`,
  );
  expect(await isThere(old.table)).toBe(true);
  expect((await cli(`campaign purge ${old.name}`)).out).toContain(`Deleted campaign ${old.name}: 3 rows`);
  expect(await isThere(old.table)).toBe(false);
  expect((await cli(`campaign purge ${draft}`)).out).toContain(`Deleted campaign ${draft}: 0 rows`);
  expect((await cli(`campaign report ${draft}`)).err).toContain('does not exist');

  const name = await define(world, { connection }, hook, { throttle: 0.2 });
  const run = await launch(world, name);
  await until('the freeze', async () => (await deliveries(world.pool, name)).length > 0);
  for (const more of ['', ' --dry-run'])
    expect(await cli(`campaign purge ${name}${more}`)).toEqual({
      code: 1,
      out: '',
      err: `syncline: A run of campaign ${name} is at work; nothing was deleted. End it with: npx syncline campaign cancel ${name}\n`,
    });
  await run.terminate();
  // What its last step still holds is told, and only that is waited for.
  await until('the purge', async () => {
    const { code, err } = await cli(`campaign purge ${name}`);
    if (code !== 0) expect(err).toContain('deliveries are in use');
    return code === 0;
  });
});

it('says what a day is, and that deliveries are in use', async () => {
  expect(await cli('campaign purge')).toMatchObject({ code: 2 });
  for (const wrong of ['soon', '2026-13-01', '2999-01-01'])
    expect(await cli(`campaign purge --before ${wrong}`)).toEqual({
      code: 2,
      out: '',
      err: `syncline: --before: got "${wrong}", accepted a day that is over, such as 2026-01-31, or a moment such as 2026-01-31T08:00:00Z\n`,
    });
  const { connection } = await someone(2);
  const { name, table } = await sentBefore(100, connection);
  const reader = await world.pool.connect();
  await reader.query('BEGIN; SELECT 1 FROM audience.deliveries LIMIT 1');
  const said = await cli(`campaign purge --before ${daysAgo(80)}`);
  expect([said.code, said.err]).toEqual([1, expect.stringContaining(`Campaign ${name} stays, with those behind it`)]);
  await reader.query('COMMIT');
  reader.release();
  expect(await isThere(table)).toBe(true);
  expect((await cli(`campaign purge --before ${daysAgo(80)}`)).out).toContain(`Deleted ${name}`);
});
