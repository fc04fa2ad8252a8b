import { describe, expect, test } from 'vitest';
import { openBilling } from './harness/billing.ts';
import { openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const parts = await openCli();
const { world, cli, fresh } = parts;

describe('a comparison that runs', () => {
  test('shows in status, keeps a second one out, and is paused, resumed and cancelled, under any id', async () => {
    const { name, source } = await openBilling(parts);
    expect((await cli(`start stripeSync ${name} --once --wait`)).code).toBe(0);
    source.setFaults([{ type: 'hang', path: '/v1/customers' }]);
    const id = `verifyStripe-${name}`;
    expect((await cli(`verify ${name}`)).code).toBe(0);
    expect((await cli(`status ${name}`)).out).toMatch(new RegExp(`compares +since .*, ${id}`));
    const second = await cli(`verify ${name}`);
    expect(second).toMatchObject({ code: 1, err: expect.stringContaining(`npx syncline cancel ${name} --id ${id}`) });
    expect((await cli(`start stripeSync ${name} --once`)).code, 'a copy is not kept out').toBe(0);

    expect(await cli(`pause ${name} --id ${id}`)).toMatchObject({ code: 0, out: expect.stringMatching(/^Paused/) });
    expect(await cli(`resume ${name} --id ${id}`)).toMatchObject({ code: 0, out: expect.stringMatching(/^Resumed/) });
    const cancelled = await cli(`cancel ${name} --id ${id}`);
    expect(cancelled).toMatchObject({ code: 0, out: expect.stringContaining('the next comparison begins anew') });
    expect((await cli(`status ${name}`)).out).not.toContain(id);

    const other = fresh();
    await world.client.workflow.start('verifyStripe', {
      workflowId: other,
      taskQueue: world.config.taskQueue,
      args: [{ connection: name }],
    });
    await until('it to be listed', async () => (await cli(`status ${name}`)).out.includes(other));
    expect(await cli(`cancel ${name} --id ${other}`)).toMatchObject({ code: 0 });
  });
});

/** Rows of customers that the account does not have. */
async function strangers(name: string, count: number): Promise<void> {
  await world.pool.query(
    `INSERT INTO stripe.customers (connection_id, id, data, source_time, generation, synced_at, created)
     SELECT connection_id, 'cus_gone' || n, data, source_time, generation, synced_at, created
     FROM generate_series(1, $2) n, (SELECT * FROM stripe.customers WHERE connection_id = $1 ORDER BY id LIMIT 1) one`,
    [name, count],
  );
}

describe('what verify says at its end', () => {
  test('rows that the guard lets stay are drift, counted, and the option is named', async () => {
    const { name } = await openBilling(parts, {}, { guard: { count: 2 } });
    expect((await cli(`start stripeSync ${name} --once --wait`)).code).toBe(0);
    await strangers(name, 5);
    const said = await cli(`verify ${name} --wait`);
    expect(said.code).toBe(1);
    expect(said.out).toMatch(/^Drift: 270 objects/m);
    expect(said.out).toMatch(/customers .* 5 gone +2 mended +3 rows .* stay: the option guard\.count lets 2/);
    expect((await cli(`connect ${name} --option guard.count=5`)).code).toBe(0);
    expect(await cli(`verify ${name} --wait`)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/3 gone +3 mended/),
    });
  });

  test('a wait that the source asks for in the middle loses no count', async () => {
    const { name, source } = await openBilling(parts);
    expect((await cli(`start stripeSync ${name} --once --wait`)).code).toBe(0);
    await strangers(name, 5);
    source.setFaults([{ type: 'status', status: 429, path: '/v1/customers/', after: 2, times: 1 }]);
    const said = await cli(`verify ${name} --wait`);
    expect(said).toMatchObject({ code: 0, out: expect.stringMatching(/customers .* 5 gone +5 mended/) });
  });

  test('what the account lacks is skipped in one line, and what it lacks since is a failure', async () => {
    const types = ['customers', 'products', 'charges', 'disputes', 'reviews'];
    const { name, source, said } = await openBilling(parts, {}, { types });
    const lacking = /3 resources (.*) \(charges, disputes, reviews\): .*The account does not have this product/g;
    expect([...said.out.matchAll(lacking)].map(([, how]) => how)).toEqual(['not readable']);
    expect((await cli(`start stripeSync ${name} --wait`)).code).toBe(0);
    expect([...(await cli(`status ${name}`)).out.matchAll(lacking)].map(([, how]) => how)).toEqual(['parked']);
    const equal = await cli(`verify ${name} --wait`);
    expect(equal).toMatchObject({ code: 0, out: expect.stringMatching(/^Equal: 270 objects/m) });
    expect([...equal.out.matchAll(lacking)].map(([, how]) => how)).toEqual(['skipped']);
    source.setFaults([{ type: 'forbidden', path: '/v1/products' }]);
    const partly = await cli(`verify ${name} --wait`);
    expect(partly).toMatchObject({ code: 1, out: expect.stringMatching(/^Partly compared: 250 objects/m) });
    expect(partly.out).toMatch(/products failed: .*may not read products/);
    expect((await cli(`cancel ${name}`)).code).toBe(0);
  });

  test('a list that repeats itself is a failure, and the comparison ends', async () => {
    const { name, source } = await openBilling(parts);
    expect((await cli(`start stripeSync ${name} --once --wait`)).code).toBe(0);
    source.setFaults([{ type: 'repeat', path: '/v1/customers' }]);
    const said = await cli(`verify ${name} --types customers --wait`);
    expect(said.code).toBe(1);
    expect(said.out).toContain('/v1/customers shows what it has shown: the list has no end');
  });
});

describe('what is typed wrong', () => {
  test('a resource that is not copied, and a connection that there is none of, are said at the keyboard', async () => {
    const { name } = await openBilling(parts);
    expect(await cli(`verify ${name} --types clients`)).toMatchObject({
      code: 2,
      out: '',
      err: 'syncline: --types: got "clients", accepted customers, products\n',
    });
    for (const line of ['verify nobody', 'start stripeSync nobody'])
      expect((await cli(line)).err).toContain(
        'npx syncline connect nobody --platform stripe --credential-env VARIABLE',
      );
  });
});
