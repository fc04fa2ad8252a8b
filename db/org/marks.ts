import { writeUnderClaim } from '../claims.ts';
import type { Client, Pool } from '../client.ts';
import { knowDirectory, type Plan } from './plan.ts';
import { StageLost } from './stage.ts';

type PlanningStep = 'markGroups' | 'markUsers' | 'confirmNames';

/**
 * Does a planning step once a plan, in one transaction. Its result is committed with its rows; whoever comes later gets that
 * result and writes nothing. One whose answer was lost would find its own marks in the stage and count others; an attempt
 * that stood still before its BEGIN has the epoch of its successor, and would plan anew what is being written, or was approved.
 * A result of null ends nothing: the step is asked again.
 */
export async function planOnce<T>(
  pool: Pool,
  plan: Plan,
  step: PlanningStep,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  await knowDirectory(pool, plan);
  return writeUnderClaim(pool, plan.claim, { name: step, heavy: true }, async (client) => {
    const { rows } = await client.query(
      'SELECT verdict, marks -> $2 AS done FROM org.plans WHERE id = $1 FOR NO KEY UPDATE',
      [plan.id, step],
    );
    const { verdict, done } = rows[0];
    if (done !== null) return done;
    if (verdict !== 'planned') throw new StageLost(plan.id, 'the plan is closed');
    const result = await work(client);
    if (result !== null)
      await client.query(
        'UPDATE org.plans SET marks = marks || jsonb_build_object($2::text, $3::jsonb) WHERE id = $1',
        [plan.id, step, JSON.stringify(result)],
      );
    return result;
  });
}
