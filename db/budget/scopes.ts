import type { Pool } from '../client.ts';

/** How fast one rate is handed out, and how much of it may gather. */
export interface Pace {
  perSecond: number;
  /** Requests, at least 1. */
  burst: number;
  /** At most so many requests in any such span, whatever the bucket holds. */
  window?: { seconds: number; requests: number };
}

/**
 * A place where requests are counted: '' is the platform (or one app of it), `/endpoint` one API over all connections, then
 * `connection` and `connection/endpoint`.
 */
export interface Scope {
  scope: string;
  /** Empty: counted nowhere, yet a refusal can block it. */
  paces: readonly Pace[];
}

/** Makes the rows of scopes, gives them the rates of today's connector, and drops rows that nobody used for a day. */
export async function openScopes(pool: Pool, platform: string, scopes: readonly Scope[]): Promise<void> {
  const rows = scopes.flatMap(({ scope, paces }) =>
    (paces.length > 0 ? paces : [null]).map((pace, rate) => ({ scope, rate, pace })),
  );
  await pool.query(
    `INSERT INTO syncline.budgets AS b (platform, scope, rate, pace, burst, tokens, bulk_tokens, window_s, window_most)
     SELECT $1, scope, rate, pace, burst, burst, burst, window_s, window_most
     FROM unnest($2::text[], $3::int[], $4::float8[], $5::float8[], $6::float8[], $7::float8[]) AS s(scope, rate, pace, burst, window_s, window_most)
     ORDER BY scope, rate
     ON CONFLICT (platform, scope, rate) DO UPDATE SET pace = EXCLUDED.pace, burst = EXCLUDED.burst,
       tokens = least(b.tokens, EXCLUDED.tokens), bulk_tokens = least(b.bulk_tokens, EXCLUDED.bulk_tokens),
       window_s = EXCLUDED.window_s, window_most = EXCLUDED.window_most
       WHERE (b.pace, b.burst, b.window_s, b.window_most) IS DISTINCT FROM (EXCLUDED.pace, EXCLUDED.burst, EXCLUDED.window_s, EXCLUDED.window_most)`,
    [
      platform,
      rows.map((r) => r.scope),
      rows.map((r) => r.rate),
      rows.map((r) => r.pace?.perSecond ?? null),
      rows.map((r) => r.pace?.burst ?? null),
      rows.map((r) => r.pace?.window?.seconds ?? null),
      rows.map((r) => r.pace?.window?.requests ?? null),
    ],
  );
  await pool.query(
    `DELETE FROM syncline.budgets b USING unnest($2::text[], $3::int[]) AS s(scope, rates)
     WHERE b.platform = $1 AND b.scope = s.scope AND b.rate >= s.rates`,
    [platform, scopes.map((s) => s.scope), scopes.map((s) => Math.max(1, s.paces.length))],
  );
  await pool.query(
    `DELETE FROM syncline.budgets WHERE platform = $1 AND at < now() - interval '1 day' AND blocked_until < now()`,
    [platform],
  );
  await pool.query(`DELETE FROM syncline.budget_waits WHERE platform = $1 AND until < now() - interval '1 hour'`, [
    platform,
  ]);
}
