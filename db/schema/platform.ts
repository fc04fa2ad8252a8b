import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  customType,
  doublePrecision,
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

const id = customType<{ data: string }>({ dataType: () => 'text COLLATE "C"' });
const instant = (name: string) => timestamp(name, { withTimezone: true });

/** Unlogged sets of ids that open passes have seen, made and dropped by db/seen.ts. */
export const passSets = pgSchema('syncline_pass');

/** What is known of a stream's data: how far it is complete. Facts about rows; what a run does at the moment Temporal knows. */
export const streams = syncline.table(
  'streams',
  {
    connectionId: text('connection_id').notNull(),
    stream: text('stream').notNull(),
    /** Complete up to here by the source's clock; null before the first whole pass. For streams without a window: when the last pass began. */
    watermark: instant('watermark'),
    /** Row version with which the next incremental pass begins; null: it reads everything, as it does where a stream has none. */
    version: jsonb('version').$type<string | number>(),
    /** Where the complete range begins; null where a stream has no window. */
    coveredFrom: instant('covered_from'),
    /** When a full pass last ended, whole. */
    fullAt: instant('full_at'),
    /** Which one that was: its snapshot stays until the next one is whole. */
    fullPass: bigint('full_pass', { mode: 'number' }),
    /** Digest of base address, options and the stream's description: another scope is read anew. */
    scope: text('scope').notNull(),
    /** Why the last pass may have missed rows; null when it is proven whole. */
    doubt: text('doubt'),
    /** Living rows missing from the last full pass and not deleted, because a guard or a doubt withheld the sweep. */
    withheld: integer('withheld').notNull().default(0),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.stream] })],
);

/**
 * One reading of a stream. Its number is the generation of the rows it writes. A pass that a terminated run left open is
 * gone on with by the next run of the same kind and scope, a full one also by a run that names no mode.
 */
export const passes = syncline.table(
  'passes',
  {
    id: bigint('id', { mode: 'number' }).generatedAlwaysAsIdentity().primaryKey(),
    connectionId: text('connection_id').notNull(),
    stream: text('stream').notNull(),
    /** full | incremental | replay. */
    kind: text('kind').notNull(),
    scope: text('scope').notNull(),
    /** Range by the source's clock; null for streams without a window. */
    fromTime: instant('from_time'),
    toTime: instant('to_time'),
    /** Row version that an incremental pass began with; null for others. */
    fromVersion: jsonb('from_version').$type<string | number>(),
    startedAt: instant('started_at').notNull().defaultNow(),
    /** Null while it is read. */
    endedAt: instant('ended_at'),
    /** whole | doubtful | dropped; null while it is read. */
    verdict: text('verdict'),
    /** What it did, kept for whoever asks again because the first answer was lost; null while it is read. */
    counts: jsonb('counts'),
  },
  (t) => [
    index('passes_stream').on(t.connectionId, t.stream, t.id),
    index('passes_open').on(t.connectionId, t.stream).where(sql`ended_at IS NULL`),
  ],
);

/**
 * Parts of an open pass: time windows, batches of ids, or the whole list. The cursor is committed with the rows, so that a
 * killed worker goes on behind the last committed page. Rows go when the pass ends.
 */
export const slices = syncline.table(
  'slices',
  {
    passId: bigint('pass_id', { mode: 'number' }).notNull(),
    no: integer('no').notNull(),
    /** Window, from (included) to (not included), ms since 1970. */
    fromMs: bigint('from_ms', { mode: 'number' }),
    toMs: bigint('to_ms', { mode: 'number' }),
    /** Ids, after (not included) to (included); null ends are open. */
    afterId: id('after_id'),
    toId: id('to_id'),
    /** Ids to ask for, in order of time and id of the rows that name them; null for other slices. */
    ids: text('ids').array(),
    /** What those rows were when the pass was cut (see `visits.version`); in the order of `ids`. */
    versions: bigint('versions', { mode: 'number' }).array(),
    /** Where the reader stands; shape known to the paging strategy alone. */
    cursor: jsonb('cursor'),
    done: boolean('done').notNull().default(false),
    pages: integer('pages').notNull().default(0),
    /** Rows that came, repeated ones included. */
    rows: integer('rows').notNull().default(0),
    /** Ids first seen by this slice: their sum is the size of the pass's set, else it was lost. */
    seen: integer('seen').notNull().default(0),
    written: integer('written').notNull().default(0),
    rejected: integer('rejected').notNull().default(0),
    requests: integer('requests').notNull().default(0),
    /** Times the slice was read again because rows moved. */
    rereads: integer('rereads').notNull().default(0),
    /** Rows the source says there are; null where it does not say. */
    total: integer('total'),
    doubt: text('doubt'),
    /** Row version with which the next pass may begin; null while it is read, and where nobody knows. */
    version: jsonb('version').$type<string | number>(),
  },
  (t) => [primaryKey({ columns: [t.passId, t.no] })],
);

