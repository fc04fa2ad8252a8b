import { describe, expect, test } from 'vitest';
import { stripe } from '../activities/stripe/catalog.ts';
import type { StripeSandboxOptions } from '../sandbox/stripe.ts';
import { probe } from '../workers/cli/connect.probe.ts';
import { openBilling } from './harness/billing.ts';
import { openCli } from './harness/cli.ts';
import { until } from './harness/until.ts';

const parts = await openCli();
const { world, cli, stateOf } = parts;

const billing = (sandbox: StripeSandboxOptions = {}, options: Record<string, unknown> = {}) =>
  openBilling(parts, sandbox, options);

async function copied(name: string): Promise<number> {
  const { rows } = await world.pool.query(
    'SELECT count(*)::int AS n FROM stripe.customers WHERE connection_id = $1 AND deleted_at IS NULL',
    [name],
  );
  return rows[0].n;
}

describe('an account on the command line', () => {
  test('is followed, paused, resumed and left, and status tells each', async () => {
    const { name, source, said } = await billing();
    expect(said.out).toContain(`npx syncline start stripeSync ${name}`);
    expect((await cli(`status ${name}`)).out).toMatch(/run +none known to Temporal/);
    const started = await cli(`start stripeSync ${name} --wait`);
    expect(started).toMatchObject({ code: 0, err: '' });
    expect(started.out).toContain(`npx syncline cancel ${name}`);
    const live = await cli(`status ${name}`);
    expect(live.out).toMatch(/phase +follow/);
    expect(live.out).toMatch(/2 resources whole: customers, products/);
    expect(live.out).toMatch(/feed +seen .* ago, settled up to .* ago/);
    expect(await cli(`start stripeSync ${name}`)).toMatchObject({ code: 1, err: expect.stringContaining(name) });

    source.setFaults([{ type: 'status', status: 503, path: '/v1/events' }]);
    const held = await until('the trouble', async () => {
      const { out } = await cli(`status ${name}`);
      return out.includes('(Unavailable)') ? out : undefined;
    });
    expect(held).toMatch(/waits for +followFeed, try \d+: .*\/v1\/events answered 503/);
    expect(held).toMatch(/nothing was read since .* ago/);
    source.setFaults([]);
    await until('the trouble to be over', async () => !(await cli(`status ${name}`)).out.includes('Unavailable'));

    expect(await cli(`pause ${name}`)).toMatchObject({ code: 0, out: expect.stringMatching(/^Paused/) });
    await until('the pause to show', async () => (await stateOf(name)).state === 'paused');
    source.create('customers');
    expect(await cli(`resume ${name}`)).toMatchObject({ code: 0, out: expect.stringMatching(/^Resumed/) });
    await until('the change during the pause', async () => (await copied(name)) === 251);

    expect(await cli(`cancel ${name}`)).toMatchObject({ code: 0, out: expect.stringMatching(/^Cancelled/) });
    const left = await cli(`status ${name}`);
    expect(left.out).toMatch(/run +was cancelled/);
    expect(await copied(name), 'what it wrote stays').toBe(251);
  });

  test('tells once why it waits, and what the account lacks in one line a reason', async () => {
    const types = ['customers', 'products', 'charges', 'disputes', 'reviews', 'refunds'];
    const { name, source } = await billing({}, { types });
    source.setFaults([
      { type: 'status', status: 503, path: '/v1/events', times: 2 },
      { type: 'forbidden', path: '/v1/refunds' },
    ]);
    const { code, out } = await cli(`start stripeSync ${name} --wait`);
    source.setFaults([]);
    expect(code).toBe(0);
    const lines = out.split('\n');
    expect(lines.filter((line) => line.includes('answered 503'))).toEqual([
      expect.stringMatching(/^beginStripe is tried again: .*\/v1\/events answered 503 \(api_error\) \(Unavailable\)$/),
    ]);
    expect(lines.filter((line) => line.includes('parked'))).toEqual([
      expect.stringMatching(
        /^3 resources parked \(charges, disputes, reviews\): the connection may not read them \(.*\)\. The account does not have this product\.$/,
      ),
      expect.stringMatching(/^refunds parked: .*lacks the right to read it: grant it that right in the Dashboard\.$/),
    ]);
    // A run that follows would begin anew by itself.
    expect((await cli(`cancel ${name}`)).code).toBe(0);
    await world.pool.query(
      `UPDATE syncline.stripe_feeds SET scope = replace(scope, 'acct_1', 'acct_0') WHERE connection_id = $1`,
      [name],
    );
    expect((await cli(`start stripeSync ${name} --wait`)).out).toContain('\nbegun anew: ');
    expect((await cli(`status ${name}`)).out).toMatch(/\n {2}note +begun anew: /);
    expect((await cli(`cancel ${name}`)).code).toBe(0);
  });

  test('--once copies up to the present and ends', async () => {
    const { name } = await billing();
    expect(await cli(`start stripeSync ${name} --once --wait`)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/Copied up to the present: 270 rows of 2 resources/),
    });
    expect(await stateOf(name)).toMatchObject({ workflow: 'stripeSync', state: 'completed' });
    expect(await copied(name)).toBe(250);
  });

  test('objects that cannot be kept stand aside alone, from page and event, and come back when they change', async () => {
    const { name, source } = await billing();
    const [early, late] = [...source.truth('customers').keys()] as [string, string];
    source.spoil('customers', early);
    expect((await cli(`start stripeSync ${name} --wait`)).code).toBe(0);
    expect(await copied(name), 'its page is here').toBe(249);
    source.spoil('customers', late);
    const standAside = async () => (await cli(`rejects ${name} --json`)).out;
    await until('the second to stand aside', async () => (await standAside()).includes(late));
    const { out } = await cli(`rejects ${name}`);
    expect(out).toContain(`${name} customers ${early}: control_character`);
    expect(out).toContain(`${name} customers ${late}: control_character`);
    expect(out).toContain(`npx syncline verify ${name} --types customers --wait`);
    expect((await cli(`verify ${name} --types customers --wait`)).out).toMatch(/Drift: 250 objects/);
    for (const id of [early, late]) source.update('customers', id);
    await until('both to come back', async () => !(await standAside()).includes(name));
    expect(await copied(name)).toBe(250);
    expect((await cli(`cancel ${name}`)).code).toBe(0);
  });

  test('verifyStripe reports drift and repairs it', async () => {
    const { name } = await billing();
    expect((await cli(`start stripeSync ${name} --once --wait`)).code).toBe(0);
    await world.pool.query(
      `DELETE FROM stripe.customers WHERE id IN (SELECT id FROM stripe.customers WHERE connection_id = $1 ORDER BY id LIMIT 3)`,
      [name],
    );
    const said = await cli(`verify ${name} --wait`);
    expect(said).toMatchObject({ code: 0, out: expect.stringMatching(/Drift, all of it mended: 270 objects/) });
    expect(said.out).toMatch(/customers .* 3 missing .* 3 mended/);
    expect(await copied(name)).toBe(250);
  });
});

