import { randomBytes } from 'node:crypto';
import type { WorkflowHandle } from '@temporalio/client';
import * as v from 'valibot';
import { expect } from 'vitest';
import { mappingSchema } from '../../connectors/hubspot/mapping.ts';
import { installCapture } from '../../db/capture.ts';
import type { Pool } from '../../db/client.ts';
import { storedConnection } from '../../db/connections.ts';
import { type HubspotSandbox, type HubspotSandboxOptions, startHubspotSandbox } from '../../sandbox/hubspot.ts';
import type { HubspotSyncResult } from '../../workflows/hubspot.ts';
import type { World } from './world.ts';

/** What a CRM stands on: a world, or a ground whose servers may be crashed. */
export type CrmGround = Pick<World, 'pool' | 'client' | 'connect' | 'onClose'> & {
  config: Pick<World['config'], 'taskQueue'>;
};

export interface Crm {
  name: string;
  /** Schema of this CRM's own tables `users`, `orders`, `companies`. */
  schema: string;
  pool: Pool;
  source: HubspotSandbox;
  mapping: Record<string, unknown>;
  /** The mail address is the id. */
  byMail: boolean;
  /** Contacts of those who left are archived; else they stay. */
  archives: boolean;
  /** Runs SQL on the customer's tables; `users` and the others need no schema. */
  sql(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  start(input?: Record<string, unknown>): Promise<WorkflowHandle>;
  sync(input?: Record<string, unknown>): Promise<HubspotSyncResult>;
  /** Users whose contact is not as their row says, at most a few of each kind. `except`: keys that are left out. */
  difference(except?: ReadonlySet<string>): Promise<{ missing: string[]; extra: string[]; other: string[] }>;
  /** Fails with the first contacts that differ from the mapped rows of all users, but for these. */
  expectSame(except?: Iterable<string>): Promise<void>;
  /** Keys of the rows that are parked, with code and property. */
  parked(): Promise<Map<string, string>>;
  options(change: Record<string, unknown>): Promise<void>;
}

export interface CrmOptions {
  users?: number;
  sandbox?: HubspotSandboxOptions;
  /** Options of the connection besides the mapping. */
  options?: Record<string, unknown>;
  /** Parts of the mapping that differ from the usual one. */
  mapping?: Record<string, unknown>;
  /** True: the mail address is the id, and the user's key a property like any other. */
  byMail?: boolean;
  /** False: the credential is an app's consent. Default true: a token that does not end. */
  key?: boolean;
  /** Default true. */
  capture?: boolean;
}

/** Short waits: a call that ended without an answer can land for 200 ms, not for minutes. */
const brisk = { timeoutSeconds: 2, settleSeconds: 0 };

/** The mapping that most tests use: every type of property, two more tables. */
export function usualMapping(schema: string) {
  return {
    from: `${schema}.users`,
    key: 'id',
    idProperty: 'app_user_id',
    where: 'NOT u.hidden',
    properties: {
      email: { sql: 'u.email', type: 'string' },
      firstname: { sql: 'u.name', type: 'string' },
      app_plan: { sql: 'u.plan', type: 'enumeration' },
      app_interests: { sql: 'u.interests', type: 'enumeration' },
      app_signed_up: { sql: 'u.signed_up', type: 'date' },
      app_seen_at: { sql: 'u.seen_at', type: 'datetime' },
      app_active: { sql: 'u.active', type: 'bool' },
      app_orders: { sql: `(SELECT count(*) FROM ${schema}.orders o WHERE o.user_id = u.id)`, type: 'number' },
      app_company: { sql: `(SELECT c.name FROM ${schema}.companies c WHERE c.id = u.company_id)`, type: 'string' },
    },
    tables: {
      [`${schema}.orders`]: { key: 'user_id' },
      [`${schema}.companies`]: { key: 'id', user: 'company_id' },
    },
  };
}

/** What a person should see of each user in scope, by key: written in SQL of its own, not by the code under test. */
const truth = `SELECT u.id::text AS key, lower(coalesce(u.email, '')) AS email, coalesce(u.name, '') AS firstname, coalesce(u.plan, '') AS app_plan,
  coalesce(array_to_string(u.interests, ';'), '') AS app_interests, coalesce(to_char(u.signed_up, 'YYYY-MM-DD'), '') AS app_signed_up,
  coalesce(to_char(u.seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), '') AS app_seen_at, coalesce(u.active::text, '') AS app_active,
  (SELECT count(*) FROM orders o WHERE o.user_id = u.id)::text AS app_orders, coalesce((SELECT c.name FROM companies c WHERE c.id = u.company_id), '') AS app_company
  FROM users u WHERE NOT u.hidden`;

/** Makes the customer's tables with so many users, starts an account, connects it and installs the capture. */
export async function openCrm(world: CrmGround, given: CrmOptions = {}): Promise<Crm> {
  const { users = 0, options = {}, capture = true } = given;
  const { pool } = world;
  const schema = `app_${randomBytes(4).toString('hex')}`;
  const source = await startHubspotSandbox({ limits: null, ...given.sandbox });
  world.onClose(() => source.stop());
  const sql: Crm['sql'] = async (text, values) => {
    const client = await pool.connect();
    try {
      await client.query(`SET search_path = ${schema}, public`);
      return (await client.query(text, values)).rows;
    } finally {
      await client.query('RESET search_path');
      client.release();
    }
  };
  await makeTables(pool, schema, users);
  const usual = usualMapping(schema);
  const key = { app_user_id: { sql: 'u.id::text', type: 'string' } };
  const byMail = given.byMail && { idProperty: 'email', properties: { ...usual.properties, ...key } };
  const mapping = { ...usual, ...byMail, ...given.mapping };
  const credential = given.key === false ? JSON.stringify(source.consent()) : source.token;
  const name = await world.connect({
    platform: 'hubspot',
    baseUrl: source.url,
    credential,
    options: { ...brisk, ...options, mapping },
  });
  if (capture) await installCapture(pool, await storedConnection(pool, name), v.parse(mappingSchema, mapping));
  const crm: Crm = {
    name,
    schema,
    pool,
    source,
    mapping,
    byMail: given.byMail ?? false,
    archives: options.mode === 'mirror',
    sql,
    start: (input = {}) =>
      world.client.workflow.start('hubspotSync', {
        args: [{ connection: name, ...input }],
        taskQueue: world.config.taskQueue,
        workflowId: `test-${randomBytes(8).toString('hex')}`,
      }),
    sync: async (input) => (await (await crm.start(input)).result()) as HubspotSyncResult,
    async difference(except = new Set()) {
      const wanted = new Map((await sql(truth)).map(({ key, ...row }) => [String(key), row as Record<string, string>]));
      const seen = source.contacts.seen('app_user_id');
      const keys = (list: Iterable<string>) => [...list].filter((key) => !except.has(key)).slice(0, 5);
      return {
        missing: keys([...wanted.keys()].filter((key) => !seen.has(key))),
        extra: keys([...seen.keys()].filter((key) => !wanted.has(key))),
        other: keys([...wanted].flatMap(([key, row]) => (seen.has(key) && differs(row, seen.get(key)!) ? [key] : []))),
      };
    },
    async expectSame(except = []) {
      expect(await crm.difference(new Set(except))).toEqual({ missing: [], extra: [], other: [] });
    },
    async parked() {
      const { rows } = await pool.query(
        `SELECT source_id AS key, reason, field FROM syncline.rejects WHERE connection_id = $1 AND pipeline = 'hubspot' AND resolved_at IS NULL`,
        [name],
      );
      return new Map(rows.map(({ key, reason, field }) => [key, field === null ? reason : `${reason} ${field}`]));
    },
    async options(change) {
      await pool.query('UPDATE syncline.connections SET options = options || $2 WHERE id = $1', [
        name,
        JSON.stringify(change),
      ]);
    },
  };
  return crm;
}

const differs = (wanted: Record<string, string>, seen: Record<string, string>) =>
  Object.entries(wanted).some(([name, value]) => (seen[name] ?? '') !== value);

async function makeTables(pool: Pool, schema: string, users: number): Promise<void> {
  await pool.query(`
    CREATE SCHEMA ${schema};
    CREATE TABLE ${schema}.companies (id int PRIMARY KEY, name text);
    CREATE TABLE ${schema}.users (id bigint PRIMARY KEY, email text, name text, plan text, interests text[], signed_up date,
      seen_at timestamptz, active boolean, hidden boolean NOT NULL DEFAULT false, company_id int, extra json, note text);
    CREATE INDEX ON ${schema}.users (company_id);
    CREATE TABLE ${schema}.orders (id bigint PRIMARY KEY, user_id bigint, total numeric);
    CREATE INDEX ON ${schema}.orders (user_id);
    INSERT INTO ${schema}.companies SELECT i, 'Company ' || i FROM generate_series(1, 20) i;
    INSERT INTO ${schema}.users SELECT i, 'User' || i || '@Example.org', 'Name ' || i, (ARRAY['free', 'team', 'enterprise'])[1 + i % 3],
      CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN ARRAY['news'] ELSE ARRAY['news', 'offers'] END, DATE '2020-02-29' + (i % 900)::int,
      TIMESTAMPTZ '2026-03-28 23:30:15.123Z' + i * interval '1 hour', i % 2 = 0, false, i % 21, NULL, NULL FROM generate_series(1, ${users}) i;
    INSERT INTO ${schema}.orders SELECT i, i / 2 + 1, i FROM generate_series(1, ${Math.floor(users / 2)}) i;`);
}
