import * as v from 'valibot';

const name = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'a name of 1-64 characters a-z, 0-9, - and _'));

/** What a person types to start segmentSync: `{"connection":"members"}`. */
export const segmentSyncInput = v.strictObject({
  /** Name of a connection of platform database. */
  connection: name,
  /** Lists to read: users, segments, memberships, orders. Default: all that the connection maps. */
  streams: v.optional(v.pipe(v.array(v.picklist(['users', 'segments', 'memberships', 'orders'])), v.minLength(1))),
  /** `full` reads everything again and marks who is gone; default: the rest of a full pass that was cut off; full the first time and for lists without an updated-at column; else incremental. */
  mode: v.optional(v.picklist(['full', 'incremental'])),
  /** `accept`: a person has looked at a withheld deletion; the guard is not asked in this run. Default `ask`. */
  deletions: v.optional(v.picklist(['ask', 'accept']), 'ask'),
});

/** What a person types to start a campaign: `{"campaign":"spring"}`. */
export const campaignInput = v.strictObject({
  /** Name of a campaign, as made by `syncline campaign create`, or a new one with `define`. */
  campaign: name,
  /** Its definition (docs/audience.md), from a client that has no command line: stored first. */
  define: v.optional(v.record(v.string(), v.unknown())),
});

/** What a person types to send a campaign's message to named users: `{"campaign":"spring","users":["u1"]}`. */
export const campaignTestInput = v.strictObject({
  /** Name of a campaign. */
  campaign: name,
  /** Ids of 1-20 users. */
  users: v.pipe(v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(255))), v.minLength(1), v.maxLength(20)),
});
