import { windowRoom, windowTaken, windowWait } from './budget/window.ts';
import type { Pool } from './client.ts';

/** What may be taken from a scope right now; the scarcest of its rates. Infinity without a limit. */
export interface ScopeState {
  tokens: number;
  /** What the bulk lane may take of it. */
  bulkTokens: number;
  perSecond: number;
  burst: number;
  /** Milliseconds until the platform wants to hear of us again, and why where that is known; 0 when it does. */
  blockedMs: number;
  why?: string | null;
  served: number;
}

/** Waiting requests of a worker: narrowest scope → [live, bulk]. */
export type Waits = Record<string, [number, number]>;

export interface BudgetView {
  scopes: Map<string, ScopeState>;
  /** Of the other workers, by worker. */
  others: { worker: string; waits: Waits }[];
}

/** What a turn takes from a scope; negative numbers give back. */
export interface Charge {
  scope: string;
  /** What is leased less what is given back. */
  requests: number;
  /** What is given back of earlier leases: in a window that moves along a request of then is not one of now. */
  back: number;
  /** Part of `requests` that the bulk lane takes. */
  bulk: number;
  /** Turns are counted from here at least: who was away has saved nothing up. */
  servedFrom: number;
  turns: number;
}

export interface BudgetOptions {
  /** Share of each level that the bulk lane leaves to the live lane, 0 to 0.9. */
  liveShare: number;
}

/**
 * A refusal leaves 90 % of the rate, at most once a second and once a block, never less than 5 %. The rate grows by a
 * quarter of a percent of the whole a second: one refusal is forgotten after 40 s, and where the platform's true limit is
 * half of the known one, it refuses about one request in 20 s.
 */
const narrowTo = 0.9;
const narrowest = 0.05;
const widenPerSecond = 0.0025;
/** Blocks that are this long tell of a quota that is used up, not of a pace that was too fast: nothing narrows. */
export const quotaMs = 60_000;
const longestBlockMs = 31 * 24 * 3600 * 1000;
/** The bulk lane leaves the live share alone until nobody used the live lane for so long. */
const liveSeen = '10 s';
/** Waits that are not told again count no longer. */
const waitsLast = '500 ms';

const now = 'statement_timestamp()';
/** As float8: the numeric that extract gives made the reading of 300 connections three times slower. */
const secondsSince = (moment: string) => `extract(epoch FROM ${now} - ${moment})::float8`;
const factor = `least(1, b.factor + ${widenPerSecond} * ${secondsSince('b.narrowed_at')})`;
/** A moment in the future means that another server with a slower clock took over. */
const clockFell = `b.at > ${now} + interval '5 s'`;
const at = `CASE WHEN ${clockFell} THEN ${now} ELSE greatest(b.at, ${now}) END`;
/** What has come in since `at`: nothing while a block stands. */
const gain = `CASE WHEN ${clockFell} THEN 1 ELSE greatest(0, ${secondsSince('greatest(b.at, b.blocked_until)')}) END * b.pace * ${factor}`;
const tokens = `least(b.burst, b.tokens + ${gain})`;
const debt = `coalesce(greatest(0, (a.requests - ${tokens}) / (b.pace * ${factor})), 0)`;
const bulkTokens = (share: string) =>
  `least(b.burst * greatest(1 - ${share}, 1 / b.burst), b.bulk_tokens + ${gain} * (1 - ${share}))`;
/** A lost second of budget is nothing; a flush to disk under the platform's lock would be. */
const notFlushed = `(SELECT set_config('synchronous_commit', 'off', true)) AS quick`;

const readStatement = `
WITH told AS (SELECT worker, waits FROM syncline.budget_waits WHERE platform = $1 AND worker <> $2 AND until > ${now}),
  keys AS (
    SELECT unnest($3::text[]) AS scope UNION SELECT k FROM told, jsonb_object_keys(waits) k
    UNION SELECT split_part(k, '/', 1) FROM told, jsonb_object_keys(waits) k
    UNION SELECT substr(k, strpos(k, '/')) FROM told, jsonb_object_keys(waits) k WHERE strpos(k, '/') > 0),
  states AS (
    SELECT b.scope COLLATE "C" AS scope, min(least(${tokens}, ${windowRoom})) AS tokens, min(CASE WHEN b.live_at > ${now} - interval '${liveSeen}' THEN ${bulkTokens('$4::float8')} END) AS bulk,
           min(b.pace * ${factor}) AS pace, min(b.burst) AS burst, max(b.served) AS served,
           greatest(0, ceil(-1000 * ${secondsSince('max(b.blocked_until)')})) AS blocked,
           max(b.blocked_why) FILTER (WHERE b.blocked_until > ${now}) AS why
    FROM keys JOIN syncline.budgets b ON b.platform = $1 AND b.scope = keys.scope GROUP BY 1)
SELECT (SELECT json_agg(json_build_array(scope, tokens, bulk, pace, burst, served, blocked, why)) FROM states) AS states,
       (SELECT json_agg(json_build_object('worker', worker, 'waits', waits)) FROM told) AS others`;

type StateRow = [string, number | null, number | null, number | null, number | null, number, number, string | null];

