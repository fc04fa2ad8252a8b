import { expect, inject, it } from 'vitest';
import { lookAt, nameObject } from '../activities/stripe/look.ts';
import { saveConnection } from '../db/connections.ts';
import { listRejects } from '../db/report.ts';
import { createWorker } from '../workers/worker.ts';
import { failureOfRun } from './harness/platforms.ts';
import { openStripeAccount, quickSettling, type StripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const parts = await createWorker(world.config, world.servers, world.key, inject('shared').bundle);
const running = parts.worker.run();
world.onClose(async () => {
  parts.worker.shutdown();
  await running;
  await parts.close();
});

const scopeOf = async ({ name }: StripeAccount) =>
  (await world.pool.query('SELECT scope FROM syncline.stripe_feeds WHERE connection_id = $1', [name])).rows[0].scope;
const listed = ({ source }: StripeAccount) => source.requests.byEndpoint['GET /v1/customers'] ?? 0;

async function connectAgain(
  { name, source }: StripeAccount,
  { key = source.key, ...options }: Record<string, unknown> & { key?: string },
): Promise<void> {
  await saveConnection(world.pool, world.key, {
    id: name,
    tenant: name,
    platform: 'stripe',
    baseUrl: source.url,
    credential: key,
    options: { ...quickSettling, types: Object.keys(source.stores), ...options },
  });
}

it('a type that is added while a run follows gets its table, is read, and is followed', async () => {
  const account = await openStripeAccount(
    world,
    { counts: { customers: 20, invoices: 30, coupons: 5 } },
    { types: ['customers'], relistHours: 0.001 },
  );
  const run = await account.start();
  await account.untilLive(run);
  const table = await world.pool.query(`SELECT to_regclass('stripe.invoices') AS name`);
  expect(table.rows[0].name).toBeNull();
  await connectAgain(account, { relistHours: 0.001 });
  // The follower opens with the options of that moment.
  await run.executeUpdate('pause');
  await until('the follower to end', async () => ((await run.describe()).raw.pendingActivities ?? []).length === 0);
  const id = account.source.create('invoices');
  await run.executeUpdate('resume');
  await until('the new type', async () => (await account.differences().catch(() => ['no table'])).length === 0);
  expect((await account.rows('invoices')).has(id)).toBe(true);
  expect((await account.progress(run)).notes.filter((note) => note.startsWith('parked'))).toEqual([]);
  await run.cancel();
  await run.result().catch(() => undefined);
});

it('a key of another account under the same address begins the copy anew, visibly', async () => {
  const account = await openStripeAccount(world, { counts: { customers: 20 } });
  const run = await account.start();
  await account.untilLive(run);
  const scope = await scopeOf(account);
  expect(scope).toMatch(/^[0-9a-f]{16} test acct_1$/);
  const read = listed(account);
  await run.executeUpdate('pause');
  await until('the follower to end', async () => ((await run.describe()).raw.pendingActivities ?? []).length === 0);
  account.source.hand('sk_test_another0000000001', 'acct_2');
  await connectAgain(account, { key: 'sk_test_another0000000001' });
  const [id] = account.source.truth('customers').keys();
  const look = lookAt(parts.deps, account.name, nameObject(id as string), new AbortController().signal);
  await expect(look).rejects.toThrow('the copy is of account acct_1, the key is of account acct_2');
  await run.executeUpdate('resume');
  await until('the copy to be begun anew', async () => (await scopeOf(account)) === scope.replace('acct_1', 'acct_2'));
  await until('the list', async () => listed(account) > read);
  await account.untilLive(run);
  expect((await account.progress(run)).notes.join()).toContain(
    'begun anew: the copy is of account acct_1, the key is of account acct_2',
  );
  await run.cancel();
  await run.result().catch(() => undefined);
});

it('a live key instead of a test key begins it anew, also where the account may not be read', async () => {
  const forbidden = { type: 'forbidden' as const, path: '/v1/account' };
  const account = await openStripeAccount(world, { counts: { customers: 20 }, faults: [forbidden] });
  await account.copy();
  expect(await scopeOf(account)).toMatch(/^[0-9a-f]{16} test$/);
  const read = listed(account);
  account.source.hand('rk_live_another0000000001', 'acct_1');
  await connectAgain(account, { key: 'rk_live_another0000000001' });
  await account.copy();
  expect(listed(account)).toBeGreaterThan(read);
  expect(await scopeOf(account)).toMatch(/^[0-9a-f]{16} live$/);
});

it('a copy that was begun before accounts were told goes on, and tells its account from then on', async () => {
  const account = await openStripeAccount(world, { counts: { customers: 20 } });
  await account.copy();
  const scope: string = await scopeOf(account);
  await world.pool.query(
    `UPDATE syncline.stripe_feeds SET scope = split_part(scope, ' ', 1) WHERE connection_id = $1`,
    [account.name],
  );
  const read = listed(account);
  await account.copy();
  expect(listed(account)).toBe(read);
  expect(await scopeOf(account)).toBe(scope);
});

it('events of a connected account change nothing and stand aside, those of the account itself are applied', async () => {
  const account = await openStripeAccount(world, { counts: { customers: 20, coupons: 5 }, shuffled: false });
  const run = await account.start();
  await account.untilLive(run);
  const { feed } = account.source;
  const [customer, other] = [...account.source.truth('customers').keys()] as [string, string];
  const [coupon] = account.source.truth('coupons').keys();
  feed.options.eventAccount = 'acct_connected';
  account.source.update('customers', customer, 'req_foreign');
  account.source.remove('coupons', coupon as string);
  feed.options.eventAccount = 'acct_1';
  account.source.update('customers', other);
  await account.untilSettled();
  const customers = await account.rows('customers');
  expect(customers.get(customer)).toMatchObject({ balance: 0 });
  expect(customers.get(other)).toMatchObject({ balance: 1 });
  expect((await account.rows('coupons')).has(coupon as string)).toBe(true);
  const { rows } = await listRejects(world.pool, { connection: account.name, limit: 20, records: true });
  expect(rows).toMatchObject([{ stream: 'events', sourceId: 'acct_connected', reason: 'foreign_account' }]);
  const ledger = await world.pool.query(
    `SELECT FROM syncline.stripe_events WHERE connection_id = $1 AND request_id = 'req_foreign'`,
    [account.name],
  );
  expect(ledger.rowCount, 'nobody who waits for the request is told that it was applied').toBe(0);
  await run.cancel();
  await run.result().catch(() => undefined);
});

it('an account that answers with garbage is none that may not be told: nothing is written until it answers', async () => {
  const account = await openStripeAccount(world, { counts: { customers: 20 } });
  await account.copy();
  const [scope, before] = [await scopeOf(account), await account.rows('customers')];
  account.source.hand('sk_test_another0000000001', 'acct_2');
  const [id] = [...account.source.truth('customers').keys()] as [string];
  account.source.update('customers', id);
  account.source.setFaults([{ type: 'html', path: '/v1/account' }]);
  await connectAgain(account, { key: 'sk_test_another0000000001' });
  const look = lookAt(parts.deps, account.name, nameObject(id), new AbortController().signal);
  await expect(look).rejects.toMatchObject({ type: 'BadAnswer' });
  const run = await account.start({ follow: false });
  expect((await failureOfRun(run.result())).type).toBe('BadAnswer');
  expect([await scopeOf(account), await account.rows('customers')]).toEqual([scope, before]);
  account.source.setFaults([]);
  await account.copy();
  expect(await scopeOf(account)).toBe(scope.replace('acct_1', 'acct_2'));
});
