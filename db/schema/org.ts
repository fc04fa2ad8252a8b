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
  text,
  timestamp,
  uniqueIndex,
} from 'drizzle-orm/pg-core';

/** The company directory as we hold it, the plans that changed it and what was handed back. */
export const org = pgSchema('org');

/** Unlogged tables of open runs, made and dropped by db/org/stage.ts; empty between runs. */
export const orgStage = pgSchema('org_stage');

/** Source ids compare by bytes: joins of a million ids cost half of what a locale's order costs. */
const id = customType<{ data: string }>({ dataType: () => 'text COLLATE "C"' });
const instant = (name: string) => timestamp(name, { withTimezone: true });

/** Groups of the tree (departments, units, SCIM groups). A deleted group keeps its row. */
export const groups = org.table(
  'groups',
  {
    connectionId: text('connection_id').notNull(),
    /** The source's stable id, never its name or path. */
    id: id('id').notNull(),
    tenant: text('tenant').notNull(),
    name: text('name').notNull(),
    /** Source id of the parent group; null for a root. */
    parentId: id('parent_id'),
    /** Plan that wrote the row last. */
    generation: bigint('generation', { mode: 'number' }).notNull(),
    syncedAt: instant('synced_at').notNull().defaultNow(),
    deletedAt: instant('deleted_at'),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.id] })],
);

/** People. A deleted person keeps the row (soft delete) and comes back under the same id. */
export const users = org.table(
  'users',
  {
    connectionId: text('connection_id').notNull(),
    id: id('id').notNull(),
    tenant: text('tenant').notNull(),
    userName: text('user_name').notNull(),
    /** lower(user_name) while the person holds the name; null once deleted or while a plan renames people. */
    userNameKey: id('user_name_key'),
    displayName: text('display_name'),
    givenName: text('given_name'),
    familyName: text('family_name'),
    email: text('email'),
    phone: text('phone'),
    title: text('title'),
    employeeNumber: text('employee_number'),
    /** False: the source suspended the person; the row stays. */
    active: boolean('active').notNull().default(true),
    /** Extra fields of the connection's mapping (option `attributes`). */
    attributes: jsonb('attributes'),
    generation: bigint('generation', { mode: 'number' }).notNull(),
    syncedAt: instant('synced_at').notNull().defaultNow(),
    deletedAt: instant('deleted_at'),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.id] }), uniqueIndex('users_name').on(t.tenant, t.userNameKey)],
);

/** Who sits in which group. Rows of deleted people and groups are removed. */
export const memberships = org.table(
  'memberships',
  {
    connectionId: text('connection_id').notNull(),
    userId: id('user_id').notNull(),
    groupId: id('group_id').notNull(),
    /** One group of each person is the primary one: the source's word, else the one already held, else the smallest id. */
    isPrimary: boolean('is_primary').notNull(),
    generation: bigint('generation', { mode: 'number' }).notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.connectionId, t.userId, t.groupId] }),
    index('memberships_group').on(t.connectionId, t.groupId),
  ],
);

/** One plan a run: what was read, what it would change, what the guards said, what was applied. */
export const plans = org.table(
  'plans',
  {
    id: bigint('id', { mode: 'number' }).generatedAlwaysAsIdentity().primaryKey(),
    connectionId: text('connection_id').notNull(),
    tenant: text('tenant').notNull(),
    epoch: integer('epoch').notNull(),
    /** 1, or 2 after the run dropped its stage and started over. */
    attempt: integer('attempt').notNull(),
    workflowId: text('workflow_id').notNull(),
    runId: text('run_id').notNull(),
    mode: text('mode').notNull(),
    /** Digest of base address, filter and mapping: another scope is another source. */
    scope: text('scope').notNull(),
    dryRun: boolean('dry_run').notNull(),
    /** True when the run looked at one person (`only`) instead of the whole directory. */
    partial: boolean('partial').notNull(),
    /** planned | applied | declined | failed | cancelled (db/org/plan.ts). An open plan reserves its seats (db/org/limits.ts). */
    verdict: text('verdict').notNull().default('planned'),
    /** Per step: {from, to, count}, the numbers its changes stand between and how many they are. */
    steps: jsonb('steps').notNull().default(sql`'{}'::jsonb`),
    /** Results of the planning steps by name, committed with their rows: each is done once a plan (db/org/marks.ts). */
    marks: jsonb('marks').notNull().default(sql`'{}'::jsonb`),
    /** Net people added by the plan, reserved against the tenant's limit until it is applied. */
    seats: integer('seats').notNull().default(0),
    /** What the source did not tell or prove, as sentences by list: {groups: […], users: […]}, and what of a change of scope is unsettled (db/org/scope.ts); no values of records. */
    doubts: jsonb('doubts').notNull().default(sql`'{}'::jsonb`),
    /** Of a failed or cancelled plan: how many of its changes stand nevertheless, by step. */
    written: jsonb('written').notNull().default(sql`'{}'::jsonb`),
    createdAt: instant('created_at').notNull().defaultNow(),
    appliedAt: instant('applied_at'),
  },
  (t) => [index('plans_connection').on(t.connectionId, t.id)],
);

