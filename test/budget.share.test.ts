import { describe, expect, it } from 'vitest';
import { share } from '../activities/http/budget/share.ts';
import { type BudgetUse, openThrottle, type Throttle } from '../activities/http/throttle.ts';
import { openScopes } from '../db/budget/scopes.ts';
import { chargeBudget, readBudget } from '../db/budget.ts';
import { msOf, openBudgetWorld, options, rate, signal, use, waitOf } from './harness/budget-world.ts';

const { world, pool, worker } = await openBudgetWorld();

describe('a lease', () => {
  it('is counted once, however many workers charge at the same moment', async () => {
    const { platform } = use();
    const pace = { perSecond: 1e-6, burst: 1000 };
    await openScopes(pool, platform, [
      { scope: '', paces: [pace] },
      { scope: 'a', paces: [pace, pace] },
    ]);
    const charges = ['', 'a'].map((scope) => ({ scope, requests: 1, back: 0, bulk: 1, servedFrom: 0, turns: 1 }));
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
    const charge = { scope: '', requests: 6, back: 0, bulk: 6, servedFrom: 0, turns: 0 };
    const debts = await chargeBudget(pool, platform, 'w', [charge], null, options);
    expect(debts.get('')).toBeGreaterThan(100);
    expect(debts.get('')).toBeLessThanOrEqual(200);
  });

  /** Takes one request of ten a second, of which three gather; between its reading and its lease others take `others`. */
  async function takeBehind(others: number): Promise<number> {
    const at = use({ connectionRates: [rate(10)] });
    const charge = { scope: 'acme', requests: others, back: 0, bulk: others, servedFrom: 0, turns: 0 };
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
    world.onClose(() => gate.close());
    return msOf(gate.take(at, signal));
  }

  it('that finds less than was read, is held until the debt is paid', async () => {
    expect(await takeBehind(4)).toBeGreaterThan(150);
    // A debt longer than a lease: it goes back, and the request is judged anew.
    expect(await takeBehind(8)).toBeGreaterThan(500);
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

  it('deals out one API over the connections, and keeps what it holds back from no other API', () => {
    const view = {
      scopes: new Map([
        ['', scope(100)],
        ['/x', scope(4)],
        ['/y', { ...scope(100), blockedMs: 700 }],
        ['b', scope(3)],
      ]),
      others: [],
    };
    const of = (connection: string, api: string, waiting: number) => ({
      ...want('w', connection, waiting),
      scope: `${connection}/${api}`,
    });
    const wants = [of('a', 'x', 9), of('b', 'x', 9), of('a', 'z', 2), of('b', 'y', 9)];
    const shares = share(view, wants, 'w');
    expect(shares.short, 'the platform has enough').toBe(false);
    expect(wants.map((w) => shares.of.get(w)?.granted)).toEqual([2, 2, 2, 0]);
    expect(shares.of.get(wants[0]!)?.waitMs).toHaveLength(7);
    expect(shares.of.get(wants[3]!)?.waitMs[0]).toBe(700);
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
