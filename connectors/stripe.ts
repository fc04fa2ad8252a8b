import * as v from 'valibot';
import type { Connector, Rate } from './shape.ts';
import { apiVersion, resources } from './stripe/catalog.ts';

const whole = (fallback: number, least: number, most: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most)), fallback);
const age = (least: number) => v.pipe(v.number(), v.minValue(least), v.maxValue(3_600));
const percent = (fallback: number) => v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(100)), fallback);
const key = v.pipe(
  v.string(),
  v.check((one: string) => resources.some((r) => r.key === one), 'a resource such as customers or invoices'),
);
const list = v.pipe(
  v.string(),
  v.check(
    (one: string) => resources.some((r) => r.nested.some(({ field }) => `${r.key}.${field}` === one)),
    'a list inside a resource such as customers.tax_ids',
  ),
);

/** Options of a connection to Stripe. */
export const stripeOptions = v.strictObject({
  /** Resources to copy. Default: all of the catalog. */
  types: v.optional(v.pipe(v.array(key), v.minLength(1))),
  /** Lists inside resources to copy besides the usual ones, e.g. `customers.tax_ids`. Those that the API gives by their own route alone cost a request a parent. Default: none. */
  lists: v.optional(v.array(list), []),
  /** Share of the account's and the endpoints' limits that is used here, 0.05-1; the rest is left to your own traffic. Default 0.5. */
  share: v.optional(v.pipe(v.number(), v.minValue(0.05), v.maxValue(1)), 0.5),
  /** Limit of the account, requests a second. Default: 100, with a test key 25. */
  requestsPerSecond: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(10_000))),
  /** Limit of one endpoint, requests a second. Default 25. */
  endpointRequestsPerSecond: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(10_000)), 25),
  /** Parts of one list read side by side in a backfill, 1-32. Default 8. */
  parallel: whole(8, 1, 32),
  /** Milliseconds between two looks at the feed, 100-60000. Default 500. */
  pollMs: whole(500, 100, 60_000),
  /** Ages in seconds at which each second of the feed is read again; events may appear up to the last one late. 1-3600, the second one larger. Default 20 and 90. */
  settleSeconds: v.optional(
    v.pipe(
      v.tuple([age(1), age(2)]),
      v.check(([first, last]) => first < last, 'two ages of 1-3600 seconds, the second one larger, such as [20,90]'),
    ),
    [20, 90],
  ),
  /** Hours between two readings of what has no events. Default 24. */
  relistHours: v.optional(v.pipe(v.number(), v.minValue(0.001), v.maxValue(720)), 24),
  /** Copies the upcoming invoice of each subscription; a request a subscription. Default true. */
  upcomingInvoices: v.optional(v.boolean(), true),
  /** Version of the API that is asked for; its shapes must be those of the catalog. Default: the catalog's. */
  apiVersion: v.optional(
    v.pipe(v.string(), v.regex(/^\d{4}-\d{2}-\d{2}(\.\w+)?$/, 'a version such as 2026-08-26.dahlia')),
    apiVersion,
  ),
  /** Connected account to read, e.g. `acct_123`. Default: the account of the key. */
  account: v.optional(v.pipe(v.string(), v.regex(/^acct_\w+$/, 'an id of an account such as acct_123'))),
  /** Most rows that a whole reading may mark deleted: the smaller of count and share. */
  guard: v.optional(
    v.strictObject({
      /** By count. Default 500. */
      count: whole(500, 0, 100_000_000),
      /** In percent of the living rows. Default 20. */
      percent: percent(20),
      /** Below 100 living rows: by count. Default 20. */
      smallCount: whole(20, 0, 100_000_000),
      /** Below 100 living rows: in percent. Default 50. */
      smallPercent: percent(50),
    }),
    {},
  ),
});

export type StripeOptions = v.InferOutput<typeof stripeOptions>;

/** A second at Stripe; of a key of a sandbox less. */
const accountLimit = { live: 100, test: 25 };

/** Whether a key belongs to a sandbox. */
export const isTestKey = (secret: string) => /^[a-z]+_test_/.test(secret);

/** What this connection may use: the limits of account and endpoint, less what is left to other traffic. */
export function stripeRates(options: StripeOptions, secret: string): { account: Rate[]; endpoint: Rate[] } {
  const limit = options.requestsPerSecond ?? (isTestKey(secret) ? accountLimit.test : accountLimit.live);
  const rate = (requests: number): Rate[] => [{ requests: Math.max(0.5, requests * options.share), perMs: 1_000 }];
  return { account: rate(limit), endpoint: rate(options.endpointRequestsPerSecond) };
}

/** How calls are written and answers judged; what is read stands in the catalog. */
export const stripe: Connector = {
  platform: 'stripe',
  title: 'Stripe',
  baseUrl: 'https://api.stripe.com',
  settings: {
    key: { secret: true, about: 'Secret or restricted key with read rights, Dashboard > Developers > API keys' },
    apiVersion: { secret: false, about: 'Version of the API', default: apiVersion },
    account: { secret: false, about: 'Connected account to read', default: '' },
  },
  auth: { kind: 'static', secret: 'key', place: { in: 'header', name: 'authorization', prefix: 'Bearer ' } },
  gateway: {
    path: '/{api}',
    method: 'GET',
    system: { in: 'query', params: {} },
    business: { in: 'form' },
    headers: { 'stripe-version': { option: 'apiVersion' }, 'stripe-account': { option: 'account' } },
  },
  envelope: {
    shapes: [
      { when: 'error', ok: 'failure', code: ['error.code', 'error.type'], text: ['error.message'], data: '' },
      { ok: { absent: 'error' }, data: '' },
    ],
    rules: [
      { code: ['lock_timeout'], verdict: 'busy', waitMs: 500 },
      {
        status: [429],
        header: {
          name: 'stripe-rate-limited-reason',
          is: ['endpoint-rate', 'endpoint-concurrency', 'resource-specific'],
        },
        verdict: 'retry-after',
        waitMs: 1_000,
        level: 'endpoint',
      },
      { status: [429], verdict: 'retry-after', waitMs: 1_000, level: 'connection' },
      {
        status: [401],
        verdict: 'token',
        hint: 'The key is wrong, expired or revoked.',
      },
      {
        status: [404],
        text: 'unrecognized request url',
        verdict: 'permission',
        hint: 'The account does not have this product.',
      },
      { status: [400, 404], code: ['resource_missing', 'invoice_upcoming_none'], verdict: 'gone' },
      {
        status: [403],
        text: 'required permissions',
        verdict: 'permission',
        hint: 'The key lacks the right to read it: grant it that right in the Dashboard.',
      },
      {
        status: [403],
        verdict: 'permission',
        hint: 'The key lacks the right to read it, which the Dashboard grants, or the account does not have this product.',
      },
      {
        status: [400, 404],
        code: ['invalid_request_error', 'parameter_unknown', 'parameter_missing'],
        verdict: 'bad-request',
      },
    ],
  },
  limits: {},
  streams: {},
  unconfirmed: [],
};
