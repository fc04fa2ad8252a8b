import type { Deps } from './deps.ts';
import { orgActivities } from './org/index.ts';

/** All activities of a worker. Workflows import the type only. */
export function createActivities(deps: Deps) {
  return { ...orgActivities(deps) };
}

export type Activities = ReturnType<typeof createActivities>;
