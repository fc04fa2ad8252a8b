import type { RejectRow } from '../../db/rejects.ts';
import type { LedgerEvent } from '../../db/stripe/events.ts';
import type { FeedEvent } from './events.ts';

/** Where events of other accounts stand aside. */
export const feedStream = 'events';

/**
 * Events of connected accounts, which a platform's feed may show beside its own (`event.account`): their objects are none of
 * the account that is copied, and ids such as coupons' mean another object there.
 * @param account the one that is copied; null where the key may not tell: then every event that names an account is of another
 */
export function foreignOf(events: readonly FeedEvent[], account: string | null): FeedEvent[] {
  return events.filter((one) => one.account !== null && one.account !== account);
}

/** They count as applied, so that nobody meets them again, but answer nobody who waits for their request. */
export const unanswering = (event: LedgerEvent): LedgerEvent => ({ ...event, requestId: null, idempotencyKey: null });

/** One line an account, with its newest event: a platform has as many events as all of its accounts. */
export function foreignRejects(events: readonly FeedEvent[]): RejectRow[] {
  const byAccount = new Map(events.map((one) => [one.account as string, one]));
  return [...byAccount].map(([account, { id, type }]) => ({
    id: account,
    reason: 'foreign_account',
    field: 'account',
    record: JSON.stringify({ account, event: id, type }),
    position: 'feed',
  }));
}
