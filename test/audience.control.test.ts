import { randomBytes } from 'node:crypto';
import { WorkflowFailedError } from '@temporalio/client';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { campaignProgress } from '../workflows/audience.run.ts';
import { type CampaignRun, define, deliveries, launch, people, tally, userOf } from './harness/audience.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());
const credential = JSON.stringify({ signSecret: receiver.secret });
const slow = await world.connect({
  platform: 'webhook',
  baseUrl: receiver.url,
  credential,
  options: { requestsPerSecond: 40, inFlight: 8 },
});
const quick = await world.connect({ platform: 'webhook', baseUrl: receiver.url, credential });

let numbers = 0;
async function someone(count: number, record?: (n: number) => Record<string, unknown>) {
  const from = numbers;
  numbers += count;
  return { from, connection: await people(world, { count, from, ...(record && { record }) }) };
}

const got = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => receiver.received.get(userOf(from + i)) ?? 0);
const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

/** The failure a campaign must end with. */
async function failure(run: CampaignRun): Promise<{ message: string; type: string | undefined }> {
  const error = await run.result().then(
    (result) => expect.fail(`the campaign should have failed but ended as ${result.outcome}`),
    (e: unknown) => e,
  );
  if (!(error instanceof WorkflowFailedError)) throw error;
  const cause = error.cause as (Error & { type?: string }) | undefined;
  return { message: cause?.message ?? '', type: cause?.type };
}

describe('a person in control', () => {
  it('starts and has it back at once', async () => {
    const { connection } = await someone(20);
    const name = await define(world, { connection }, quick);
    const began = performance.now();
    const run = await launch(world, name);
    expect(performance.now() - began).toBeLessThan(2_000);
    expect((await run.result()).states).toEqual({ sent: 20 });
  });

  it('pauses: nothing leaves until resume, and nobody gets it twice', async () => {
    const { from, connection } = await someone(150);
    const name = await define(world, { connection }, slow);
    const run = await launch(world, name);
    for (let turn = 1; turn <= 3; turn++) {
      await until('some messages', async () => sum(got(from, 150)) >= turn * 20);
      await run.executeUpdate('pause');
      await until(
        'the end of the slices',
        async () => ((await run.describe()).raw.pendingActivities ?? []).length === 0,
      );
      const states = await tally(world.pool, name);
      expect(states.claimed ?? 0, 'given back').toBe(0);
      expect(states.sending ?? 0, 'written down').toBe(0);
      expect(states.sent).toBe(sum(got(from, 150)));
      expect((await run.query(campaignProgress)).state).toBe('paused');
      await run.executeUpdate('resume');
    }
    expect((await run.result()).states).toEqual({ sent: 150 });
    expect(got(from, 150).every((n) => n === 1)).toBe(true);
  });

  it('cancels: what is on its way is written down, the others stay planned, and another start goes on with them', async () => {
    const { from, connection } = await someone(80);
    const name = await define(world, { connection }, slow);
    const run = await launch(world, name);
    await until('some messages', async () => sum(got(from, 80)) >= 20);
    await run.cancel();
    await expect(run.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    const sent = sum(got(from, 80));
    expect(await tally(world.pool, name)).toEqual({ sent, planned: 80 - sent });
    const again = await (await launch(world, name)).result();
    expect(again.states).toEqual({ sent: 80 });
    expect(got(from, 80).every((n) => n === 1)).toBe(true);
  });

  it('finds the campaign sent already by another run, under whatever id', async () => {
    const { connection } = await someone(40);
    const name = await define(world, { connection }, slow);
    const first = await launch(world, name);
    await until('the claim', async () => (await tally(world.pool, name)).planned !== undefined);
    expect(await failure(await launch(world, name))).toEqual({
      type: 'AlreadyRunning',
      message: `Another run sends this campaign: ${first.workflowId}. Look at it with: npx syncline campaign report ${name}, or end it with: npx syncline campaign cancel ${name}`,
    });
    expect((await first.result()).states).toEqual({ sent: 40 });
  });

  it('of a client without a command line: the definition comes with the start, once', async () => {
    const { connection } = await someone(10);
    const name = `d${randomBytes(4).toString('hex')}`;
    const definition = { audience: { connection }, channel: quick, template: { text: 'Hi {{name}}' } };
    expect((await (await launch(world, name, { define: definition })).result()).states).toEqual({ sent: 10 });
    const other = { ...definition, template: { text: 'Something else' } };
    expect(await failure(await launch(world, name, { define: other }))).toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining(
        `Campaign "${name}" is frozen: its audience, its text and its rules stand; only deadline, throttle, quiet can be changed.`,
      ),
    });
  });

  it('sends a test to named users at once, and writes nothing down', async () => {
    const { from, connection } = await someone(5, (n) => (n % 5 === 1 ? { full_name: null } : {}));
    const name = await define(world, { connection, filter: '99' }, quick);
    const test = (users: string[]) =>
      world.client.workflow.execute('campaignTest', {
        args: [{ campaign: name, users }],
        taskQueue: world.config.taskQueue,
        workflowId: `test-${randomBytes(6).toString('hex')}`,
      });
    const nameless = userOf(from + ((5 + 1 - (from % 5)) % 5));
    const named = userOf(from + ((5 + 2 - (from % 5)) % 5));
    expect(await test([named, nameless])).toEqual({
      campaign: name,
      users: [
        { outcome: 'sent', code: '200' },
        { outcome: 'refused', code: 'missing_value:name' },
      ],
    });
    expect(receiver.received.get(named)).toBe(1);
    expect((await world.pool.query('SELECT frozen_at FROM audience.campaigns WHERE id = $1', [name])).rows).toEqual([
      { frozen_at: null },
    ]);
    await expect(test(['nobody'])).rejects.toMatchObject({
      cause: { cause: { message: expect.stringContaining('users.0: no such user in connection') } },
    });
  });
});

