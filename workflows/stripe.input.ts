import * as v from 'valibot';

const name = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'a name of 1-64 characters a-z, 0-9, - and _'));
const type = v.pipe(v.string(), v.regex(/^[a-z0-9_]{1,63}$/, 'a resource such as customers'));

/** What a person types to start stripeSync: `{"connection":"billing"}`. */
export const stripeSyncInput = v.strictObject({
  /** Name of the connection, as made by `syncline connect`. */
  connection: name,
  /** False: ends when the copy has reached the present, instead of following the feed until it is cancelled. Default true. */
  follow: v.optional(v.boolean(), true),
});

/** What a person types to compare source and copy: `{"connection":"billing"}`. */
export const verifyStripeInput = v.strictObject({
  /** Name of the connection. */
  connection: name,
  /** Resources to compare. Default: all that are copied. */
  types: v.optional(v.pipe(v.array(type), v.minLength(1))),
  /** Only objects that were made from this day on, e.g. `2026-01-01`; resources without a moment are compared whole. Default: all. */
  since: v.optional(v.pipe(v.string(), v.isoDate('a day such as 2026-01-01'))),
  /** False: differences are told and left as they are. Default true: bad buckets are read again. */
  mend: v.optional(v.boolean(), true),
});

export type StripeSyncInput = v.InferOutput<typeof stripeSyncInput>;
export type VerifyStripeInput = v.InferOutput<typeof verifyStripeInput>;
