import { setMaxListeners } from 'node:events';
import { afterAll, describe, expect, it } from 'vitest';
import { RetryLater } from '../activities/errors.ts';
import { share } from '../activities/http/budget/share.ts';
import { type BudgetUse, openThrottle, type Throttle } from '../activities/http/throttle.ts';
import { chargeBudget, openScopes, readBudget } from '../db/budget.ts';
import { createPool } from '../db/client.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const { pool } = world;
const options = { liveShare: 0.2 };
const signal = new AbortController().signal;
// All requests of this file listen to it.
setMaxListeners(0, signal);

/** Throttles of this process, each as good as a worker of its own. */
const throttles: Throttle[] = [];
function worker(options?: Parameters<typeof openThrottle>[1]): Throttle {
  const throttle = openThrottle(pool, options);
  throttles.push(throttle);
  return throttle;
}
afterAll(() => Promise.all(throttles.map((throttle) => throttle.close())));

let made = 0;
/** A platform that no other test uses. */
function use(change: Partial<BudgetUse> = {}): BudgetUse {
  return {
    platform: `p${++made}`,
    platformRates: [],
    connection: 'acme',
    connectionRates: [],
    lane: 'bulk',
    ...change,
  };
}
const rate = (requests: number, perMs = 1000, burst?: number) => ({ requests, perMs, burst });
const waitOf = (taken: Promise<void>) =>
  taken.then(
    () => 0,
    (error) => {
      if (error instanceof RetryLater) return error.waitMs;
      throw error;
    },
  );
async function msOf(work: Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work;
  return performance.now() - began;
}
async function stateOf({ platform }: BudgetUse, scope: string) {
  const { scopes } = await readBudget(pool, platform, 'nobody', [scope], options);
  return scopes.get(scope)!;
}

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
    const charge = { scope: '', requests: 14, bulk: 14, servedFrom: 0, turns: 0 };
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

