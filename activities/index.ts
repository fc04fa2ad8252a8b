import { audienceActivities } from './audience/index.ts';
import type { Deps } from './deps.ts';
import { hubspotActivities } from './hubspot/index.ts';
import { orgActivities } from './org/index.ts';
import { platformActivities } from './platform/index.ts';
import { stripeActivities } from './stripe/index.ts';

/** All activities of a worker. Workflows import the type only. */
export function createActivities(deps: Deps) {
  return {
    ...orgActivities(deps),
    ...platformActivities(deps),
    ...stripeActivities(deps),
    ...hubspotActivities(deps),
    ...audienceActivities(deps),
  };
}

export type Activities = ReturnType<typeof createActivities>;
