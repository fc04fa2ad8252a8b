import * as v from 'valibot';

/** What a person types to start hubspotSync: `{"connection":"crm"}`. */
export const hubspotSyncInput = v.strictObject({
  /** Name of the connection, as made by `syncline connect`. */
  connection: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'a name of 1-64 characters a-z, 0-9, - and _')),
  /** `full` sends everybody, whether anything changed or not; default: what changed. */
  mode: v.optional(v.picklist(['full', 'incremental']), 'incremental'),
  /** Sends one user instead, by key: `{"user":"4711"}`. */
  only: v.optional(v.strictObject({ user: v.pipe(v.string(), v.maxLength(255)) })),
  /** `accept`: a person has looked at the refused rows; the run does not stop for their share. Default `ask`. */
  rejects: v.optional(v.picklist(['ask', 'accept']), 'ask'),
  /** `accept`: a person has looked at who is gone; the run archives as many as it finds. Default `ask`. */
  archives: v.optional(v.picklist(['ask', 'accept']), 'ask'),
});

export type HubspotSyncInput = v.InferOutput<typeof hubspotSyncInput>;