describe('limits', () => {
  it('of the campaign and of the account hold together', async () => {
    const { from, connection } = await someone(60);
    const name = await define(world, { connection }, quick, { throttle: 30 });
    const began = performance.now();
    await (await launch(world, name)).result();
    const seconds = (performance.now() - began) / 1_000;
    expect(got(from, 60).every((n) => n === 1)).toBe(true);
    // A second's burst may leave at once.
    expect(60 / seconds).toBeLessThanOrEqual(60);
    expect(seconds).toBeGreaterThan(1);
  });

  it('of the account are shared: a small campaign passes a giant one', async () => {
    const giant = await someone(20_000);
    const small = await someone(40);
    const account = await world.connect({
      platform: 'webhook',
      baseUrl: receiver.url,
      credential,
      options: { requestsPerSecond: 100 },
    });
    const big = await launch(world, await define(world, { connection: giant.connection }, account));
    await until('the giant at work', async () => sum(got(giant.from, 20_000)) > 50, 30_000);
    const before = sum(got(giant.from, 20_000));
    await (await launch(world, await define(world, { connection: small.connection }, account))).result();
    expect(got(small.from, 40).every((n) => n === 1)).toBe(true);
    const meanwhile = sum(got(giant.from, 20_000)) - before;
    // It did not have to wait until the 20,000 were through, at 100 a second.
    expect(meanwhile).toBeLessThan(1_500);
    await big.cancel();
    await expect(big.result()).rejects.toThrow();
  });
});