/**
 * How far a list of the source has been copied into a plan's stage. Committed with the rows, so a killed worker goes on at
 * the page after the last committed one, and a stage that lost rows (unlogged tables are empty after a crash) is found out.
 */
export const stages = org.table(
  'stages',
  {
    planId: bigint('plan_id', { mode: 'number' }).notNull(),
    /** groups | users. */
    stream: text('stream').notNull(),
    /** Where the reader stands; shape known to the source alone; null before the first page. */
    cursor: jsonb('cursor'),
    pages: integer('pages').notNull().default(0),
    /** Rows copied, repeated ones included. */
    rows: integer('rows').notNull().default(0),
    /** Membership rows copied. */
    members: integer('members').notNull().default(0),
    /** Records without a usable id: nobody can tell who they are, so nobody is deleted in that pass. */
    unkeyed: integer('unkeyed').notNull().default(0),
    requests: integer('requests').notNull().default(0),
    /** 1, or 2 after a pass that proved nothing was read again. */
    passes: integer('passes').notNull().default(1),
    /** How the read ended ({sign, firstTotal, lastTotal}); null while it goes on. */
    ended: jsonb('ended'),
  },
  (t) => [primaryKey({ columns: [t.planId, t.stream] })],
);

/**
 * One row a change of a group, user or membership: the plan before it is written, the history afterwards. People read the
 * view `org.changes`. Values stand as text arrays in a fixed order: jsonb of 300,000 rows cost 1.7 s, arrays 0.15 s.
 */
export const changeRows = org.table(
  'change_rows',
  {
    planId: bigint('plan_id', { mode: 'number' }).notNull(),
    /** Number inside the plan. */
    no: integer('no').notNull(),
    /** Step that applies it, e.g. editUsers. */
    step: text('step').notNull(),
    /** group | user | membership. */
    kind: text('kind').notNull(),
    /** add | edit | move | delete; for memberships add | edit | remove. */
    action: text('action').notNull(),
    /** Source id of the group or user (for memberships: of the user). */
    sourceId: id('source_id').notNull(),
    /** For memberships: source id of the group. */
    groupId: id('group_id'),
    /** Our row before; null where there was none. Order: `changeFields`. */
    before: text('before').array(),
    /** Our row afterwards; null where it goes. */
    after: text('after').array(),
    /** For added people: source ids of their groups, the primary one first. The view shows one membership row for each. */
    groups: text('groups').array(),
  },
  (t) => [primaryKey({ columns: [t.planId, t.no] })],
);

/** Order of the values in `before` and `after`, by kind. */
export const changeFields = {
  group: ['name', 'parent_id'],
  user: [
    'user_name',
    'display_name',
    'given_name',
    'family_name',
    'email',
    'phone',
    'title',
    'employee_number',
    'active',
    'attributes',
  ],
  membership: ['is_primary'],
} as const;

const casts: Record<string, string> = { active: '::boolean', attributes: '::jsonb', is_primary: '::boolean' };
const readable = (side: 'before' | 'after') =>
  `CASE WHEN ${side} IS NOT NULL THEN CASE kind ${Object.entries(changeFields)
    .map(([kind, fields]) => {
      const pairs = fields.map((field, i) => `'${field}', ${side}[${i + 1}]${casts[field] ?? ''}`);
      return `WHEN '${kind}' THEN jsonb_strip_nulls(jsonb_build_object(${pairs.join(', ')}))`;
    })
    .join(' ')} END END`;

/** `change_rows` for people: before and after as jsonb, without the fields that have no value. */
export const changes = org
  .view('changes', {
    planId: bigint('plan_id', { mode: 'number' }),
    no: integer('no'),
    step: text('step'),
    kind: text('kind'),
    action: text('action'),
    sourceId: id('source_id'),
    groupId: id('group_id'),
    before: jsonb('before'),
    after: jsonb('after'),
  })
  .as(
    sql.raw(
      `SELECT plan_id, no, step, kind, action, source_id, group_id, ${readable('before')} AS before, ${readable('after')} AS after FROM org.change_rows
       UNION ALL
       SELECT c.plan_id, c.no, c.step, 'membership', 'add', c.source_id, g.group_id, NULL, jsonb_build_object('is_primary', g.n = 1)
       FROM org.change_rows c CROSS JOIN LATERAL unnest(c.groups) WITH ORDINALITY AS g(group_id, n)`,
    ),
  );

/** People who could not be written because somebody else holds their user name. */
export const conflicts = org.table(
  'conflicts',
  {
    connectionId: text('connection_id').notNull(),
    /** Source id of the person handed back. */
    sourceId: id('source_id').notNull(),
    userName: text('user_name').notNull(),
    /** Connection and source id of the living row that owns the name. */
    ownerConnectionId: text('owner_connection_id').notNull(),
    ownerSourceId: id('owner_source_id').notNull(),
    planId: bigint('plan_id', { mode: 'number' }).notNull(),
    firstSeen: instant('first_seen').notNull().defaultNow(),
    /** Set when a whole pass no longer brings the conflict. */
    resolvedAt: instant('resolved_at'),
  },
  (t) => [primaryKey({ columns: [t.connectionId, t.sourceId] })],
);
