import type { Pool } from '../../db/client.ts';
import { subscriptionsByCustomer } from '../../db/stripe/objects.ts';
import type { FeedEvent } from './events.ts';
import type { Wanted } from './reads.ts';
import type { StripeObject } from './rows.ts';
import { upcoming } from './upcoming.ts';

/** Previews that events ask for: of subscriptions whose next invoice they may change. */
export async function previewsOf(pool: Pool, connection: string, events: readonly FeedEvent[]): Promise<Wanted[]> {
  const bySubscription = new Map<string, FeedEvent[]>();
  const byCustomer = new Map<string, FeedEvent[]>();
  const push = (to: Map<string, FeedEvent[]>, key: string, event: FeedEvent) =>
    to.set(key, [...(to.get(key) ?? []), event]);
  for (const event of events) {
    const told = subscriptionsOf(event.object ?? { object: event.related?.object, id: event.related?.id });
    for (const id of told.subscriptions) push(bySubscription, id, event);
    if (told.customer !== undefined) push(byCustomer, told.customer, event);
  }
  for (const [customer, subscriptions] of await subscriptionsByCustomer(pool, connection, [...byCustomer.keys()]))
    for (const id of subscriptions) for (const event of byCustomer.get(customer) ?? []) push(bySubscription, id, event);
  return [...bySubscription].map(([id, of]) => ({
    resource: upcoming,
    id,
    becauseMs: Math.max(...of.map(({ createdMs }) => createdMs)),
    later: false,
    events: of,
  }));
}

const text = (value: unknown) => (typeof value === 'string' ? value : undefined);

/** Subscriptions whose next invoice an event may change; `customer` where all of a customer's are meant. */
function subscriptionsOf(object: StripeObject): { subscriptions: string[]; customer?: string } {
  const parent = object.parent as { subscription_details?: { subscription?: unknown } } | null | undefined;
  const told = [
    object.object === 'subscription' ? object.id : undefined,
    object.subscription,
    parent?.subscription_details?.subscription,
  ].flatMap((one) => text(one) ?? []);
  if (told.length > 0) return { subscriptions: told };
  const ofCustomer =
    object.object === 'customer' ? object.id : object.object === 'invoiceitem' ? object.customer : undefined;
  return { subscriptions: [], ...(text(ofCustomer) !== undefined && { customer: text(ofCustomer) }) };
}