describe('a lease', () => {
  it('is counted once, however many workers charge at the same moment', async () => {
    const { platform } = use();
    const pace = { perSecond: 1e-6, burst: 1000 };
    await openScopes(pool, platform, [
      { scope: '', paces: [pace] },
      { scope: 'a', paces: [pace, pace] },
    ]);
    const charges = ['', 'a'].map((scope) => ({ scope, requests: 1, bulk: 1, servedFrom: 0, turns: 1 }));
    await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        for (let n = 0; n < 25; n++) {
          // Half of them name the rows the other way round: rows are locked in one order all the same.
          const order = i % 2 ? charges : charges.toReversed();
          await chargeBudget(pool, platform, `w${i}`, order, { a: [0, n] }, options);
        }
      }),
    );
    const { scopes } = await readBudget(pool, platform, 'nobody', ['', 'a'], options);
    expect(scopes.get('')?.tokens).toBeCloseTo(800, 2);
    expect(scopes.get('a')?.tokens).toBeCloseTo(800, 2);
    expect(scopes.get('a')?.served).toBe(200);
  });

  it('of more than there is, is held until it is covered', async () => {
    const { platform } = use();
    await openScopes(pool, platform, [{ scope: '', paces: [{ perSecond: 10, burst: 4 }] }]);
    const charge = { scope: '', requests: 6, bulk: 6, servedFrom: 0, turns: 0 };
    const debts = await chargeBudget(pool, platform, 'w', [charge], null, options);
    expect(debts.get('')).toBeGreaterThan(100);
    expect(debts.get('')).toBeLessThanOrEqual(200);
  });

  /** Takes one request of ten a second, of which three gather; between its reading and its lease others take `others`. */
  async function takeBehind(others: number): Promise<number> {
    const at = use({ connectionRates: [rate(10)] });
    const charge = { scope: 'acme', requests: others, bulk: others, servedFrom: 0, turns: 0 };
    let first = true;
    const query = async (
      statement: { name?: string; text: string; values: unknown[] } | string,
      values?: unknown[],
    ) => {
      if (typeof statement === 'string') return pool.query(statement, values);
      if (statement.name === 'budget_charge' && first) {
        first = false;
        await chargeBudget(pool, at.platform, 'other', [charge], null, options);
      }
      return pool.query(statement);
    };
    const gate = openThrottle({ query } as unknown as typeof pool);
    throttles.push(gate);
    return msOf(gate.take(at, signal));
  }

  it('that finds less than was read, is held until the debt is paid', async () => {
    expect(await takeBehind(4)).toBeGreaterThan(150);
    // A debt longer than a lease: it goes back, and the request is judged anew.
    expect(await takeBehind(8)).toBeGreaterThan(500);
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
    expect((await stateOf(at, 'acme')).perSecond).toBeCloseTo(9.9, 5);
  });

  it('narrows the rate once for requests that were refused together, and it widens again', async () => {
    const gate = worker();
    const at = use({ connectionRates: [rate(10)] });
    await gate.take(at, signal);
    await Promise.all([1, 2, 3].map(() => gate.refused(at, 'connection', 100)));
    const pace = async () => (await stateOf(at, 'acme')).perSecond / 9.9;
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

describe('the live lane', () => {
  /** Takes until it is sent away; next to nothing comes in meanwhile. */
  async function takeAll(gate: Throttle, what: BudgetUse): Promise<number> {
    for (let taken = 0; ; taken++) if ((await waitOf(gate.take(what, signal))) > 0) return taken;
  }

  it('finds its share, whatever the bulk lane has taken; the bulk lane has the whole when nobody was live', async () => {
    const gate = worker();
    // 30 requests to begin with: three tenths of the burst.
    const bulk = use({ connectionRates: [rate(1, 3_600_000, 100)] });
    const live = { ...bulk, lane: 'live' as const };
    await gate.take(live, signal);
    expect(await takeAll(gate, bulk)).toBe(24);
    expect(await takeAll(gate, live)).toBe(5);

    const alone = { ...bulk, platform: `${bulk.platform}-alone` };
    await gate.take({ ...alone, lane: 'live' }, signal);
    await pool.query(`UPDATE syncline.budgets SET live_at = live_at - interval '11 s' WHERE platform = $1`, [
      alone.platform,
    ]);
    expect(await takeAll(gate, alone)).toBe(29);
  });
});

describe('share', () => {
  const scope = (tokens: number, served = 0) => ({
    tokens,
    bulkTokens: tokens,
    perSecond: 10,
    burst: 10,
    blockedMs: 0,
    served,
  });
  const want = (worker: string, connection: string, waiting: number, live = false) => ({
    worker,
    connection,
    scope: connection,
    live,
    waiting,
    ahead: 0,
  });

  it('gives live requests their turn before the bulk ones of their connection', () => {
    const view = { scopes: new Map([['', scope(2)]]), others: [] };
    const [bulk, live] = [want('w', 'a', 5), want('w', 'a', 1, true)];
    const { of } = share(view, [bulk, live], 'w');
    expect(of.get(live)?.granted).toBe(1);
    expect(of.get(bulk)?.granted).toBe(1);
  });

  it('fills up from below: the same for each, what one cannot use for the others', () => {
    const view = {
      scopes: new Map([
        ['', scope(10)],
        ['small', scope(1)],
      ]),
      others: [],
    };
    const wants = [want('w', 'small', 9), want('w', 'a', 9), want('w', 'b', 2), want('w', 'c', 9)];
    const { of, short } = share(view, wants, 'w');
    expect(short).toBe(true);
    expect(wants.map((w) => of.get(w)?.granted)).toEqual([1, 4, 2, 3]);
    // Four wait behind the ten of this second, then the last of each.
    expect(of.get(wants[1]!)?.waitMs).toHaveLength(5);
    expect(of.get(wants[0]!)?.waitMs[0]).toBeCloseTo(100);
  });

  it('gives workers parts that together are what there is', () => {
    const view = { scopes: new Map([['', scope(7)]]), others: [] };
    const wants = ['w1', 'w2', 'w3'].flatMap((w) => [want(w, 'a', 2), want(w, 'b', 1), want(w, `only-${w}`, 3)]);
    const granted = ['w1', 'w2', 'w3'].flatMap((w) =>
      [...share(view, wants, w).of.values()].map((mine) => mine.granted),
    );
    expect(granted.reduce((a, b) => a + b)).toBe(7);
  });

  it('lets who was away go on where the others are', () => {
    const view = {
      scopes: new Map([
        ['', scope(12, 1000)],
        ['here', scope(100, 1000)],
        ['away', scope(100, 3)],
      ]),
      others: [],
    };
    const wants = [want('w', 'here', 20), want('w', 'away', 20)];
    const { of } = share(view, wants, 'w');
    expect(wants.map((w) => of.get(w)?.granted)).toEqual([4, 8]);
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
