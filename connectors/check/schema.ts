import * as v from 'valibot';
import { platformOptions } from '../platform.ts';
import type { Connector } from '../shape.ts';
import { auth, envelope, gateway } from './calls.ts';
import { flag, list, matching, object, rates, setting, text, untaken } from './parts.ts';
import { stream, streamName } from './streams.ts';

/** Schemas of our own tables, and names of what orgSync alone reads. */
const taken = [
  'public',
  'org',
  'syncline',
  'syncline_pass',
  'stripe',
  'hubspot',
  'audience',
  'drizzle',
  'scim',
  'ldap',
];
const sharedOptions = Object.keys(platformOptions);

/** `../shape.ts` as a schema; docstrings stand there. */
export const connectorSchema = object({
  platform: untaken(
    /^[a-z][a-z0-9_]{0,49}$/,
    (name) => taken.includes(name) || name.startsWith('pg_'),
    `a name of 1-50 characters a-z, 0-9 and _, beginning with a letter but not with pg_, none of ${taken.join(', ')}`,
  ),
  schema: v.optional(matching(/^[a-z][a-z0-9_]{0,49}$/, 'a name of 1-50 characters a-z, 0-9 and _')),
  title: text,
  baseUrl: untaken(
    /^https:\/\/[^\s/?#@]+(\/[^\s?#@]*)?$/,
    (address) => !URL.canParse(address),
    'an address https://host or https://host/path, without user and query',
  ),
  settings: v.record(
    untaken(
      /^[A-Za-z]\w{0,49}$/,
      (name) => sharedOptions.includes(name),
      `a name of 1-50 letters, digits and _, none of ${sharedOptions.join(', ')}, which every connection has`,
    ),
    object({ secret: flag, about: text, default: v.optional(v.string('a text')) }),
    'an object of settings',
  ),
  auth,
  gateway,
  envelope,
  limits: object({ app: v.optional(setting), platform: v.optional(rates), connection: v.optional(rates) }),
  streams: v.record(streamName, stream, 'an object of streams'),
  unconfirmed: list(
    object({ at: matching(/^[^.\s]+(\.[^.\s]+)*$/, 'keys of the connector joined by dots'), what: text }),
    'a list, empty where everything is confirmed',
  ),
});

/** Every key required, so that one that the other side does not know is seen even where it is optional. */
type Whole<T> = T extends (...given: never[]) => unknown
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Whole<Item>[]
    : T extends object
      ? { [K in keyof T]-?: Whole<T[K]> }
      : T;
type Fits<A extends B, B> = A;
type Read = v.InferOutput<typeof connectorSchema>;

/** The types and this schema say the same: what stands on one side alone ends the build here, and the error names it. */
export type InStep = [
  Fits<Read, Connector>,
  Fits<Connector, Read>,
  Fits<Whole<Read>, Whole<Connector>>,
  Fits<Whole<Connector>, Whole<Read>>,
];
