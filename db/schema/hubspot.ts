import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
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
import { syncline } from './syncline.ts';

const key = customType<{ data: string }>({ dataType: () => 'text COLLATE "C"' });
const digest = customType<{ data: Buffer }>({ dataType: () => 'bytea' });
const instant = (name: string) => timestamp(name, { withTimezone: true });

/**
 * Change capture: one log table a connection (`log_<number of the connection>`) and the functions behind the triggers, all
 * made by `capture install` (db/capture/). A log has no index and no unique key: writers of the customer's tables only
 * append to it.
 */
export const capture = pgSchema('syncline_capture');

/** What one connection's contacts were judged by, and what is still to be marked. */
export const hubspotSyncs = syncline.table('hubspot_syncs', {
  connectionId: text('connection_id').primaryKey(),
  /** Grows with every attempt of a writing step; an attempt that was given up writes nothing more (db/hubspot/turns.ts). */
  turn: integer('turn').notNull().default(0),
  /** Digest of the mapping; another one means that every user is looked at again. Null before the first run. */
  mapping: text('mapping'),
  /** Digest of mapping and catalog: rows that were parked under another one come back. */
  judged: text('judged'),
  /** Properties of the account that the mapping names (connectors/hubspot/catalog.ts). */
  catalog: jsonb('catalog'),
  /** `all`: every user is to be marked; `resend`: and sent though nothing changed. Null when nothing is open. */
  mark: text('mark'),
  /** Which list is being marked, `contacts` then `users`, and the last key that was. */
  markList: text('mark_list'),
  markAfter: text('mark_after'),
  /** Zone of the account, once it was asked for. */
  timeZone: text('time_zone'),
  /** HubSpot's number of the account that was sent to (`portalId`), and a digest of the key that told it; null until one did. */
  account: text('account'),
  /** Too many rows were refused: `{"judged","bad","of"}`. It holds while rows are judged by the same. */
  tripped: jsonb('tripped'),
});

/** Users that may differ from their contact: the dirty set, a row a connection and user. */
export const hubspotDirty = syncline.table(
  'hubspot_dirty',
  {
    connectionId: text('connection_id').notNull(),
    /** The user's key as text. */
    key: key('key').notNull(),
    /** Another one at every marking, never used twice: a mark is cleared only if it is still the one that was read. */
    version: bigint('version', { mode: 'number' }).notNull(),
    /** When the oldest change that is not sent yet was made. */
    since: instant('since').notNull().defaultNow(),
    /** A call with this row ended without an answer: it is not sent before that call can no longer land. */
    heldUntil: instant('held_until'),
    /** Calls with this row that ended without an answer while others were answered, since it was marked last. */
    tries: smallint('tries').notNull().default(0),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.key] })],
);

/** Numbers of markings. */
export const hubspotVersions = syncline.sequence('hubspot_versions', { cache: 1 });

/** What HubSpot is known to hold of a user. */
export const hubspotContacts = syncline.table(
  'hubspot_contacts',
  {
    connectionId: text('connection_id').notNull(),
    key: key('key').notNull(),
    /**
     * First 16 bytes of SHA-256 of the mapped row that HubSpot confirmed; null when none is, or it is to be sent again. Empty
     * while a later call has no known outcome: it may hold either row.
     */
    sentHash: digest('sent_hash'),
    sentAt: instant('sent_at'),
    /** HubSpot's record id; null where no answer told it. */
    hubspotId: text('hubspot_id'),
    /** Id in the calls where it is no key of ours, addresses in small letters: the contact belongs to the first user who has it. */
    remoteId: text('remote_id'),
    /** Such an id in a call of unknown outcome: the contact may have it, and is looked for by it. */
    doubtId: text('doubt_id'),
    /** What HubSpot confirmed last was sent because the user had left (`leave: update`). */
    toldLeft: boolean('told_left').notNull().default(false),
    /** Hash of the row that was refused: the same is never sent again by itself. Its reason stands in syncline.rejects. */
    parkedHash: digest('parked_hash'),
    /** `hubspot_syncs.judged` of then. */
    parkedUnder: text('parked_under'),
  },
  (t) => [
    primaryKey({ columns: [t.connectionId, t.key] }),
    index('hubspot_contacts_parked').on(t.connectionId, t.parkedUnder).where(sql`${t.parkedHash} IS NOT NULL`),
    index('hubspot_contacts_remote').on(t.connectionId, t.remoteId).where(sql`${t.remoteId} IS NOT NULL`),
    index('hubspot_contacts_doubt').on(t.connectionId, t.doubtId).where(sql`${t.doubtId} IS NOT NULL`),
  ],
);

/** Calls under way. A row is committed before its call leaves, so that a killed worker's calls are known. */
export const hubspotCalls = syncline.table(
  'hubspot_calls',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    connectionId: text('connection_id').notNull(),
    keys: text('keys').array().notNull(),
    /** Ids that the call gives them, where these are no keys of ours. */
    ids: text('ids').array(),
    /** From then on the call can no longer change anything. */
    landsUntil: instant('lands_until').notNull(),
  },
  (t) => [index('hubspot_calls_connection').on(t.connectionId)],
);