/** Reads what can be taken and who waits for it. `scopes`: those the asker wants to know besides what the others wait for. */
export async function readBudget(
  pool: Pool,
  platform: string,
  worker: string,
  scopes: readonly string[],
  options: BudgetOptions,
): Promise<BudgetView> {
  const { rows } = await pool.query({
    name: 'budget_read',
    text: readStatement,
    values: [platform, worker, scopes, options.liveShare],
  });
  const states = (rows[0].states ?? []) as StateRow[];
  return {
    scopes: new Map(states.map((row) => [row[0], stateOf(row)])),
    others: rows[0].others ?? [],
  };
}

function stateOf([, tokens, bulk, pace, burst, served, blockedMs, why]: StateRow): ScopeState {
  const all = tokens ?? Number.POSITIVE_INFINITY;
  return {
    tokens: all,
    bulkTokens: Math.min(all, bulk ?? Number.POSITIVE_INFINITY),
    perSecond: pace ?? Number.POSITIVE_INFINITY,
    burst: burst ?? Number.POSITIVE_INFINITY,
    blockedMs,
    why,
    served,
  };
}

/**
 * Rows are locked by scope, the platform's first: no two leases wait for each other. A lease counts from the row's newest
 * state, so that two workers that read the same moment cannot take the same request twice: the later one gets a debt.
 */
const chargeStatement = `
WITH asked AS (
    SELECT * FROM unnest($3::text[], $4::float8[], $5::float8[], $6::float8[], $7::float8[], $10::float8[]) AS a(scope, requests, bulk, served_from, turns, back)),
  locked AS MATERIALIZED (
    SELECT b.scope, b.rate FROM syncline.budgets b JOIN asked a ON a.scope = b.scope
    WHERE b.platform = $1 ORDER BY b.scope COLLATE "C", b.rate FOR NO KEY UPDATE OF b),
  charged AS (
    UPDATE syncline.budgets b
    SET tokens = ${tokens} - a.requests,
        bulk_tokens = CASE WHEN b.pace IS NOT NULL THEN greatest(-1, ${bulkTokens('$8::float8')} - a.bulk) END, at = ${at},
        taken = ${windowTaken('a.requests + a.back', 'a.back', debt)},
        served = greatest(b.served, a.served_from) + a.turns,
        live_at = CASE WHEN a.requests > a.bulk THEN ${now} ELSE b.live_at END
    FROM locked l JOIN asked a ON a.scope = l.scope
    WHERE b.platform = $1 AND b.scope = l.scope AND b.rate = l.rate
    RETURNING b.scope, greatest(-b.tokens / (b.pace * ${factor}), -${secondsSince('b.blocked_until')}, ${windowWait}) AS wait),
  told AS (
    INSERT INTO syncline.budget_waits AS w (platform, worker, waits, until)
    SELECT $1, $2, $9::jsonb, ${now} + interval '${waitsLast}' WHERE $9 IS NOT NULL
    ON CONFLICT (platform, worker) DO UPDATE SET waits = EXCLUDED.waits, until = EXCLUDED.until)
SELECT c.scope, ceil(1000 * max(c.wait)) AS wait FROM ${notFlushed} LEFT JOIN charged c ON true GROUP BY c.scope HAVING max(c.wait) > 0`;

/**
 * Takes a lease (or gives one back) and tells the others what still waits here (null: as told before). Returns for each
 * scope that has a debt how long its requests must still be held, ms.
 */
export async function chargeBudget(
  pool: Pool,
  platform: string,
  worker: string,
  charges: readonly Charge[],
  waits: Waits | null,
  options: BudgetOptions,
): Promise<Map<string, number>> {
  const { rows } = await pool.query({
    name: 'budget_charge',
    text: chargeStatement,
    values: [
      platform,
      worker,
      charges.map((c) => c.scope),
      charges.map((c) => c.requests),
      charges.map((c) => c.bulk),
      charges.map((c) => c.servedFrom),
      charges.map((c) => c.turns),
      options.liveShare,
      waits && JSON.stringify(waits),
      charges.map((c) => c.back),
    ],
  });
  return new Map((rows as { scope: string; wait: number }[]).map((row) => [row.scope, Number(row.wait)]));
}

/** Blocks a scope for all workers and narrows its rate; what had gathered is gone. */
export async function refuseBudget(
  pool: Pool,
  platform: string,
  scope: string,
  waitMs: number,
  why: string | null = null,
): Promise<void> {
  const ms = Math.min(Math.max(0, waitMs), longestBlockMs);
  await pool.query(
    `UPDATE syncline.budgets b
     SET tokens = least(b.tokens, 0), bulk_tokens = least(b.bulk_tokens, 0), at = ${at},
         factor = CASE WHEN ${slowerAlready} THEN b.factor ELSE greatest(${narrowest}, ${narrowTo} * ${factor}) END,
         narrowed_at = CASE WHEN ${slowerAlready} THEN b.narrowed_at ELSE ${now} END,
         blocked_why = CASE WHEN b.blocked_until <= ${now} + $3 * interval '1 ms' THEN $4 ELSE b.blocked_why END,
         blocked_until = greatest(b.blocked_until, ${now} + $3 * interval '1 ms')
     WHERE b.platform = $1 AND b.scope = $2`,
    [platform, scope, ms, why],
  );
}

/** Requests of one burst are refused together: they count as one refusal. */
const slowerAlready = `($3 >= ${quotaMs} OR b.blocked_until > ${now} OR b.narrowed_at > ${now} - interval '1 s')`;
