import { describe, expect, it } from 'vitest';
import { failureOfRun } from './harness/platforms.ts';
import { expectSame, openStripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const small = { customers: 150, subscriptions: 40, invoices: 30 };

describe('what is typed wrong, or refused at the beginning, ends the run at once', () => {
  it('a wrong key', async () => {
    const { source } = await openStripeAccount(world, { counts: { customers: 1 } });
    const name = await world.connect({ platform: 'stripe', baseUrl: source.url, credential: 'sk_test_wrong' });
    const run = await (await openStripeAccount(world, { counts: { customers: 1 } })).start({ connection: name });
    const { message, type } = await failureOfRun(run.result());
    expect(type).toBe('Unauthorized');
    expect(message).toContain('refused the credential (invalid_request_error). The key is wrong, expired or revoked.');
    expect(message).toContain(`npx syncline connect ${name} --credential-env VARIABLE`);
  });

  it.each([
    [{ shares: 1 }, 'unknown field "shares" (accepted: types, lists, share,'],
    [{ share: 2 }, 'share: got 2, accepted a number from 0.05 to 1'],
    [{ types: ['clients'] }, 'types.0: got "clients", accepted a resource such as customers or invoices'],
    [{ lists: ['customers.friends'] }, 'lists.0: got "customers.friends", accepted a list inside a resource'],
    [
      { settleSeconds: [90, 20] },
      'settleSeconds: got Array, accepted two ages of 1-3600 seconds, the second one larger',
    ],
    [{ settleSeconds: [20, 4000] }, 'settleSeconds.1: got 4000, accepted a number from 2 to 3600'],
    [{ apiVersion: 'latest' }, 'apiVersion: got "latest", accepted a version such as 2026-08-26.dahlia'],
  ])('options %j', async (options, message) => {
    const { source } = await openStripeAccount(world, { counts: { customers: 1 } });
    const name = await world.connect({ platform: 'stripe', baseUrl: source.url, credential: source.key, options });
    const run = await (await openStripeAccount(world, { counts: { customers: 1 } })).start({ connection: name });
    const failure = await failureOfRun(run.result());
    expect(failure.type).toBe('InvalidInput');
    expect(failure.message).toContain(message);
  });

  it('an input of another shape, a connection of another platform, and a second run', async () => {
    const account = await openStripeAccount(world, { counts: { customers: 1 } });
    const wrong = await failureOfRun((await account.start({ follows: true })).result());
    expect(wrong.message).toContain(
      'unknown field "follows" (accepted: connection, follow). Example: {"connection":"billing"}',
    );
    const other = await world.connect({ platform: 'scim', baseUrl: 'http://127.0.0.1:1', credential: null });
    const platform = await failureOfRun((await account.start({ connection: other })).result());
    expect(platform.message).toContain('is of platform scim; stripeSync reads connections of platform stripe');
    const first = await account.start();
    await account.untilLive(first);
    const second = await failureOfRun((await account.start()).result());
    expect(second).toMatchObject({ type: 'AlreadyRunning', message: expect.stringContaining(first.workflowId) });
    await first.cancel();
    await first.result().catch(() => undefined);
  });
});

describe('trouble on the way parks what it meets, visibly, and the rest goes on', () => {
  it('a list without the right to it, and one of a product that the account lacks', async () => {
    const account = await openStripeAccount(
      world,
      { counts: small, faults: [{ type: 'forbidden', path: '/v1/invoices', times: 1 }] },
      { types: ['customers', 'subscriptions', 'invoices', 'charges'], relistHours: 0.001, upcomingInvoices: false },
    );
    const run = await account.start();
    await account.untilLive(run);
    const { types } = await account.progress(run);
    const charges = types.find(({ type }) => type === 'charges');
    expect(charges).toMatchObject({ state: 'parked', reason: expect.stringContaining('may not read charges') });
    expect(charges?.reason).toContain('The account does not have this product.');
    await until('the list that may be read by now', async () => (await account.rows('invoices')).size === 30);
    await run.cancel();
    await run.result().catch(() => undefined);
    await expectSame(account);
  });

  it('a right that is lost while it follows: what changed meanwhile is read whole again', async () => {
    const account = await openStripeAccount(
      world,
      { counts: { customers: 20 } },
      { types: ['customers'], relistHours: 0.001 },
    );
    const run = await account.start();
    await account.untilLive(run);
    account.source.setFaults([{ type: 'forbidden', path: '/v1/customers/' }]);
    const id = [...(await account.rows('customers')).keys()][0] as string;
    // Two changes of one second cannot be told from their events: the object is read.
    account.source.update('customers', id);
    account.source.update('customers', id);
    await until('the list to count as never read', async () => {
      const { rows } = await world.pool.query(
        `SELECT full_at FROM syncline.streams WHERE connection_id = $1 AND stream = 'customers'`,
        [account.name],
      );
      return rows[0]?.full_at === null;
    });
    account.source.setFaults([]);
    await until('the copy to be the same', async () =>
      expectSame(account).then(
        () => true,
        () => false,
      ),
    );
    await run.cancel();
    await run.result().catch(() => undefined);
  });

  it('a key that is revoked while it follows: parked, and live again when somebody resumes it', async () => {
    const account = await openStripeAccount(world, { counts: small });
    const run = await account.start();
    await account.untilLive(run);
    account.source.setFaults([{ type: 'revoked' }]);
    const parked = await until('the run to be parked', async () => {
      const progress = await account.progress(run);
      return progress.state === 'parked' ? progress : undefined;
    });
    expect(parked.notes.join()).toContain('refused the credential');
    account.source.setFaults([]);
    const id = account.source.create('customers');
    await run.executeUpdate('resume');
    await until('the change', async () => (await account.rows('customers')).has(id));
    expect((await account.progress(run)).state).toBe('running');
    await run.cancel();
    await run.result().catch(() => undefined);
  });

  it('cut answers, failures of the server and a page for people', async () => {
    const account = await openStripeAccount(world, {
      counts: small,
      faults: [
        { type: 'cut', path: '/v1/customers', after: 1, times: 2 },
        { type: 'status', status: 500, path: '/v1/invoices', times: 2 },
        { type: 'html', path: '/v1/subscriptions', times: 1 },
        { type: 'cut', path: '/v1/events', after: 2, times: 1 },
      ],
    });
    expect((await account.copy()).outcome).toBe('live');
    await expectSame(account);
  });

  it('a list and a feed that show the same page for ever', async () => {
    const account = await openStripeAccount(world, { counts: small });
    account.source.setFaults([{ type: 'repeat', path: '/v1/customers' }]);
    const run = await account.start();
    // One list without an end keeps nothing else from being live.
    await account.untilLive(run);
    expect((await account.progress(run)).types.find(({ type }) => type === 'customers')).toMatchObject({
      state: 'parked',
      reason: expect.stringContaining('/v1/customers says that there is more and shows what it has shown'),
    });
    expect((await account.rows('invoices')).size).toBe(small.invoices);
    account.source.setFaults([{ type: 'repeat', path: '/v1/events' }]);
    await run.executeUpdate('resume');
    await until('the feed to be parked', async () =>
      (await account.progress(run)).notes.join().includes('the feed has no end'),
    );
    account.source.setFaults([]);
    await run.executeUpdate('resume');
    await account.untilLive(run);
    await until('the list that stood aside', async () =>
      (await account.progress(run)).types.every(({ state }) => state === 'done'),
    );
    await run.cancel();
    await run.result().catch(() => undefined);
    await expectSame(account);
  });

  it('a resume that comes while a list is tried is heard behind the try', async () => {
    const account = await openStripeAccount(world, { counts: small });
    account.source.setFaults([{ type: 'repeat', path: '/v1/customers' }]);
    const run = await account.start();
    await account.untilLive(run);
    const stateOf = async () => (await account.progress(run)).types.find(({ type }) => type === 'customers')?.state;
    const plans = async () =>
      (await run.fetchHistory()).events?.filter(
        (event) => event.activityTaskScheduledEventAttributes?.activityType?.name === 'planStripe',
      ).length ?? 0;
    const before = await plans();
    await run.executeUpdate('resume');
    await until('another try', async () => (await stateOf()) === 'running');
    await run.executeUpdate('resume');
    await until('one behind it', async () => (await plans()) >= before + 2);
    await run.cancel();
    await run.result().catch(() => undefined);
  });

  it('limits: what is used stays below them, and a refusal is waited out', async () => {
    const limits = { account: 40, endpoint: 25 };
    const account = await openStripeAccount(
      world,
      { counts: { customers: 4_000, invoices: 1_200 }, limits },
      { share: 1, requestsPerSecond: 40, endpointRequestsPerSecond: 25, pollMs: 500 },
    );
    await account.copy();
    await expectSame(account);
    expect(account.source.requests.refused).toBeLessThanOrEqual(Math.ceil(account.source.requests.total / 1_000));
    const narrow = await openStripeAccount(
      world,
      { counts: { customers: 2_000 }, limits: { account: 12, endpoint: 8 } },
      { share: 1, requestsPerSecond: 100, endpointRequestsPerSecond: 100 },
    );
    await narrow.copy();
    await expectSame(narrow);
    expect(narrow.source.requests.refused, 'the reason was heard').toBeGreaterThan(0);
  });
});

describe('a feed that no longer reaches back', () => {
  it('is noticed, and everything is read anew; what was deleted in the gap is swept', async () => {
    const account = await openStripeAccount(world, { counts: small });
    await account.copy();
    const gone = [...account.source.truth('customers').keys()].slice(0, 8);
    for (const id of gone) account.source.remove('customers', id);
    for (const id of [...account.source.truth('customers').keys()].slice(0, 30)) account.source.update('customers', id);
    // Those too that appear late: none of them may tell of a deletion before the sweep does.
    for (const event of account.source.feed.visible(Date.now() + 3_600_000)) account.source.feed.forget(event.id);
    await world.pool.query(
      `UPDATE syncline.stripe_feeds SET settled_at = settled_at - interval '31 days', settled_first = settled_first - interval '31 days' WHERE connection_id = $1`,
      [account.name],
    );
    const result = await account.copy();
    expect(result.types.find(({ type }) => type === 'customers')).toMatchObject({ deleted: 8, withheld: 0 });
    await expectSame(account);
  });

  it('an event that is no place any more: nothing is lost', async () => {
    const account = await openStripeAccount(world, { counts: small });
    const run = await account.start();
    await account.untilLive(run);
    const first = account.source.create('customers');
    await until('the first change', async () => (await account.rows('customers')).has(first));
    for (const event of account.source.feed.visible(Date.now())) account.source.feed.forget(event.id);
    const second = account.source.create('customers');
    await until('the second change', async () => (await account.rows('customers')).has(second));
    await run.cancel();
    await run.result().catch(() => undefined);
    await expectSame(account);
  });
});

describe('what has no events, or none for every change', () => {
  it('is read again on a schedule, and what is gone is swept under the guard', async () => {
    const account = await openStripeAccount(
      world,
      { counts: { balance_transactions: 130, payment_intents: 30, webhook_endpoints: 60, subscriptions: 10 } },
      { relistHours: 0.001 },
    );
    const { source } = account;
    const run = await account.start();
    await account.untilLive(run);
    for (const id of [...source.truth('balance_transactions').keys()].slice(0, 20))
      source.update('balance_transactions', id);
    for (const id of [...source.truth('payment_intents').keys()].slice(0, 5)) source.update('payment_intents', id);
    const hooks = [...source.truth('webhook_endpoints').keys()];
    for (const id of hooks.slice(0, 5)) source.remove('webhook_endpoints', id);
    const [canceled] = [...source.previews().keys()];
    source.cancel(canceled as string);
    await until('source and copy to be equal', async () => (await account.differences()).length === 0);
    expect((await account.rows('subscriptions')).get(canceled as string)).toMatchObject({ status: 'canceled' });
    expect((await account.rows('upcoming_invoices')).has(canceled as string)).toBe(false);

    for (const id of hooks.slice(5, 50)) source.remove('webhook_endpoints', id);
    const withheld = await until('the guard', async () => {
      const { types } = await account.progress(run);
      return types.find(({ type, withheld }) => type === 'webhook_endpoints' && withheld > 0);
    });
    expect(withheld).toMatchObject({ withheld: 45, reason: expect.stringContaining('nothing was deleted') });
    expect((await account.rows('webhook_endpoints')).size).toBe(55);
    await run.cancel();
    await run.result().catch(() => undefined);
  });

  it('is due by its last whole reading, whichever run read it', async () => {
    const account = await openStripeAccount(world, {
      counts: { customers: 10, balance_transactions: 30, webhook_endpoints: 20 },
    });
    await account.copy();
    const { source } = account;
    const lists = () => {
      const { byEndpoint } = source.requests;
      return [byEndpoint['GET /v1/balance_transactions'], byEndpoint['GET /v1/webhook_endpoints']];
    };
    const [due, fresh] = lists();
    await world.pool.query(
      `UPDATE syncline.streams SET full_at = full_at - interval '25 hours' WHERE connection_id = $1 AND stream = 'balance_transactions'`,
      [account.name],
    );
    const [id] = source.truth('balance_transactions').keys();
    source.update('balance_transactions', id as string);
    const run = await account.start();
    await until('the list that is due', async () => (await account.differences()).length === 0);
    await until('its end', async () => (await run.describe()).raw.pendingActivities?.length === 1);
    expect(lists(), 'each read at most once more').toEqual([(due as number) + 1, fresh]);
    const { rows } = await world.pool.query(
      `SELECT stream FROM syncline.streams WHERE connection_id = $1 AND full_at > now() - interval '1 hour' ORDER BY 1`,
      [account.name],
    );
    expect(rows.map(({ stream }) => stream)).toEqual(['balance_transactions', 'customers', 'webhook_endpoints']);
    await run.cancel();
    await run.result().catch(() => undefined);
  });

  it('objects under test clocks are found through their clocks', async () => {
    const account = await openStripeAccount(world, { counts: { customers: 200, subscriptions: 50 }, clocks: 3 });
    await account.copy();
    await expectSame(account);
    expect(
      [...(await account.rows('customers')).values()].filter(({ test_clock }) => test_clock !== null).length,
    ).toBeGreaterThan(3);
  });
});

it('an event written in another version is read in ours', async () => {
  const account = await openStripeAccount(world, { counts: small, eventVersion: '2020-08-27' });
  const run = await account.start();
  await account.untilLive(run);
  const ids = [...account.source.truth('customers').keys()].slice(0, 10);
  for (const id of ids) account.source.update('customers', id);
  await account.untilSettled();
  await expectSame(account);
  expect((await account.progress(run)).state).toBe('running');
  await run.cancel();
  await run.result().catch(() => undefined);
});

it('pauses behind the page in hand, and goes on where it was', async () => {
  const account = await openStripeAccount(world, { counts: small });
  const run = await account.start();
  await account.untilLive(run);
  expect(await run.executeUpdate('pause')).toBe('paused');
  await until('the follower to end', async () => ((await run.describe()).raw.pendingActivities ?? []).length === 0);
  const id = account.source.create('customers');
  expect((await account.progress(run)).state).toBe('paused');
  expect((await account.rows('customers')).has(id)).toBe(false);
  await run.executeUpdate('resume');
  await until('the change', async () => (await account.rows('customers')).has(id));
  await run.cancel();
  await run.result().catch(() => undefined);
});
