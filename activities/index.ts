import type { Deps } from './deps.ts';
import { orgActivities } from './org/index.ts';
import { platformActivities } from './platform/index.ts';
import { stripeActivities } from './stripe/index.ts';

/** All activities of a worker. Workflows import the type only. */
export function createActivities(deps: Deps) {
  return { ...orgActivities(deps), ...platformActivities(deps), ...stripeActivities(deps) };
}

export type Activities = ReturnType<typeof createActivities>;
