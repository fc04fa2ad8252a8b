import { describe, expect, it } from 'vitest';
import { countPeople } from '../db/audience/people.ts';
import { unsubscribe } from '../db/audience/unsubscribes.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, deliveries, launch, people, tally, userOf } from './harness/audience.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());
const hook = await world.connect({
  platform: 'webhook',
  baseUrl: receiver.url,
  credential: JSON.stringify({ signSecret: receiver.secret }),
});
const mailHook = await world.connect({
  platform: 'webhook',
  baseUrl: receiver.url,
  credential: JSON.stringify({ signSecret: receiver.secret }),
  options: { address: 'email' },
});

/** People of their own numbers, so that the counts of the one receiver tell the tests apart. */
let numbers = 0;
async function someone(count: number, more: Omit<Parameters<typeof people>[1], 'count' | 'from'> = {}) {
  const from = numbers;
  numbers += count;
  return { from, count, connection: await people(world, { count, from, ...more }) };
}

const times = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => receiver.received.get(userOf(from + i)) ?? 0);

describe('who gets the message', () => {
  it('each member of the filter, once; a partition with three unique indexes proves it', async () => {
    const { from, count, connection } = await someone(3_000, { tags: (n) => [n % 3, 20 + (n % 3)] });
    const name = await define(world, { connection, filter: '1 AND NOT 20' }, hook);
    const result = await (await launch(world, name)).result();
    expect(result).toMatchObject({
      outcome: 'done',
      states: { sent: 1_000 },
      audience: { recipients: 1_000, total: 1_000 },
    });
    expect(times(from, count)).toEqual(Array.from({ length: count }, (_, i) => ((from + i) % 3 === 1 ? 1 : 0)));
    expect(await tally(world.pool, name)).toEqual({ sent: 1_000 });
    const { rows } = await world.pool.query(
      `SELECT c.relispartition, (SELECT count(*)::int FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique) AS uniques
       FROM pg_class c JOIN audience.campaigns a ON c.oid = ('audience.deliveries_' || a.no)::regclass WHERE a.id = $1`,
      [name],
    );
    expect(rows).toEqual([{ relispartition: true, uniques: 3 }]);
  });

  it('nobody who unsubscribed, has no address, shares one, or was excluded; each with the reason', async () => {
    const { from, connection } = await someone(8, {
      record: (n) => ({
        mail: [`A@x.org`, `a@x.org `, null, '', 'no mail', `b@x.org`, `B@x.org`, `c@x.org`][n % 8],
      }),
    });
    const user = (i: number) => userOf(from + i);
    await unsubscribe(world.pool, { connection, kind: 'user', value: user(6), channel: '' }, false);
    const channel = await world.connect({
      platform: 'smtp',
      baseUrl: 'smtp://127.0.0.1:1',
      credential: null,
      options: { from: 'a@b.org' },
    });
    const name = await define(world, { connection, exclude: [user(7)] }, channel, {
      template: { subject: 'Hi {{name}}', text: 'x' },
    });
    const { checkCampaign, readDefinition } = await import('../activities/audience/catalog.ts');
    const { loadCampaign } = await import('../db/audience/campaigns.ts');
    const { storedConnection } = await import('../db/connections.ts');
    const { definition } = await loadCampaign(world.pool, name);
    const [source, account] = await Promise.all([connection, channel].map((id) => storedConnection(world.pool, id)));
    const checked = checkCampaign(name, readDefinition(definition, name), source!, account!);
    expect(await countPeople(world.pool, checked.people)).toEqual({
      recipients: 1,
      skipped: { same_address: 1, no_address: 2, bad_address: 1, unsubscribed: 2, excluded: 1 },
      records: null,
    });
  });

  it('who orders more than twice yesterday and today counts as one record; everybody gets one message', async () => {
    const { from, connection } = await someone(5);
    const day = 86_400_000;
    const midnight = Math.floor(Date.now() / day) * day;
    const orders: [number, number[]][] = [
      [0, [midnight - 1_000, midnight - 2_000, midnight + 1]],
      [1, [midnight - 1_000, midnight + 1]],
      [2, [midnight - day]],
      [3, [midnight - day - 1, midnight - 3 * day]],
    ];
    for (const [who, moments] of orders)
      for (const [i, at] of moments.entries())
        await world.pool.query(
          `INSERT INTO audience.orders (connection_id, id, data, generation, synced_at, user_id, ordered_at) VALUES ($1, $2, '{}', 0, now(), $3, to_timestamp($4::float8 / 1000))`,
          [connection, `o${from}-${who}-${i}`, userOf(from + who), at],
        );
    const name = await define(world, { connection, orders: { days: 2, moreThan: 2 } }, hook, {
      template: { text: '{{name}}: {{orders}} of {{order_id}}' },
    });
    const result = await (await launch(world, name)).result();
    expect(result.audience).toMatchObject({ recipients: 3, records: 1 + 2 + 1 });
    expect(times(from, 5)).toEqual([1, 1, 1, 0, 0]);
  });

  it('nobody beyond the cap of all campaigns together', async () => {
    const { from, connection } = await someone(4);
    await (await launch(world, await define(world, { connection }, hook))).result();
    const half = await define(world, { connection, exclude: [userOf(from), userOf(from + 1)] }, hook);
    await (await launch(world, half)).result();
    const name = await define(world, { connection }, hook, { cap: { messages: 2, days: 7 } });
    const result = await (await launch(world, name)).result();
    expect(result.audience).toMatchObject({ recipients: 2, skipped: { frequency_cap: 2 } });
    expect(times(from, 4)).toEqual([2, 2, 2, 2]);
  });

  it('one human behind two rows gets one message', async () => {
    const { connection } = await someone(6, { record: (n) => ({ mail: `one${n % 3}@x.org` }) });
    const name = await define(world, { connection }, mailHook);
    const result = await (await launch(world, name)).result();
    expect(result).toMatchObject({
      audience: { recipients: 3, skipped: { same_address: 3 } },
      states: { sent: 3, skipped: 3 },
    });
  });

  it('nobody who unsubscribes after the freeze, up to the last moment', async () => {
    const { from, connection } = await someone(14);
    const slow = await world.connect({
      platform: 'webhook',
      baseUrl: receiver.url,
      credential: JSON.stringify({ signSecret: receiver.secret }),
      options: { requestsPerSecond: 5, inFlight: 2 },
    });
    const name = await define(world, { connection }, slow);
    const run = await launch(world, name);
    await until('the first message', async () => times(from, 14).some((n) => n > 0));
    const last = userOf(from + 13);
    await unsubscribe(world.pool, { connection, kind: 'user', value: last, channel: 'webhook' }, false);
    const result = await run.result();
    expect(result).toMatchObject({ states: { sent: 13, skipped: 1 }, reasons: { 'skipped unsubscribed': 1 } });
    expect(receiver.received.has(last)).toBe(false);
  });
});

