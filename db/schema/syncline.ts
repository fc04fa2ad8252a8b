import { bigint, customType, integer, jsonb, pgSchema, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';

/** What every pipeline needs: connections, claims, rejects. Process state has no table: Temporal has it. */
export const syncline = pgSchema('syncline');

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });
const instant = (name: string) => timestamp(name, { withTimezone: true });

/** One account at one platform. Everything but the credential is readable; the credential is sealed (db/seal.ts). */
export const connections = syncline.table('connections', {
  /** Name typed by people: 1-64 of a-z, 0-9, '-' and '_'. */
  id: text('id').primaryKey(),
  /** Short number for table names (stages), never shown. */
  no: integer('no').generatedAlwaysAsIdentity().notNull().unique(),
  /** One customer of ours: user names are unique and user limits are counted inside it. */
  tenant: text('tenant').notNull(),
  /** Connector that reads it, e.g. scim or ldap. */
  platform: text('platform').notNull(),
  /** Base address; every connector takes it from here, so any compatible server can stand in. */
  baseUrl: text('base_url').notNull(),
  /** Connector and pipeline options, validated at every use. */
  options: jsonb('options').notNull().default({}),
  /** Sealed credential, or null when the source wants none. */
  credential: bytea('credential'),
  /** Set from the moment on when `disconnect` takes it away: `all`, or `kept` where the copied rows stay. Nobody finds it then. */
  leaving: text('leaving'),
  createdAt: instant('created_at').notNull().defaultNow(),
  updatedAt: instant('updated_at').notNull().defaultNow(),
});

/** Which run may write for a connection. The epoch fences activities that outlive their run (db/claims.ts). */
export const claims = syncline.table(
  'claims',
  {
    connectionId: text('connection_id').notNull(),
    pipeline: text('pipeline').notNull(),
    /** Another one, and a larger, with every run that takes the claim. */
    epoch: integer('epoch').notNull(),
    workflowId: text('workflow_id').notNull(),
    /** First run of the execution chain, stable over continue-as-new. */
    runId: text('run_id').notNull(),
    claimedAt: instant('claimed_at').notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.pipeline] })],
);

/** Epochs of claims: none is used twice, also where a connection went and another one got its name. */
export const epochs = syncline.sequence('epochs', { cache: 1 });

/** A record that could not be applied, kept until the source repairs it. One row a record. */
export const rejects = syncline.table(
  'rejects',
  {
    /** Number that failures and logs name instead of the value. */
    id: bigint('id', { mode: 'number' }).generatedAlwaysAsIdentity().notNull().unique(),
    connectionId: text('connection_id').notNull(),
    pipeline: text('pipeline').notNull(),
    /** List of the source it came from, e.g. users. */
    stream: text('stream').notNull(),
    /** Source id; where the record has none, `no id` with a digest of what is in it, or its position. */
    sourceId: text('source_id').notNull(),
    /** Code such as too_long; workers/cli/reasons.ts says each in words. */
    reason: text('reason').notNull(),
    /** Field that broke the rule, or null. */
    field: text('field'),
    /** Raw record as the source sent it (JSON as text: jsonb cannot hold every JSON string). */
    record: text('record'),
    /** Where in the source it stood, e.g. users page 12 row 3; of a user for HubSpot the contact that has his value. */
    position: text('position'),
    /** Epoch of the run that saw it last. */
    epoch: integer('epoch').notNull(),
    firstSeen: instant('first_seen').notNull().defaultNow(),
    lastSeen: instant('last_seen').notNull().defaultNow(),
    /** Set when a whole pass no longer brings the fault; null while it stands. */
    resolvedAt: instant('resolved_at'),
    /**
     * Set when a person has said that a record without an id is nobody of theirs: the very same record no longer puts its
     * stream in doubt.
     */
    acceptedAt: instant('accepted_at'),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.pipeline, t.stream, t.sourceId] })],
);
