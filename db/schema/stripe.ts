import { customType, index, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';
import { syncline } from './syncline.ts';

const id = customType<{ data: string }>({ dataType: () => 'text COLLATE "C"' });
const instant = (name: string) => timestamp(name, { withTimezone: true });

/** How far the feed of events of a connection has been read. Committed with the rows that the events brought. */
export const stripeFeeds = syncline.table('stripe_feeds', {
  connectionId: text('connection_id').primaryKey(),
  /** Digest of base address and account: another source begins anew. */
  scope: text('scope').notNull(),
  /** Date of the source when the copy was begun, before anything was read. */
  markAt: instant('mark_at').notNull(),
  /** Newest event that was applied by the hot reader: the place it goes on from. Null while the feed has none. */
  hotEvent: text('hot_event'),
  /** Every event that the feed showed up to here, by its clock, has been applied once. */
  seenAt: instant('seen_at').notNull(),
  /** The same for what it showed at the first and at the last age of settling: late events included. */
  settledFirst: instant('settled_first').notNull(),
  settledAt: instant('settled_at').notNull(),
  /** When the newest look at the feed began whose events are all applied, by the clock of this database. */
  polledAt: instant('polled_at'),
  /** When the replay first reached the present; null before. */
  liveAt: instant('live_at'),
});

/** Events that were applied: an id is applied once. Kept for an hour behind the settled moment, which nobody reads before. */
export const stripeEvents = syncline.table(
  'stripe_events',
  {
    connectionId: text('connection_id').notNull(),
    id: id('id').notNull(),
    created: instant('created').notNull(),
    /** Request that caused it, and that request's idempotency key; null where the source did it by itself. */
    requestId: text('request_id'),
    idempotencyKey: text('idempotency_key'),
    appliedAt: instant('applied_at').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ columns: [t.connectionId, t.id] }),
    index('stripe_events_request').on(t.connectionId, t.requestId),
    index('stripe_events_key').on(t.connectionId, t.idempotencyKey),
    index('stripe_events_created').on(t.connectionId, t.created),
  ],
);
