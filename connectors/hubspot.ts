import * as v from 'valibot';
import { mappingSchema } from './hubspot/mapping.ts';
import type { Connector } from './shape.ts';

/** Name of the platform in `connect --platform`. */
export const hubspotPlatform = 'hubspot';

/**
 * Version of the API. Paths with a date never change and are supported 18 months at least; those named v3 and v4 end in
 * 2027. Another version is another word here and nowhere else.
 */
const version = '2026-03';
const contacts = `/crm/objects/${version}/contacts`;

/** Every path that is called. */
export const paths = {
  upsert: `${contacts}/batch/upsert`,
  create: `${contacts}/batch/create`,
  update: `${contacts}/batch/update`,
  read: `${contacts}/batch/read`,
  archive: `${contacts}/batch/archive`,
  properties: `/crm/properties/${version}/contacts`,
  createProperties: `/crm/properties/${version}/contacts/batch/create`,
  account: `/account-info/${version}/details`,
  token: `/oauth/${version}/token`,
} as const;

/** What a batch may do. `read` asks which ids there are. */
export type BatchKind = 'upsert' | 'create' | 'update' | 'archive' | 'read';

/** Inputs of a batch call at most; 101 are refused as a whole. */
export const batchRows = 100;

/** Where an account does not tell its limit: that of the smallest accounts. */
export const leastCallsPerWindow = 100;
/** The window of the burst limit is a rolling one. */
export const windowMs = 10_000;

const share = {
  platform: hubspotPlatform,
  title: 'HubSpot',
  baseUrl: 'https://api.hubapi.com',
  gateway: { path: '{api}', method: 'POST', system: { in: 'query', params: {} }, business: { in: 'json' } },
  envelope: {
    shapes: [{ ok: { absent: 'category' }, code: ['category', 'status'], text: ['message'], data: '' }],
    rules: [],
  },
  limits: {},
  streams: {},
  unconfirmed: [],
} satisfies Omit<Connector, 'auth' | 'settings'>;

/** With the token of a private app or a service key, which does not end. */
export const hubspotKey: Connector = {
  ...share,
  settings: {
    accessToken: {
      secret: true,
      about: 'token of a service key or private app, from Settings > Integrations (pat-…).',
    },
  },
  auth: { kind: 'static', secret: 'accessToken', place: { in: 'header', name: 'authorization', prefix: 'Bearer ' } },
};

/** With the consent that a person gave to an app: tokens live half an hour and are replaced before they end. */
export const hubspotOAuth: Connector = {
  ...share,
  settings: {
    clientId: { secret: true, about: 'client id of the app.' },
    clientSecret: { secret: true, about: 'client secret of the app.' },
    refreshToken: { secret: true, about: 'refresh token that the consent of a person brought.' },
    tokenUrl: { secret: false, about: 'server of the token calls; default: the base address.', default: '' },
  },
  auth: {
    kind: 'token',
    refresh: {
      method: 'POST',
      path: paths.token,
      in: 'form',
      params: {
        grant_type: 'refresh_token',
        client_id: { secret: 'clientId' },
        client_secret: { secret: 'clientSecret' },
        refresh_token: { token: 'refresh' },
      },
      answer: {
        access: 'access_token',
        refresh: 'refresh_token',
        expires: { path: 'expires_in', unit: 's' },
        lifeSeconds: 1_800,
      },
    },
    place: { in: 'header', name: 'authorization', prefix: 'Bearer ' },
  },
};

const whole = (least: number, most: number, fallback: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most)), fallback);

/** How contacts are written. See docs/hubspot.md. */
export const modes = ['upsert', 'update', 'insert', 'mirror'] as const;

/** Options of a connection to HubSpot. */
export const hubspotOptions = v.strictObject({
  mapping: mappingSchema,
  /** `upsert` (default), `update` (never makes a contact), `insert` (never changes one), `mirror` (upsert; who is gone is archived). */
  mode: v.optional(v.picklist(modes), 'upsert'),
  /**
   * `email`: a contact that has the mail address of a user and no value of `idProperty` becomes that user's, with his values
   * over its own; without it such a user is a `conflict`. Modes upsert and mirror, with an id of your own. Default none.
   */
  adopt: v.optional(v.picklist(['email'])),
  /** Calls in flight at most, 1-32. Default 10: enough for 190 calls in 10 s while an answer takes up to 0.5 s. */
  inFlight: whole(1, 32, 10),
  /** Calls in 10 seconds. Default: what the account's own answers say this app may do. Connections with one token or app share that and do not know of each other: give each its part. */
  callsPerWindow: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(10_000))),
  /** A call without an answer counts as lost after so long, seconds, 1-120. Default 30. */
  timeoutSeconds: whole(1, 120, 30),
  /** So long after its end a call without an answer may still be applied, seconds, 0-3600. Default 100, the longest that the gateway in front waits. */
  settleSeconds: whole(0, 3_600, 100),
  /** Rows that may be set aside before a run stops, in percent of those that are due in it, 0-100; who was set aside before does not count. Default 5. */
  rejectPercent: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(100)), 5),
  /** Contacts that a run may archive, or update because their users left (`leave`), in percent of those it knows, 0-100; 50 may always go. Default 50; 100 asks never. */
  archivePercent: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(100)), 50),
  /** Calls a run may spend on finding out which row of a refused batch is bad. Default 500. */
  isolationCalls: whole(0, 100_000, 500),
  /** Zone of the account, in whose midnight the daily limit ends. Default: asked for once, UTC where the token may not. */
  timeZone: v.optional(v.pipe(v.string(), v.check(isZone, 'a zone such as Europe/Berlin'))),
});

export type HubspotOptions = v.InferOutput<typeof hubspotOptions>;

function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}