describe('time', () => {
  const clock = (ms: number) => new Date(ms).toISOString().slice(11, 16);

  it('quiet hours hold a campaign until their end, visibly', async () => {
    const { from, connection } = await someone(10);
    const now = Date.now();
    const quiet = { from: clock(now - 3_600_000), to: clock(now + 3_600_000), timeZone: 'Etc/UTC' };
    const run = await launch(world, await define(world, { connection }, quick, { quiet }));
    const note = await until('the note of the wait', async () => (await run.query(campaignProgress)).notes[0]);
    expect(note).toMatch(/^waits for quiet hours until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(sum(got(from, 10))).toBe(0);
    await run.cancel();
    await expect(run.result()).rejects.toThrow();
  });

  it("a user's own quiet hours hold that user alone", async () => {
    const now = Date.now();
    // Six hours ahead it is the middle of the quiet hours, which have not begun in UTC.
    const [awake, asleep] = ['Etc/UTC', 'Etc/GMT-6'];
    const quiet = {
      from: clock(now + 5 * 3_600_000),
      to: clock(now + 7 * 3_600_000),
      timeZone: 'Etc/UTC',
      zoneOf: 'user',
    };
    const { from, connection } = await someone(6, (n) => ({ tz: n % 2 === 0 ? awake : asleep }));
    const name = await define(world, { connection }, quick, { quiet });
    const run = await launch(world, name);
    await until('the first half', async () => sum(got(from, 6)) >= 3);
    const rows = await until('the others deferred', async () => {
      const found = await world.pool.query(
        `SELECT count(*)::int AS n, min(due_at) AS due FROM audience.deliveries d JOIN audience.campaigns c ON c.no = d.campaign_no WHERE c.id = $1 AND state = 'planned' AND due_at IS NOT NULL`,
        [name],
      );
      return found.rows[0].n === 3 && found.rows;
    });
    expect(rows[0].due.getTime()).toBeGreaterThan(now);
    expect(sum(got(from, 6))).toBe(3);
    await run.cancel();
    await expect(run.result()).rejects.toThrow();
  });

  it("a user's own quiet hours that begin while the message waits for its turn hold it", async () => {
    const { from, connection } = await someone(20, () => ({ tz: 'Etc/UTC' }));
    // Two seconds before a minute begins: nobody waits for the clock.
    const realNow = Date.now;
    const turn = Math.ceil(realNow() / 60_000) * 60_000;
    const ahead = turn - 2_000 - realNow();
    const quiet = { from: clock(turn), to: clock(turn + 3_600_000), timeZone: 'Asia/Shanghai', zoneOf: 'user' };
    const name = await define(world, { connection }, quick, { quiet, throttle: 3 });
    onTestFinished(() => void vi.restoreAllMocks());
    vi.spyOn(Date, 'now').mockImplementation(() => realNow() + ahead);
    const run = await launch(world, name);
    await until('those who were read before to be deferred', async () => {
      const { rows } = await world.pool.query(
        `SELECT count(*) FILTER (WHERE d.due_at IS NOT NULL)::int AS due, count(*) FILTER (WHERE d.state = 'planned')::int AS planned
         FROM audience.deliveries d JOIN audience.campaigns c ON c.no = d.campaign_no WHERE c.id = $1`,
        [name],
      );
      return rows[0].planned > 0 && rows[0].due === rows[0].planned;
    });
    const sent = sum(got(from, 20));
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan(12);
    expect(await tally(world.pool, name)).toEqual({ sent, planned: 20 - sent });
    await run.cancel();
    await expect(run.result()).rejects.toThrow();
  });

  it('a deadline ends it and leaves the rest out', async () => {
    const { from, connection } = await someone(400);
    const deadline = new Date(Date.now() + 4_000).toISOString();
    const name = await define(world, { connection }, slow, { deadline });
    const result = await (await launch(world, name)).result();
    expect(result.outcome).toBe('late');
    const sent = sum(got(from, 400));
    expect(result.states).toEqual({ sent, skipped: 400 - sent });
    expect(result.reasons).toEqual({ 'skipped deadline': 400 - sent });
    expect(sent).toBeGreaterThan(0);
    expect((await deliveries(world.pool, name)).filter(({ state }) => state === 'planned')).toEqual([]);
  });

  it.each(['campaign', 'user'])(
    'a deadline ends it in quiet hours, by the zone of the %s, when it comes',
    async (zoneOf) => {
      const { connection } = await someone(4, () => ({ tz: 'Etc/UTC' }));
      const now = Date.now();
      const hours = { from: clock(now - 3_600_000), to: clock(now + 3_600_000), timeZone: 'Etc/UTC' };
      const deadline = new Date(now + 2_000).toISOString();
      const name = await define(world, { connection }, quick, { quiet: { ...hours, zoneOf }, deadline });
      const result = await (await launch(world, name)).result();
      expect(result).toMatchObject({ outcome: 'late', reasons: { 'skipped deadline': 4 } });
      expect(result.durationMs).toBeLessThan(30_000);
    },
  );
});
