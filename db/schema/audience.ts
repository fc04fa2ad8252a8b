import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  customType,
  index,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  smallint,
  text,
  timestamp,
} from 'drizzle-orm/pg-core';

/** People copied from a foreign database, campaigns, and what each recipient got. What a run does at the moment Temporal knows. */
export const audience = pgSchema('audience');

const id = (name: string) => customType<{ data: string }>({ dataType: () => 'text COLLATE "C"' })(name);
const instant = (name: string) => timestamp(name, { withTimezone: true });

/** What every landed row has; see db/land.ts. */
const landed = {
  connectionId: text('connection_id').notNull(),
  id: id('id').notNull(),
  /** The row as it came, under the names of the source's columns. */
  data: jsonb('data').notNull(),
  sourceTime: instant('source_time'),
  generation: bigint('generation', { mode: 'number' }).notNull(),
  syncedAt: instant('synced_at').notNull(),
  deletedAt: instant('deleted_at'),
};

/** Possible recipients. */
export const users = audience.table(
  'users',
  {
    ...landed,
    /** Number tags; null where the source gives none. */
    tags: bigint('tags', { mode: 'number' }).array(),
    /** Tags that are words. */
    labels: text('labels').array(),
  },
  (t) => [
    primaryKey({ columns: [t.connectionId, t.id] }),
    index('users_tags').using('gin', t.tags),
    index('users_labels').using('gin', t.labels),
  ],
);

/** Named groups of people of the source. */
export const segments = audience.table('segments', { ...landed, name: text('name') }, (t) => [
  primaryKey({ columns: [t.connectionId, t.id] }),
]);

/** Who is in which segment; the id is `user/segment`. */
export const memberships = audience.table(
  'memberships',
  { ...landed, userId: id('user_id'), segmentId: id('segment_id') },
  (t) => [
    primaryKey({ columns: [t.connectionId, t.id] }),
    index('memberships_segment').on(t.connectionId, t.segmentId, t.userId),
  ],
);

/** Order records, from which an audience may be drawn. */
export const orders = audience.table(
  'orders',
  { ...landed, userId: id('user_id'), orderedAt: instant('ordered_at') },
  (t) => [primaryKey({ columns: [t.connectionId, t.id] }), index('orders_day').on(t.connectionId, t.orderedAt)],
);

/** Who wants no more messages: a user or an address, of one channel or of all. Looked at when an audience is frozen and again at the moment of sending. */
export const unsubscribes = audience.table(
  'unsubscribes',
  {
    /** Connection of the people. */
    connectionId: text('connection_id').notNull(),
    /** user | address. */
    kind: text('kind').notNull(),
    value: id('value').notNull(),
    /** Name of a channel such as smtp; '' stands for all. */
    channel: text('channel').notNull().default(''),
    at: instant('at').notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.kind, t.value, t.channel] })],
);

/** What is to be sent to whom. Frozen with its audience: from then on the definition stands. */
export const campaigns = audience.table('campaigns', {
  /** Name typed by people. */
  id: text('id').primaryKey(),
  /** Number in the names of partitions and in idempotency keys. */
  no: integer('no').generatedAlwaysAsIdentity().notNull().unique(),
  /** Connection of the people, copied out of the definition for queries. */
  connectionId: text('connection_id').notNull(),
  /** Connection of the channel's account. */
  channelId: text('channel_id').notNull(),
  /** connectors/campaign.ts; checked whenever it is read. */
  definition: jsonb('definition').notNull(),
  createdAt: instant('created_at').notNull().defaultNow(),
  /** When the audience was frozen; null before. */
  frozenAt: instant('frozen_at'),
  /** Counts of the freeze: recipients, rows left out by reason, order records; null before. */
  frozen: jsonb('frozen'),
  /** When its last run ended: nothing left later. Null while one is at work, before the first, and where one was cut off. */
  endedAt: instant('ended_at'),
});

/**
 * One row a recipient: what this person got. Partitioned by LIST (campaign_no), one partition a campaign, made with its
 * three unique indexes after the load (db/audience/freeze.ts). The migration says PARTITION BY by hand: drizzle has no word for it.
 */
export const deliveries = audience.table('deliveries', {
  campaignNo: integer('campaign_no').notNull(),
  /** Place in the campaign, from 1 on; shards are ranges of it. Primary key with the campaign. */
  no: integer('no').notNull(),
  /** Unique in the campaign. */
  userId: id('user_id').notNull(),
  /** Where it goes: openid, mail address, … Null for a row that was left out; unique in the campaign. */
  address: id('address'),
  /** planned | claimed | sending | sent | delivered | refused | failed | unknown | skipped. */
  state: text('state').notNull(),
  /** Code of why it is so, e.g. unsubscribed, 43101, no_answer; null where nothing needs a reason. */
  reason: text('reason'),
  /** Tries that ended in a definite answer. */
  attempt: smallint('attempt').notNull().default(0),
  /** Not before; null: at once. */
  dueAt: instant('due_at'),
  /** Number of the activity attempt that holds or held it: another one's writes find nothing. */
  taker: bigint('taker', { mode: 'number' }),
  /** True while it holds one grant of the recipient that no message has used. */
  granted: boolean('granted').notNull().default(false),
  /** The channel's id of the message, by which its callbacks name it. */
  providerId: text('provider_id'),
  /** Order records it stands for; null where the audience is not drawn from orders. */
  records: integer('records'),
  /** The newest of these orders. */
  orderId: id('order_id'),
  /** Ids of all users with this address, where there are others: who unsubscribes under another one's gets no message either. */
  samePerson: text('same_person').array(),
  /** Moment of the state's last change after the plan. */
  at: instant('at'),
});

/** Messages that a person has allowed in advance, one a message (WeChat); nobody but us counts them. */
export const grants = audience.table(
  'grants',
  {
    /** Connection of the channel's account. */
    connectionId: text('connection_id').notNull(),
    address: id('address').notNull(),
    template: text('template').notNull(),
    /** Never below 0: a claim takes one where there is one. */
    remaining: integer('remaining').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.connectionId, t.template, t.address] }),
    check('grants_remaining', sql`remaining >= 0`),
  ],
);

/** Callbacks that were applied, so that one that comes twice counts once. Kept 30 days. */
export const callbacks = audience.table(
  'callbacks',
  {
    connectionId: text('connection_id').notNull(),
    /** Digest of what the channel says of the event. */
    event: text('event').notNull(),
    at: instant('at').notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.event] }), index('callbacks_at').on(t.at)],
);

/** Addresses to which a message is on its way, for channels that take one at a time. A row that its taker left behind ends by `until`. */
export const busy = audience.table(
  'busy',
  {
    connectionId: text('connection_id').notNull(),
    address: id('address').notNull(),
    /** The attempt that sends; see deliveries. */
    taker: bigint('taker', { mode: 'number' }).notNull(),
    until: instant('until').notNull(),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.address] })],
);
