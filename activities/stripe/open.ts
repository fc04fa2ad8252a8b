import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { explain } from '../../connectors/explain.ts';
import type { Rate } from '../../connectors/shape.ts';
import { type Nested, type Resource, resources } from '../../connectors/stripe/catalog.ts';
import { type StripeOptions, stripe, stripeOptions, stripeRates } from '../../connectors/stripe.ts';
import type { Connection } from '../../db/connections.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { openClient, type PlatformClient } from '../http/client.ts';
import type { StripeObject } from './rows.ts';
import { secondOf } from './version.ts';

/** A connection to Stripe with its checked options and a client for one lane of its budget. */
export interface OpenStripe {
  connection: Connection;
  options: StripeOptions;
  /** Whether its key belongs to a sandbox. */
  isTest: boolean;
  /** Requests a second that the limits leave to one list. */
  perSecond: number;
  api: StripeApi;
}

/** One answer. */
export interface Answer<T> {
  body: T;
  /** When the request left, our clock, ms. */
  readMs: number;
  /** Second of Stripe's clock in which it left, at the latest; see version.ts. */
  secondMs: number;
}

export interface ListPage {
  data: StripeObject[];
  hasMore: boolean;
}

export interface StripeApi {
  /** One page of a list. `route` is a path of the catalog, `{id}` taken from `params`. */
  list(route: string, params: Record<string, unknown>, signal: AbortSignal): Promise<Answer<ListPage>>;
  get(route: string, params: Record<string, unknown>, signal: AbortSignal): Promise<Answer<StripeObject>>;
  post(route: string, params: Record<string, unknown>, signal: AbortSignal): Promise<Answer<StripeObject>>;
  /** Second of Stripe's clock at this moment, as the latest answer tells; ours before the first. */
  secondMs(): number;
}

/** @throws SyncError InvalidInput for options or a credential that do not fit; ConnectionUnknown, SealBroken */
export async function openStripe(
  deps: Pick<Deps, 'connection' | 'throttle' | 'tokens'>,
  id: string,
  lane: 'live' | 'bulk',
): Promise<OpenStripe> {
  const stored = await deps.connection(id);
  if (stored.platform !== stripe.platform)
    throw new SyncError(
      'InvalidInput',
      `Connection "${id}" is of platform ${stored.platform}; stripeSync reads connections of platform stripe`,
    );
  const options = readStripeOptions(id, stored.options);
  const secret = keyOf(stored);
  const rates = stripeRates(options, secret);
  const connector = { ...stripe, limits: { connection: rates.account } };
  // The client must not take the limit for what may be used of it.
  const { requestsPerSecond: _limit, ...others } = stored.options;
  const client = openClient(deps, { ...stored, options: others }, connector, { lane });
  const perSecond = Math.min(
    ...[...rates.account, ...rates.endpoint].map(({ requests, perMs }) => (requests * 1_000) / perMs),
  );
  return { connection: stored, options, isTest: /_test_/.test(secret), perSecond, api: apiOf(client, rates.endpoint) };
}

/** @throws SyncError InvalidInput naming field, value and what is accepted */
export function readStripeOptions(id: string, stored: Record<string, unknown>): StripeOptions {
  const result = v.safeParse(stripeOptions, stored);
  if (result.success) return result.output;
  throw new SyncError(
    'InvalidInput',
    `Connection "${id}", options: ${explain(stripeOptions, result.issues[0])}. Correct it with: npx syncline connect ${id} --option key=value`,
  );
}

function keyOf({ id, credential }: Connection): string {
  const text = credential?.trimStart().startsWith('{')
    ? ((JSON.parse(credential) as { key?: unknown }).key as string)
    : credential;
  if (typeof text === 'string' && text !== '') return text;
  throw new SyncError(
    'InvalidInput',
    `Connection "${id}" has no key. Give it one: npx syncline connect ${id} --credential-env VARIABLE`,
  );
}

/** What the connection copies: resources of the catalog, in its order. */
export function chosenResources({ types }: StripeOptions): Resource[] {
  return resources.filter(({ key }) => types === undefined || types.includes(key));
}

/** Lists inside a resource that are copied. */
export function chosenLists({ lists }: StripeOptions, resource: Resource): Nested[] {
  return resource.nested.filter(({ field, usual }) => usual || lists.includes(`${resource.key}.${field}`));
}

/** Parameters without which the objects of a resource lack lists that are copied; `under` is where they stand in the answer. */
export function expandParams(options: StripeOptions, resource: Resource, under: '' | 'data.'): Record<string, string> {
  const fields = chosenLists(options, resource).filter(({ mode }) => mode === 'expand');
  return Object.fromEntries(fields.map(({ field }, i) => [`expand[${i}]`, `${under}${field}`]));
}

/** Another source, or another way to show it, is read anew. */
export function scopeOf(
  { connection, options }: Pick<OpenStripe, 'connection' | 'options'>,
  resource?: Resource,
): string {
  const lists = resource ? chosenLists(options, resource).map(({ field }) => field) : [];
  const text = JSON.stringify([connection.baseUrl, options.account ?? null, options.apiVersion, lists]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function apiOf(client: PlatformClient, limits: readonly Rate[]): StripeApi {
  let behindMs = 0;
  const call = async (route: string, given: Record<string, unknown>, signal: AbortSignal, method: 'GET' | 'POST') => {
    const [path = '', query] = route.split('?');
    const { id, ...params } = given;
    // `/v1/subscription_items?subscription={id}`: the parent is a parameter, not a part of the path.
    const parent = query?.split('=')[0];
    const all = { ...params, ...(id !== undefined && { [parent ?? 'id']: id }) };
    const api = { api: path.slice(1), method, params: {} };
    const answer = await client.call({ call: api, params: all, limits, stream: streamOf(path), signal });
    const moment = momentOf(answer.headers.date, answer.requestedAt, path);
    behindMs = moment.readMs - moment.secondMs;
    return { ...answer, ...moment };
  };
  const single = async (...args: Parameters<typeof call>) => {
    const { data, readMs, secondMs } = await call(...args);
    if (typeof data !== 'object' || data === null)
      throw new SyncError('BadAnswer', `${args[0]} answered with something that is no object`);
    return { body: data as StripeObject, readMs, secondMs };
  };
  return {
    async list(route, params, signal) {
      const { data, readMs, secondMs } = await call(route, params, signal, 'GET');
      const page = data as { data?: unknown; has_more?: unknown; next_page_url?: unknown } | null;
      if (!Array.isArray(page?.data))
        throw new SyncError('BadAnswer', `${route} answered with something that is no list`);
      const hasMore = page.has_more === true;
      return { body: { data: page.data as StripeObject[], hasMore }, readMs, secondMs };
    },
    get: (route, params, signal) => single(route, params, signal, 'GET'),
    post: (route, params, signal) => single(route, params, signal, 'POST'),
    secondMs: () => Math.floor((Date.now() - behindMs) / 1_000) * 1_000,
  };
}

const streamOf = (path: string) => path.replace(/^\/v\d\//, '').split('/{')[0] as string;

/** @throws SyncError BadAnswer for an answer without a date: nobody could tell how old it is */
function momentOf(date: string | string[] | undefined, requestedAt: number, path: string) {
  const told = Date.parse(String(date ?? ''));
  if (Number.isNaN(told))
    throw new SyncError('BadAnswer', `${path} answered without a Date header: nobody can tell when its data was true`);
  return { readMs: requestedAt, secondMs: secondOf(told, Date.now() - requestedAt) };
}
