import type { Deps } from '../deps.ts';
import { step } from '../step.ts';
import { type BeginHubspotInput, beginHubspot } from './begin.ts';
import { type SliceInput, sendContacts } from './slice.ts';

/** Steps of hubspotSync. */
export function hubspotActivities(deps: Deps) {
  return {
    /** Takes the connection for this run and proves triggers, rights, mapping and catalog. */
    beginHubspot: step('beginHubspot', (input: BeginHubspotInput, call) => beginHubspot(deps, input, call)),
    /** Drains the log and sends dirty users for about 20 s. */
    sendContacts: step('sendContacts', (input: SliceInput, call) => sendContacts(deps, input, call)),
  };
}