/** Ids of another stream that this one was read for, and nodes of a tree. A null moment: still to be read. */
export const visits = syncline.table(
  'visits',
  {
    connectionId: text('connection_id').notNull(),
    stream: text('stream').notNull(),
    overId: id('over_id').notNull(),
    /** When the request for it began; null while it waits in a tree's frontier. */
    visitedAt: instant('visited_at'),
    /**
     * What the rows that name it were before the request: the row's `row_version`, or a digest where several rows name it.
     * Another one than theirs: it is asked for again. No clock takes part. Null in a tree.
     */
    version: bigint('version', { mode: 'number' }),
    /** Pass that visited or found it last. */
    passId: bigint('pass_id', { mode: 'number' }).notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.connectionId, t.stream, t.overId] }),
    index('visits_waiting').on(t.connectionId, t.stream, t.overId).where(sql`visited_at IS NULL`),
  ],
);

/**
 * Living rows that the last full pass missed, of streams that are read part by part (`over`): one that the next full pass
 * misses too is gone. A pass in doubt forgets them.
 */
export const missed = syncline.table(
  'missed',
  {
    connectionId: text('connection_id').notNull(),
    stream: text('stream').notNull(),
    id: id('id').notNull(),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.stream, t.id] })],
);

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });

/**
 * The token pair of a connection, for platforms whose tokens end (db/tokens.ts). Written before its first use: several
 * platforms kill the old pair with the answer that brings the next one.
 */
export const tokens = syncline.table(
  'tokens',
  {
    connectionId: text('connection_id').notNull(),
    /** Digest of the consent (refresh token or app secret of the credential) that the pair descends from. */
    origin: text('origin').notNull(),
    /** Sealed JSON `{access, refresh}` (db/seal.ts); null before the first answer. */
    pair: bytea('pair'),
    /** When the request that brought the pair left; null before the first answer. */
    askedAt: instant('asked_at'),
    /** End of the access token; null before the first answer. */
    expiresAt: instant('expires_at'),
    /** Grows by one with every pair. Who wants another one names the version that it replaces. */
    version: integer('version').notNull().default(0),
    /** Who asks for the next pair; null when nobody does. */
    holder: text('holder'),
    /** When a holder that does not come back is given up. */
    heldUntil: instant('held_until'),
    /** Since when an answer may be on its way or lost: set before a request leaves, taken away with what it brought. */
    openSince: instant('open_since'),
    /** Code of the platform's last refusal; null after a pair came. */
    refused: text('refused'),
    refusedAt: instant('refused_at'),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.origin] })],
);

/**
 * Requests that may still leave, a token bucket a rate (db/budget.ts). What belongs to the whole scope (`served`, `factor`,
 * `narrowed_at`, `blocked_until`, `live_at`) stands the same in each of its rows.
 */
export const budgets = syncline.table(
  'budgets',
  {
    /** Connector, and behind a space the app whose limits these are, where the platform counts by app. */
    platform: text('platform').notNull(),
    /** '' for the platform as a whole, `/endpoint` for one API over all connections, the connection's name, or `connection/endpoint`. */
    scope: text('scope').notNull(),
    /** Place of the rate in the connector's list; a scope without a limit has one row, 0. */
    rate: smallint('rate').notNull(),
    /** Requests a second that are handed out while nothing is narrowed; null without a limit. */
    pace: doublePrecision('pace'),
    /** Requests the bucket holds at most; null without a limit. */
    burst: doublePrecision('burst'),
    /** Requests in the bucket at `at`; below 0 when workers leased at the same moment. Null without a limit. */
    tokens: doublePrecision('tokens'),
    /** The same for the bulk lane, which fills slower by the live lane's share. */
    bulkTokens: doublePrecision('bulk_tokens'),
    /** Seconds in which at most `window_most` requests may leave, where the platform counts in a window that moves along. */
    windowS: doublePrecision('window_s'),
    windowMost: doublePrecision('window_most'),
    /** What left within the window: pairs of moment (seconds since 1970) and requests, oldest first (db/budget/window.ts). */
    taken: doublePrecision('taken').array().array(),
    at: instant('at').notNull().defaultNow(),
    /** Turns taken: of two connections that wait, the one with less goes first. In the platform's rows: the turn that is on. */
    served: doublePrecision('served').notNull().default(0),
    /** Share of `pace` left by the last refusal; it grows again from `narrowed_at` on. */
    factor: doublePrecision('factor').notNull().default(1),
    narrowedAt: instant('narrowed_at').notNull().default(sql`'epoch'`),
    /** Nothing leaves before: the platform said so. */
    blockedUntil: instant('blocked_until').notNull().default(sql`'epoch'`),
    /** Why, for people. */
    blockedWhy: text('blocked_why'),
    /** When the live lane last used it. */
    liveAt: instant('live_at').notNull().default(sql`'epoch'`),
  },
  (t) => [primaryKey({ columns: [t.platform, t.scope, t.rate] })],
);

/** Requests that wait in each worker: who leases leaves the others their turn. */
export const budgetWaits = syncline.table(
  'budget_waits',
  {
    platform: text('platform').notNull(),
    /** Random name of a worker's throttle. */
    worker: text('worker').notNull(),
    /** Narrowest scope → [live, bulk] requests. */
    waits: jsonb('waits').notNull(),
    /** A worker that was killed or is frozen no longer counts from here on. */
    until: instant('until').notNull(),
  },
  (t) => [primaryKey({ columns: [t.platform, t.worker] })],
);
