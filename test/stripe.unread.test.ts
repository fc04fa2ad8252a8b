import { expect, it } from 'vitest';
import { listRejects } from '../db/report.ts';
import { expectSame, openStripeAccount, type StripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

/** Events in another version than ours, so that every change is read by its id, and none behind another of its second. */
const byId = { eventVersion: '2020-08-27', shuffled: false };

const standAside = async ({ name }: StripeAccount) =>
  (await listRejects(world.pool, { connection: name, limit: 20, records: true })).rows;

/** Changes objects one after the other; how long each took to stand in the copy, ms, in ascending order. */
async function lagsOf(account: StripeAccount, ids: readonly string[]): Promise<number[]> {
  const lags: number[] = [];
  for (const id of ids) {
    account.source.update('customers', id);
    const wanted = account.source.truth('customers').get(id)?.balance;
    const began = performance.now();
    await until(`the change of ${id}`, async () => {
      const { rows } = await world.pool.query(
        `SELECT (data->>'balance')::int AS balance FROM stripe.customers WHERE connection_id = $1 AND id = $2`,
        [account.name, id],
      );
      return rows[0]?.balance === wanted;
    });
    lags.push(performance.now() - began);
  }
  return lags.sort((a, b) => a - b);
}

it('an object that answers with 5xx stands aside alone, is tried with growing pauses, by a later run too', async () => {
  const account = await openStripeAccount(world, { counts: { customers: 60 }, ...byId });
  const run = await account.start();
  await account.untilLive(run);
  const [bad, ...others] = [...account.source.truth('customers').keys()] as [string, ...string[]];
  const rest = others.filter((id) => !id.startsWith(bad)).slice(0, 20);
  account.source.setFaults([{ type: 'status', status: 500, path: `/v1/customers/${bad}` }]);
  account.source.update('customers', bad);
  const lags = await lagsOf(account, rest);
  expect(lags[10], 'half of the others, ms').toBeLessThan(1_000);

  const tries = new Set<number>();
  await until('four tries', async () => {
    for (const { lastSeen } of await standAside(account)) tries.add(lastSeen.getTime());
    return tries.size >= 4;
  });
  const at = [...tries].sort((a, b) => a - b) as [number, number, number, number];
  expect(at[3] - at[2]).toBeGreaterThan(1.5 * (at[1] - at[0]));
  const [reject] = await standAside(account);
  expect(reject).toMatchObject({ stream: 'customers', sourceId: bad, reason: 'unread', field: 'id' });
  expect(JSON.parse(String(reject?.record)).failure).toContain('/v1/customers/{id} answered');
  await account.untilSettled();
  expect((await lagsOf(account, rest))[10], 'half of the others while the feed settles, ms').toBeLessThan(1_000);
  expect(await account.progress(run)).toMatchObject({ state: 'running', notes: [] });
  const { rows } = await world.pool.query('SELECT id FROM syncline.stripe_events WHERE connection_id = $1', [
    account.name,
  ]);
  const told = account.source.feed.visible(Date.now());
  expect(told.length - rows.length, 'events that do not count as applied').toBe(1);
  await run.cancel();
  await run.result().catch(() => undefined);

  const later = await account.start();
  await account.untilLive(later);
  expect((await standAside(account)).map(({ sourceId }) => sourceId)).toEqual([bad]);
  account.source.setFaults([]);
  await until('the object to be read', async () => (await standAside(account)).length === 0);
  await expectSame(account);
  await later.cancel();
  await later.result().catch(() => undefined);
});

it('a failure that passes holds nothing aside, and an object that is deleted meanwhile stands aside no more', async () => {
  const account = await openStripeAccount(world, { counts: { customers: 60 }, ...byId });
  const run = await account.start();
  await account.untilLive(run);
  const ids = [...account.source.truth('customers').keys()];
  const [once, gone] = ids as [string, string];
  account.source.setFaults([
    { type: 'status', status: 500, path: `/v1/customers/${once}`, times: 2 },
    { type: 'html', path: `/v1/customers/${gone}` },
  ]);
  account.source.update('customers', once);
  account.source.update('customers', gone);
  await until('one to stand aside', async () => (await standAside(account)).length > 0);
  expect((await standAside(account)).map(({ sourceId }) => sourceId)).toEqual([gone]);
  account.source.remove('customers', gone);
  account.source.setFaults([]);
  await until('nothing to stand aside', async () => (await standAside(account)).length === 0);
  await account.untilSettled();
  await expectSame(account);
  await run.cancel();
  await run.result().catch(() => undefined);
});

it('an object whose list answers with 5xx stands aside in the backfill, as a preview does, and is read when it can be', async () => {
  const account = await openStripeAccount(world, { counts: { invoices: 120, subscriptions: 30 } });
  // Of this number is an invoice with 130 lines.
  const invoice = account.source.stores.invoices?.id(7) as string;
  account.source.setFaults([
    { type: 'status', status: 500, path: `/v1/invoices/${invoice}/lines` },
    { type: 'status', status: 500, path: '/v1/invoices/create_preview', times: 1 },
  ]);
  const { types } = await account.copy();
  expect(types.filter(({ state }) => state !== 'done')).toEqual([]);
  const aside = await standAside(account);
  expect(aside.map(({ stream, reason }) => `${stream} ${reason}`).sort()).toEqual([
    'invoices unread',
    'upcoming_invoices unread',
  ]);
  expect(aside.find(({ stream }) => stream === 'invoices')).toMatchObject({ sourceId: invoice });
  expect((await account.rows('invoices')).size).toBe(119);
  account.source.setFaults([]);
  const run = await account.start();
  await until('both to be read', async () => (await standAside(account)).length === 0);
  await expectSame(account);
  await run.cancel();
  await run.result().catch(() => undefined);
});

it('a preview that is refused stands aside and buries nothing: what was known of the next invoice stays', async () => {
  const account = await openStripeAccount(world, { counts: { subscriptions: 20 } });
  const run = await account.start();
  await account.untilLive(run);
  const [id] = account.source.previews().keys() as Iterable<string>;
  const before = (await account.rows('upcoming_invoices')).get(id as string);
  account.source.setFaults([{ type: 'status', status: 400, path: '/v1/invoices/create_preview' }]);
  account.source.update('subscriptions', id as string);
  await until('the preview to stand aside', async () => (await standAside(account)).length > 0);
  expect(await standAside(account)).toMatchObject([{ stream: 'upcoming_invoices', sourceId: id, reason: 'refused' }]);
  expect(before).toBeDefined();
  expect((await account.rows('upcoming_invoices')).get(id as string)).toEqual(before);
  account.source.setFaults([]);
  account.source.update('subscriptions', id as string);
  await until('nothing to stand aside', async () => (await standAside(account)).length === 0);
  await account.untilSettled();
  await expectSame(account);
  await run.cancel();
  await run.result().catch(() => undefined);
});
