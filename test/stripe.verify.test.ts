import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { loadConnection, saveConnection } from '../db/connections.ts';
import { verifyStripe } from '../workflows/index.ts';
import { failureOfRun } from './harness/platforms.ts';
import { expectSame, openStripeAccount } from './harness/stripes.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

const verify = (input: Record<string, unknown>) =>
  world.client.workflow.execute(verifyStripe, {
    args: [input],
    taskQueue: world.config.taskQueue,
    workflowId: `verify-${randomBytes(6).toString('hex')}`,
  });

describe('verifyStripe', () => {
  it('finds a whole copy equal, while it changes and is followed', async () => {
    const account = await openStripeAccount(world, {
      counts: { customers: 1_500, invoices: 60, webhook_endpoints: 12 },
    });
    const run = await account.start();
    await account.untilLive(run);
    const stop = account.source.churn(20);
    const result = await verify({ connection: account.name });
    stop();
    expect(result.types).toEqual(
      result.types.map((one) => ({ ...one, state: 'done', missing: 0, different: 0, extra: 0, mended: 0 })),
    );
    expect(result.outcome).toBe('equal');
    expect(result.types.find(({ type }) => type === 'customers')?.objects).toBeGreaterThan(1_400);
    await run.cancel();
    await run.result().catch(() => undefined);
  });

  it('finds every kind of drift, reads the bad buckets again and no other, and mends', async () => {
    const account = await openStripeAccount(world, {
      counts: { customers: 2_000, subscriptions: 60, webhook_endpoints: 12 },
    });
    await account.copy();
    const [lost, stale, other] = [...account.source.truth('customers').keys()].filter((_, i) => i % 500 === 250);
    await world.pool.query('DELETE FROM stripe.customers WHERE connection_id = $1 AND id = $2', [account.name, lost]);
    await world.pool.query(
      `UPDATE stripe.customers SET data = data || '{"balance": 99999}' WHERE connection_id = $1 AND id = $2`,
      [account.name, stale],
    );
    await world.pool.query(
      `INSERT INTO stripe.customers (connection_id, id, data, source_time, generation, synced_at, created)
       SELECT connection_id, 'cus_0000000zzz', data || '{"id": "cus_0000000zzz"}', source_time, generation, synced_at, created FROM stripe.customers
       WHERE connection_id = $1 AND id = $2`,
      [account.name, other],
    );
    const [item] = account.source.truthOf('subscriptions', 'items').keys();
    await world.pool.query('DELETE FROM stripe.subscriptions_items WHERE connection_id = $1 AND id = $2', [
      account.name,
      item,
    ]);
    const [hook] = account.source.truth('webhook_endpoints').keys();
    account.source.update('webhook_endpoints', hook as string);

    const told = await verify({ connection: account.name, mend: false });
    expect(told.outcome).toBe('drift');
    const before = account.source.requests.total;
    const result = await verify({ connection: account.name });
    const customers = result.types.find(({ type }) => type === 'customers');
    expect(customers).toMatchObject({ missing: 1, different: 1, extra: 1, mended: 3, badBuckets: 3, objects: 2_000 });
    expect(result.types.find(({ type }) => type === 'subscriptions')).toMatchObject({ different: 1, mended: 1 });
    expect(result.types.find(({ type }) => type === 'webhook_endpoints')).toMatchObject({ different: 1, mended: 1 });
    expect(account.source.requests.total - before, 'requests').toBeLessThan(40);
    expect(result.outcome).toBe('mended');
    expect((await verify({ connection: account.name })).types.map(({ missing, extra }) => missing + extra)).toEqual([
      0, 0, 0,
    ]);
    await expectSame(account);
  });

  it('finds items that are living under parents that are deleted, with moments and without', async () => {
    const account = await openStripeAccount(world, {
      counts: { customers: 5, subscriptions: 20, checkout_sessions: 10 },
    });
    await account.copy();
    const left: Record<string, number> = {};
    for (const [list, field] of [
      ['subscriptions', 'items'],
      ['checkout_sessions', 'line_items'],
    ] as const) {
      const [item] = account.source.truthOf(list, field).keys();
      const parent = item?.split('/')[0] as string;
      left[list] = [...account.source.truthOf(list, field).keys()].filter((id) => id.startsWith(`${parent}/`)).length;
      account.source.remove(list, parent);
      await world.pool.query(`UPDATE stripe.${list} SET deleted_at = now() WHERE connection_id = $1 AND id = $2`, [
        account.name,
        parent,
      ]);
    }
    expect((await verify({ connection: account.name, mend: false })).outcome).toBe('drift');
    const { outcome, types } = await verify({ connection: account.name });
    expect(outcome).toBe('mended');
    for (const [list, items] of Object.entries(left))
      expect(
        types.find(({ type }) => type === list),
        list,
      ).toMatchObject({ extra: items, mended: items });
    expect((await verify({ connection: account.name })).outcome).toBe('equal');
  });

  it('finds rows of objects that are gone of which it is not known when they were made', async () => {
    const account = await openStripeAccount(world, { counts: { customers: 300 }, clocks: 2 });
    await account.copy();
    const [known, under] = [null, 'clock'].map((kind) =>
      [...account.source.truth('customers').values()].find(
        ({ test_clock }) => (test_clock === null) === (kind === null),
      ),
    );
    for (const one of [known, under])
      await world.pool.query(
        `INSERT INTO stripe.customers (connection_id, id, data, source_time, generation, synced_at, test_clock)
         SELECT connection_id, 'cus_gone' || length(coalesce(test_clock, '')), '{"deleted": true}', date_trunc('second', now() + interval '5 s'), generation, synced_at, test_clock
         FROM stripe.customers WHERE connection_id = $1 AND id = $2`,
        [account.name, one?.id],
      );
    const { outcome, types } = await verify({ connection: account.name });
    expect(outcome).toBe('mended');
    expect(types.find(({ type }) => type === 'customers')).toMatchObject({ badBuckets: 2, extra: 2, mended: 2 });
    expect((await verify({ connection: account.name })).outcome).toBe('equal');
    await expectSame(account);
  });

  it('compares objects under test clocks, which no list shows beside the others', async () => {
    const account = await openStripeAccount(world, { counts: { customers: 200, subscriptions: 50 }, clocks: 3 });
    await account.copy();
    const equal = await verify({ connection: account.name });
    expect(equal.outcome).toBe('equal');
    expect(equal.types.find(({ type }) => type === 'customers')).toMatchObject({ objects: 200, badBuckets: 0 });
    const under = [...account.source.truth('customers').values()].filter(({ test_clock }) => test_clock !== null);
    const [lost, stale, gone] = under.map(({ id }) => id as string) as [string, string, string];
    const of = (text: string, id: string) =>
      world.pool.query(`${text} WHERE connection_id = $1 AND id = $2`, [account.name, id]);
    await of('DELETE FROM stripe.customers', lost);
    await of(`UPDATE stripe.customers SET data = data || '{"balance": 99999}'`, stale);
    account.source.remove('customers', gone);
    const { outcome, types } = await verify({ connection: account.name, types: ['customers'] });
    expect(outcome).toBe('mended');
    expect(types).toMatchObject([{ badBuckets: 1, missing: 1, different: 1, extra: 1, mended: 3, objects: 199 }]);
    await expectSame(account);
  });

  it('with the key of another account compares and writes nothing, and says so', async () => {
    const counts = { customers: 60, webhook_endpoints: 12 };
    const account = await openStripeAccount(world, { counts });
    await account.copy();
    const rows = async () => {
      const { rows: all } = await world.pool.query(
        `SELECT 'c' AS of, id, row_version, deleted_at FROM stripe.customers WHERE connection_id = $1
         UNION ALL SELECT 'w', id, row_version, deleted_at FROM stripe.webhook_endpoints WHERE connection_id = $1 ORDER BY 1, 2`,
        [account.name],
      );
      return all;
    };
    const before = await rows();
    const key = 'sk_test_sandbox0000000002';
    account.source.hand(key, 'acct_2');
    for (const list of Object.keys(counts))
      for (const id of [...account.source.truth(list).keys()].slice(0, 10)) account.source.remove(list, id);
    const { no: _assigned, ...stored } = await loadConnection(world.pool, world.key, account.name);
    await saveConnection(world.pool, world.key, { ...stored, credential: key });
    for (const types of [['customers'], ['webhook_endpoints']]) {
      const failure = await failureOfRun(verify({ connection: account.name, types }));
      expect(failure.type).toBe('InvalidInput');
      expect(failure.message).toContain('the copy is of account acct_1, the key is of account acct_2');
      expect(failure.message).toContain(`npx syncline connect ${account.name} --credential-env VARIABLE`);
    }
    expect(await rows()).toEqual(before);
  });

  it('refuses a resource that is not copied', async () => {
    const account = await openStripeAccount(world, { counts: { customers: 1 } });
    const failure = await failureOfRun(verify({ connection: account.name, types: ['charges'] }));
    expect(failure).toEqual({ type: 'InvalidInput', message: 'types: got "charges", accepted customers' });
  });
});
