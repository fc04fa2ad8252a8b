import { quotaMs } from './budget.ts';
import type { Pool } from './client.ts';

/**
 * Lifts the blocks of used-up quotas that hold a connection up, those of its app among them: a person knows better.
 * @returns whether there was one
 */
export async function liftQuota(pool: Pool, platform: string, connection: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `UPDATE syncline.budgets SET blocked_until = now()
     WHERE platform = $1 AND (scope = $2 OR scope = '' OR starts_with(scope, '/') OR starts_with(scope, $2 || '/'))
       AND blocked_until > now() + ${quotaMs} * interval '1 ms'`,
    [platform, connection],
  );
  return (rowCount ?? 0) > 0;
}
