import type { Deps } from '../deps.ts';
import { step } from '../step.ts';
import { type BeginHubspotInput, beginHubspot } from './begin.ts';
import { type SliceInput, sendContacts } from './slice.ts';

/**
 * Between two slices nothing is sent for half a second: at 190 calls in 10 s a slice of 20 s lost a fiftieth of its
 * calls to it, which cannot be saved up.
 */
const sendMs = 40_000;

/** Steps of hubspotSync. */
export function hubspotActivities(deps: Deps) {
  return {
    /** Takes the connection for this run and proves triggers, rights, mapping and catalog. */
    beginHubspot: step('beginHubspot', (input: BeginHubspotInput, call) => beginHubspot(deps, input, call)),
    /** Drains the log and sends dirty users for about 40 s. */
    sendContacts: step('sendContacts', (input: SliceInput, call) => sendContacts(deps, input, call), sendMs),
  };
}
