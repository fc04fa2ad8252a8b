import { eventTypes, type Resource, resourceOf, resourceOfObject } from '../../connectors/stripe/catalog.ts';
import type { LedgerEvent } from '../../db/stripe/events.ts';
import { SyncError } from '../errors.ts';
import { isCut } from './nested.ts';
import type { OpenStripe } from './open.ts';
import type { StripeObject } from './rows.ts';

/** An event of the feed: something happened to an object. With its state of that second, or thin: its id alone. */
export interface FeedEvent extends LedgerEvent {
  type: string;
  /** Connected account that it is of; null for those of the account itself. */
  account: string | null;
  /** Version in which the state is written; null where there is none. */
  apiVersion: string | null;
  object: StripeObject | null;
  related: { object: string; id: string } | null;
}

/** Reads an event as the feed of v1 or v2 gives it. @throws SyncError BadAnswer */
export function readEvent(raw: StripeObject): FeedEvent {
  const created = typeof raw.created === 'number' ? raw.created * 1_000 : Date.parse(String(raw.created ?? ''));
  if (typeof raw.id !== 'string' || typeof raw.type !== 'string' || !Number.isFinite(created))
    throw new SyncError('BadAnswer', 'the feed shows an event without id, type or moment');
  const request = (raw.request ?? (raw.reason as StripeObject | undefined)?.request) as StripeObject | null | undefined;
  const object = (raw.data as { object?: StripeObject } | undefined)?.object ?? null;
  const related = raw.related_object as { id?: unknown; type?: unknown } | null | undefined;
  const text = (value: unknown) => (typeof value === 'string' ? value : null);
  return {
    id: raw.id,
    type: raw.type.replace(/^v1\./, ''),
    createdMs: Math.floor(created / 1_000) * 1_000,
    requestId: text(request?.id),
    idempotencyKey: text(request?.idempotency_key),
    account: text(raw.account),
    apiVersion: text(raw.api_version),
    object,
    related: related?.id && related.type ? { id: String(related.id), object: String(related.type) } : null,
  };
}

/** An object that an event is about. */
export interface Target {
  resource: Resource;
  id: string;
  /** Its state in the event can be written as it is, if it is the newest. */
  snapshot: StripeObject | null;
  gone: boolean;
}

const known = new Set(eventTypes);
/** Events of parts of an object that has no table: what holds it is read. */
const holders = {
  customer: 'customers',
  subscription: 'subscriptions',
  invoice: 'invoices',
  account: 'accounts',
  fee: 'application_fees',
};

/** Objects of an event that are copied. */
export function targetsOf(event: FeedEvent, opened: OpenStripe, chosen: ReadonlySet<string>): Target[] {
  const name = String(event.object?.object ?? event.related?.object ?? '');
  const id = String(event.object?.id ?? event.related?.id ?? '');
  const resource = resourceOfObject(name);
  const own =
    resource &&
    id !== '' &&
    (resource.events.includes(event.type) || !known.has(event.type) || resource.events.length === 0);
  const targets: Target[] = own ? [{ resource, id, ...stateOf(event, opened, resource) }] : [];
  if (!own && event.object) targets.push(...holdersOf(event.object, name));
  return targets.filter((one) => chosen.has(one.resource.key));
}

function stateOf(event: FeedEvent, opened: OpenStripe, resource: Resource): Pick<Target, 'snapshot' | 'gone'> {
  const { object, type, apiVersion } = event;
  if (resource.deletes.includes(type)) return { snapshot: object, gone: true };
  const usable =
    object !== null &&
    apiVersion === opened.options.apiVersion &&
    resource.events.includes(type) &&
    !isCut(opened, resource, object);
  return { snapshot: usable ? object : null, gone: false };
}

function holdersOf(object: StripeObject, name: string): Target[] {
  return Object.entries(holders).flatMap(([holder, key]) => {
    const id = object[holder];
    const resource = holder === name ? undefined : resourceOf(key);
    return typeof id === 'string' && resource ? [{ resource, id, snapshot: null, gone: false }] : [];
  });
}
