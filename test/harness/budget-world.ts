import { setMaxListeners } from 'node:events';
import { RetryLater } from '../../activities/errors.ts';
import { type BudgetUse, openThrottle, type Throttle } from '../../activities/http/throttle.ts';
import { readBudget } from '../../db/budget.ts';
import { openWorld } from './world.ts';

export const options = { liveShare: 0.2 };
/** Never aborted. */
export const { signal } = new AbortController();
// All requests of a file listen to it.
setMaxListeners(0, signal);

/** A world of throttles, each as good as a worker of its own; closed with the world. */
export async function openBudgetWorld() {
  const world = await openWorld({ worker: false });
  const { pool } = world;
  return {
    world,
    pool,
    worker(options?: Parameters<typeof openThrottle>[1]): Throttle {
      const throttle = openThrottle(pool, options);
      world.onClose(() => throttle.close());
      return throttle;
    },
    async stateOf({ platform }: BudgetUse, scope: string) {
      const { scopes } = await readBudget(pool, platform, 'nobody', [scope], options);
      return scopes.get(scope)!;
    },
  };
}

let made = 0;
/** A platform that no other test uses. */
export function use(change: Partial<BudgetUse> = {}): BudgetUse {
  return {
    platform: `p${++made}`,
    platformRates: [],
    connection: 'acme',
    connectionRates: [],
    lane: 'bulk',
    ...change,
  };
}
export const rate = (requests: number, perMs = 1000, burst?: number) => ({ requests, perMs, burst });
export const waitOf = (taken: Promise<void>) =>
  taken.then(
    () => 0,
    (error) => {
      if (error instanceof RetryLater) return error.waitMs;
      throw error;
    },
  );
export async function msOf(work: Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work;
  return performance.now() - began;
}
