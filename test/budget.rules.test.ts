import { describe, expect, it } from 'vitest';
import { paceOf } from '../activities/http/budget/pace.ts';
import { type BudgetUse, openThrottle } from '../activities/http/throttle.ts';
import { openScopes } from '../db/budget/scopes.ts';
import { chargeBudget } from '../db/budget.ts';
import { createPool } from '../db/client.ts';
import { msOf, openBudgetWorld, options, rate, signal, use, waitOf } from './harness/budget-world.ts';
import { until } from './harness/until.ts';

const { world, pool, worker, stateOf } = await openBudgetWorld();

describe('take', () => {
  it('lets requests without a limit go', async () => {
    await worker().take(use(), signal);
  });

  it('holds several rates of one level, and those of the endpoint, at once', async () => {
    // Three tenths of what the platform lets gather may leave at once: 3 of the connection, 2 (of 7) of the endpoint.
    const both = use({
      connectionRates: [rate(10), rate(6000, 60_000)],
      endpoint: { name: 'orders', rates: [rate(5)] },
    });
    const gate = worker();
    expect(await msOf(Promise.all([gate.take(both, signal), gate.take(both, signal)]))).toBeLessThan(1000);
    expect(Math.floor((await stateOf(both, 'acme/orders')).tokens)).toBe(0);
    // Another endpoint of the same connection is not held up by it.
    const other = { ...both, endpoint: { name: 'items', rates: [rate(5)] } };
    await gate.take(other, signal);
    // The endpoint's fifth request is its third after the burst: 600 ms at 5 a second.
    const five = Promise.all([gate.take(both, signal), gate.take(both, signal), gate.take(both, signal)]);
    expect(await msOf(five)).toBeGreaterThan(350);
  });

  it('holds what an app may ask of one API over all its connections and workers', async () => {
    const gates = [worker(), worker()];
    const at = use({ app: 'a1', endpoint: { name: 'orders', rates: [], shared: [rate(20)] } });
    // 6 may leave at once, the others at 19.8 a second.
    const ask = (count: number, change: Partial<BudgetUse>) =>
      Promise.all(
        Array.from({ length: count }, (_, i) =>
          gates[i % 2]!.take({ ...at, connection: `c${i % 3}`, ...change }, signal),
        ),
      );
    let held = true;
    const orders = msOf(ask(50, {})).finally(() => {
      held = false;
    });
    await ask(10, { endpoint: { name: 'items', rates: [], shared: [rate(1000)] } });
    expect(held, 'another API was not held up').toBe(true);
    expect(await orders, 'one after the other').toBeGreaterThan(2_000);
    expect((await stateOf({ ...at, platform: `${at.platform} a1` }, '/orders')).perSecond).toBeCloseTo(19.96, 5);
  });

  it('counts each app by itself, and all that name none together', async () => {
    const gate = worker();
    const at = use({ platformRates: [rate(1, 3_600_000, 10)] });
    const taken = async (change: Partial<BudgetUse>) => {
      for (let n = 0; ; n++) if ((await waitOf(gate.take({ ...at, ...change }, signal))) > 0) return n;
    };
    expect(await taken({ app: 'a1', connection: 'c1' })).toBe(3);
    expect(await taken({ app: 'a1', connection: 'c2' })).toBe(0);
    expect(await taken({ app: 'a2', connection: 'c3' })).toBe(3);
    expect(await taken({ connection: 'c4' })).toBe(3);
    expect(await taken({ connection: 'c5' })).toBe(0);
  });

  it('sends away who would wait longer than some seconds, with the time', async () => {
    // Of several rates the scarcest counts.
    const slow = use({ connectionRates: [rate(100), rate(6, 60_000)] });
    const gate = worker();
    await gate.take(slow, signal);
    const waitMs = await waitOf(gate.take(slow, signal));
    expect(waitMs).toBeGreaterThan(8_000);
    expect(waitMs).toBeLessThan(11_000);
  });

  it('keeps who waits not so long', async () => {
    const tight = use({ connectionRates: [rate(1)] });
    const gate = worker();
    await gate.take(tight, signal);
    expect(await msOf(gate.take(tight, signal))).toBeGreaterThan(700);
  });

  it('ends with the reason of the signal', async () => {
    const stop = new AbortController();
    const tight = use({ connectionRates: [rate(1)] });
    const gate = worker();
    await gate.take(tight, signal);
    const taken = gate.take(tight, stop.signal);
    stop.abort(new Error('cancelled'));
    await expect(taken).rejects.toThrow('cancelled');
    await expect(gate.take(tight, stop.signal)).rejects.toThrow('cancelled');
  });

  it('holds no connection of the pool while it waits', async () => {
    const small = createPool({ url: world.servers.databaseUrl, size: 1, name: 'budget small' });
    const gate = openThrottle(small);
    const tight = use({ connectionRates: [rate(20)] });
    const taken = Array.from({ length: 30 }, () => gate.take(tight, signal));
    let asked = 0;
    const all = Promise.all(taken).then(() => 'all');
    while ((await Promise.race([all, small.query('SELECT 1').then(() => 'asked')])) === 'asked') asked++;
    expect(asked).toBeGreaterThan(20);
    await gate.close();
    await small.end();
  });

  it('gives unused permits back', async () => {
    // Next to nothing comes in: what is there again was given back.
    const stock = use({ connectionRates: [rate(1, 3_600_000, 100)] });
    const gate = worker();
    for (let i = 0; i < 10; i++) await gate.take(stock, signal);
    await until('unused permits to be back', async () => Math.abs((await stateOf(stock, 'acme')).tokens - 20) < 0.1);
    await gate.take(stock, signal);
    await gate.close();
    expect((await stateOf(stock, 'acme')).tokens).toBeCloseTo(19, 1);
  });

  it('does without a worker that was killed after half a second', async () => {
    const shared = use({ platformRates: [rate(50)] });
    const gate = worker();
    await gate.take(shared, signal);
    // Killed: it took what there was and told of five connections' waits that nobody will serve.
    const charge = { scope: '', requests: 14, back: 0, bulk: 14, servedFrom: 0, turns: 0 };
    const waits = Object.fromEntries([1, 2, 3, 4, 5].map((i) => [`dead${i}`, [0, 64] as [number, number]]));
    await chargeBudget(pool, shared.platform, 'killed', [charge], waits, options);
    // With a sixth of the limit they would take 2.4 s.
    expect(await msOf(Promise.all(Array.from({ length: 20 }, () => gate.take(shared, signal))))).toBeLessThan(1700);
  });

  it('goes on when the rows are gone, and on a server whose clock is behind', async () => {
    const kept = use({ connectionRates: [rate(100)] });
    const gate = worker();
    await gate.take(kept, signal);
    await pool.query('DELETE FROM syncline.budgets WHERE platform = $1', [kept.platform]);
    await gate.take(kept, signal);
    await gate.close();
    await pool.query(`UPDATE syncline.budgets SET tokens = 0, at = at + interval '1 hour' WHERE platform = $1`, [
      kept.platform,
    ]);
    expect(await msOf(worker().take(kept, signal))).toBeLessThan(1000);
  });

  it('tells who waits when Postgres is away', async () => {
    const away = createPool({ url: 'postgres://nobody@127.0.0.1:1/none', size: 1 });
    const gate = openThrottle(away);
    await expect(gate.take(use(), signal)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await gate.close();
    await away.end();
  });

  it('sends away who waits when the worker ends', async () => {
    const gate = worker();
    const tight = use({ connectionRates: [rate(1)] });
    await gate.take(tight, signal);
    const waiting = waitOf(gate.take(tight, signal));
    await gate.close();
    expect(await waiting).toBeGreaterThan(0);
    expect(await waitOf(gate.take(tight, signal))).toBeGreaterThan(0);
  });
});

describe('refused', () => {
  it('stops the whole level in all workers for as long as the platform says', async () => {
    const [one, two] = [worker(), worker()];
    const at = use({ platformRates: [rate(1000)] });
    await one.take(at, signal);
    await two.take({ ...at, connection: 'other' }, signal);
    await one.refused(at, 'platform', 1200);
    const waits = Promise.all([msOf(one.take(at, signal)), msOf(two.take({ ...at, connection: 'other' }, signal))]);
    for (const ms of await waits) expect(ms).toBeGreaterThan(1000);
  });

  it('of one API stops it for all connections of the app, and no other API', async () => {
    const [one, two] = [worker(), worker()];
    const at = use({ app: 'a1', endpoint: { name: 'orders', rates: [], shared: [rate(100)] } });
    await one.take(at, signal);
    await one.refused(at, 'api', 60_000);
    expect(await waitOf(two.take({ ...at, connection: 'other' }, signal))).toBeGreaterThan(50_000);
    await two.take({ ...at, endpoint: { name: 'items', rates: [], shared: [] } }, signal);
    await two.take({ ...at, app: 'a2' }, signal);
    // An API without a scope of its own: its app waits.
    await one.refused({ ...at, endpoint: undefined }, 'api', 60_000);
    expect(await waitOf(two.take({ ...at, connection: 'third', endpoint: undefined }, signal))).toBeGreaterThan(50_000);
    await two.take({ ...at, app: 'a2' }, signal);
  });

  it('of one connection stops no other, nor of one endpoint its connection', async () => {
    const gate = worker();
    const at = use({ platformRates: [rate(1000)], endpoint: { name: 'orders', rates: [] } });
    await gate.take(at, signal);
    await gate.refused(at, 'connection', 60_000);
    expect(await waitOf(gate.take(at, signal))).toBeGreaterThan(50_000);
    const other = { ...at, connection: 'other' };
    await gate.take(other, signal);
    await gate.refused(other, 'endpoint', 60_000);
    expect(await waitOf(gate.take(other, signal))).toBeGreaterThan(50_000);
    await gate.take({ ...other, endpoint: undefined }, signal);
  });

  it('until midnight: the workflow sleeps, and the rate stays', async () => {
    const [one, two] = [worker(), worker()];
    const at = use({ connectionRates: [rate(10)] });
    await one.take(at, signal);
    await one.refused(at, 'connection', 8 * 3_600_000);
    const waitMs = await waitOf(two.take(at, signal));
    expect(waitMs).toBeGreaterThan(8 * 3_600_000 - 60_000);
    expect(waitMs).toBeLessThanOrEqual(8 * 3_600_000);
    expect((await stateOf(at, 'acme')).perSecond).toBeCloseTo(9.98, 5);
  });

  it('narrows the rate once for requests that were refused together, and it widens again', async () => {
    const gate = worker();
    const at = use({ connectionRates: [rate(10)] });
    await gate.take(at, signal);
    await Promise.all([1, 2, 3].map(() => gate.refused(at, 'connection', 100)));
    const pace = async () => (await stateOf(at, 'acme')).perSecond / 9.98;
    expect(await pace()).toBeGreaterThanOrEqual(0.9);
    expect(await pace()).toBeLessThan(0.92);
    const age = (seconds: number) =>
      pool.query(
        `UPDATE syncline.budgets SET narrowed_at = narrowed_at - $2 * interval '1 s', blocked_until = 'epoch' WHERE platform = $1`,
        [at.platform, seconds],
      );
    await age(20);
    expect(await pace()).toBeGreaterThanOrEqual(0.95);
    expect(await pace()).toBeLessThan(0.97);
    await gate.refused(at, 'connection', 100);
    expect(await pace()).toBeGreaterThanOrEqual(0.855);
    expect(await pace()).toBeLessThan(0.88);
    await age(120);
    expect(await pace()).toBe(1);
  });

  it('refuses a wait that is no number', async () => {
    await expect(worker().refused(use(), 'platform', Number.NaN)).rejects.toThrow(
      'a wait of NaN ms; accepted: a finite number',
    );
  });
});

describe('openThrottle', () => {
  it('refuses options out of bounds', () => {
    expect(() => openThrottle(pool, { liveShare: 1 })).toThrow('throttle: liveShare is 1; accepted: 0 to 0.9');
    expect(() => openThrottle(pool, { patienceMs: -1 })).toThrow('throttle: patienceMs is -1; accepted: 0 to 600000');
  });

  it('refuses a rate that is none', async () => {
    await expect(worker().take(use({ platformRates: [rate(0)] }), signal)).rejects.toThrow(
      'A rate of 0 requests in 1000 ms: both must be numbers above 0',
    );
  });
});

describe('a rolling window', () => {
  const pace = paceOf({ requests: 190, perMs: 10_000, rolling: true });
  /** A scope whose bucket never runs dry: only the window counts. */
  async function open() {
    const at = use();
    const { window } = pace;
    await openScopes(pool, at.platform, [{ scope: '', paces: [{ perSecond: 10_000, burst: 10_000, window }] }]);
    return {
      take: async (requests: number, back = 0) => {
        const charge = { scope: '', requests: requests - back, back, bulk: 0, servedFrom: 0, turns: 0 };
        return (await chargeBudget(pool, at.platform, 'one', [charge], null, options)).get('') ?? 0;
      },
      left: async () => (await stateOf(at, '')).tokens,
      age: (seconds: number) =>
        pool.query(
          `UPDATE syncline.budgets SET taken = (SELECT array_agg(ARRAY[taken[i][1] - $2, taken[i][2]] ORDER BY i) FROM generate_subscripts(taken, 1) i)
           WHERE platform = $1`,
          [at.platform, seconds],
        ),
    };
  }

  it('is counted longer than the platform counts it, at a pace that leaves little of it', () => {
    expect(pace.window!.requests).toBe(190);
    expect(pace.window!.seconds).toBeGreaterThan(10);
    expect((pace.perSecond * 10) / 190).toBeGreaterThan(0.965);
    expect(pace.burst, 'nothing is lost between two turns').toBeGreaterThan(pace.perSecond * 0.2);
    expect(paceOf({ requests: 1, perMs: 1000, rolling: true })).toMatchObject({ burst: 1, window: { requests: 1 } });
  });

  it('lets no more leave than it holds, and the same again once those are out of it', async () => {
    const { take, left, age } = await open();
    await take(100);
    await age(6);
    await take(90);
    expect(await left()).toBe(0);
    await age(4.3);
    expect(await left(), 'the first hundred are out, the ninety stay').toBe(100);
    await take(100);
    await age(6);
    expect(await left()).toBe(90);
  });

  it('takes what is given back from requests that left before it was leased, never from later ones', async () => {
    const { take, left, age } = await open();
    await take(100);
    await age(4);
    await take(20);
    await age(4);
    await take(5);
    await take(0, 2);
    expect(await left()).toBe(190 - 100 - 18 - 5);
    await take(0, 22);
    expect(await left()).toBe(190 - 96 - 0 - 5);
    await age(2.5);
    expect(await left(), 'the hundred are out').toBe(185);
    await take(5);
    await take(0, 6);
    expect(await left(), 'five are too young').toBe(185);
    await age(1);
    await take(3, 3);
    await age(9.5);
    expect(await left(), 'what is leased while others come back leaves when it leaves').toBe(187);
  });

  it('holds what was taken beyond it until there is room', async () => {
    const { take, age } = await open();
    await take(10);
    await age(8);
    await take(180);
    expect(await take(10)).toBeGreaterThan(2_000);
    expect(await take(0)).toBeLessThan(2_300);
    expect(await take(1), 'behind the second lot').toBeGreaterThan(10_000);
  });

  it('counts what left late when it left', async () => {
    const at = use({ connectionRates: [{ requests: 190, perMs: 10_000, rolling: true }] });
    const gate = worker();
    await gate.take(at, signal);
    const other = await pool.connect();
    await other.query('BEGIN');
    await other.query('SELECT FROM syncline.budgets WHERE platform = $1 FOR UPDATE', [at.platform]);
    const leaving = gate.take(at, signal);
    await until('a lease that has waited for its row', async () => {
      const { rows } = await pool.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '150 ms'`,
      );
      return rows.length > 0;
    });
    const { rows } = await other.query('SELECT extract(epoch FROM clock_timestamp())::float8 AS at');
    await other.query('COMMIT');
    other.release();
    await leaving;
    const told = await until('an entry of the moment at which it left', async () => {
      const { rows: found } = await pool.query(
        `SELECT taken FROM syncline.budgets WHERE platform = $1 AND scope = 'acme'`,
        [at.platform],
      );
      const taken = found[0].taken as [number, number][];
      return taken.at(-1)![0] > rows[0].at && taken;
    });
    const counted = told.reduce((sum, [, n]) => sum + n, 0);
    expect(counted, 'each that left is counted').toBeGreaterThanOrEqual(2);
  });

  it('forgets what another server wrote whose clock is ahead', async () => {
    const { take, left, age } = await open();
    await take(190);
    await age(-60);
    expect(await left()).toBe(190);
  });
});
