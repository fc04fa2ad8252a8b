import { type Resource, resourceOf } from '../../connectors/stripe/catalog.ts';
import type { StripeOptions } from '../../connectors/stripe.ts';
import type { Burial } from '../../db/land.ts';
import { Refused } from '../http/client.ts';
import { readNested } from './nested.ts';
import type { OpenStripe } from './open.ts';
import { rowOf } from './rows.ts';
import { readTime } from './version.ts';
import { noRows, type ObjectRows } from './writer.ts';

const invoices = resourceOf('invoices') as Resource;

/**
 * The next invoice of a subscription: no list shows it and it has no lasting id, so its key is the subscription's. It is
 * asked for anew when something happens that may change it, and is gone when there is none.
 */
export const upcoming: Resource = {
  ...invoices,
  key: 'upcoming_invoices',
  path: '/v1/invoices/create_preview',
  kind: 'B',
  created: false,
  retrieve: false,
  clocks: false,
  prefix: '',
  events: [],
  deletes: [],
  sweep: false,
};

/** States of a subscription that has a next invoice. */
export const billedStates = ['active', 'trialing', 'past_due'];

/** Whether the connection copies upcoming invoices: they are found by its subscriptions. */
export function upcomingChosen({ upcomingInvoices, types }: StripeOptions): boolean {
  return upcomingInvoices && (types === undefined || types.includes('subscriptions'));
}

export type Preview = { found: ObjectRows } | { gone: Burial };

/** @param becauseMs second of the event that asks for it; null where none does */
export async function previewOf(
  opened: OpenStripe,
  subscription: string,
  becauseMs: number | null,
  signal: AbortSignal,
): Promise<Preview> {
  const readMs = Date.now();
  try {
    const { body, ...at } = await opened.api.post(upcoming.path, { subscription }, signal);
    const origin = {
      timeMs: readTime(at.secondMs, becauseMs),
      readMs: at.readMs,
      position: 'preview of a subscription',
    };
    const made = rowOf(upcoming, body, origin, subscription);
    const found = noRows(upcoming);
    if ('fault' in made) found.faults.push(made.fault);
    else {
      found.rows.push(made.row);
      found.nested = await readNested(opened, upcoming, [{ object: body, origin, key: subscription }], signal);
    }
    return { found };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    // No next invoice, or a subscription that ended meanwhile. Any other refusal says nothing of it: what we hold stays.
    if (error.verdict !== 'gone' && error.code !== 'invoice_upcoming_none') {
      const found = noRows(upcoming);
      const record = JSON.stringify({ id: subscription, code: error.code });
      const position = 'preview of a subscription';
      found.faults.push({ id: subscription, keyed: true, reason: 'refused', field: 'id', record, position });
      return { found };
    }
    return { gone: { id: subscription, timeMs: readTime(opened.api.secondMs(), becauseMs), readMs } };
  }
}