describe('how messages end', () => {
  it('a lost answer is unknown, a refusal is told, what is tried again reaches everybody once', async () => {
    const { from, connection } = await someone(60);
    receiver.setFaults([
      { type: 'cut-after', to: [userOf(from)] },
      { type: 'cut', to: [userOf(from + 1)] },
      { type: 'answer', status: 200, body: { error: 'no such person' }, to: [userOf(from + 2)] },
      { type: 'answer', status: 410, to: [userOf(from + 3)] },
      { type: 'answer', status: 425, to: [userOf(from + 4)], times: 1 },
      { type: 'answer', status: 425, to: [userOf(from + 5)] },
      { type: 'answer', status: 504, to: [userOf(from + 6)] },
      { type: 'answer', status: 500, to: [userOf(from + 8)] },
    ]);
    const name = await define(world, { connection }, hook, { attempts: 2 });
    const result = await (await launch(world, name)).result();
    receiver.setFaults([]);
    expect(result.reasons).toEqual({
      'unknown no_answer': 2,
      'unknown 500': 1,
      'unknown 504': 1,
      'refused error_body': 1,
      'refused 410': 1,
      'failed 425': 1,
    });
    expect(result.states).toEqual({ sent: 53, unknown: 4, refused: 2, failed: 1 });
    expect(times(from, 8)).toEqual([1, 0, 0, 0, 1, 0, 0, 1]);
    const rows = await deliveries(world.pool, name);
    expect(rows.find(({ user }) => user === userOf(from + 4))).toMatchObject({ state: 'sent', attempt: 2 });
  });

  it('at-least-once sends again what has no answer, under the same key', async () => {
    const { from, connection } = await someone(20);
    receiver.setFaults([
      { type: 'cut-after', to: [userOf(from)], times: 1 },
      { type: 'cut', to: [userOf(from + 1)], times: 1 },
    ]);
    const name = await define(world, { connection }, hook, { policy: 'at-least-once' });
    const result = await (await launch(world, name)).result();
    receiver.setFaults([]);
    expect(result.states).toEqual({ sent: 20 });
    expect(times(from, 3)).toEqual([2, 1, 1]);
    expect([...receiver.keys].filter(([, address]) => address === userOf(from))).toHaveLength(1);
  });

  it('429 makes the whole account wait and costs no attempt', async () => {
    const { from, connection } = await someone(30);
    receiver.setFaults([{ type: 'answer', status: 429, headers: { 'retry-after': '1' }, times: 3 }]);
    const name = await define(world, { connection }, hook, { attempts: 1 });
    const result = await (await launch(world, name)).result();
    expect(result.states).toEqual({ sent: 30 });
    expect(times(from, 30).every((n) => n === 1)).toBe(true);
  });
});