describe('a look at an account that takes too long', () => {
  const looked = async (options: Record<string, unknown>, ms: number, sandbox: StripeSandboxOptions = {}) => {
    const { name, source } = await billing(sandbox);
    if (options.hang) source.setFaults([{ type: 'hang' }]);
    const { hang: _said, ...own } = options;
    const connection = {
      id: name,
      no: 0,
      tenant: name,
      platform: 'stripe',
      baseUrl: source.url,
      credential: source.key,
    };
    const readers = { isDirectory: false, connector: stripe, audience: undefined };
    const look = probe({ ...connection, options: own }, world.pool, world.key, readers, ms);
    return look.then(
      () => 'read',
      (error: Error) => error.message.replace(source.url, 'URL'),
    );
  };

  test('because of its own limits says so, and does not blame the source', async () => {
    expect(await looked({ requestsPerSecond: 1, share: 0.05 }, 5_000)).toMatch(
      /^URL\/ was not read: the limits of this connection, or what other work of it uses of them, let \d requests? leave in time: raise its options \(requestsPerSecond and others\), or look later\. Nothing was saved/,
    );
  });

  test('because the source does not answer says that', async () => {
    expect(await looked({ hang: true }, 2_000)).toMatch(/^URL\/ did not answer within 2 s\. Nothing was saved/);
  });
});
