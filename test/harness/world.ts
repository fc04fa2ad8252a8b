import { randomBytes } from 'node:crypto';
import { type Client, WorkflowFailedError, type WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import pg from 'pg';
import { afterAll, expect, inject } from 'vitest';
import { createPool, type Pool } from '../../db/client.ts';
import { saveConnection } from '../../db/connections.ts';
import { type ScimSandbox, type ScimSandboxOptions, startScimSandbox } from '../../sandbox/scim.ts';
import { type Config, loadConfig } from '../../workers/config.ts';
import type { Servers } from '../../workers/embedded/servers.ts';
import { connectClient } from '../../workers/temporal.ts';
import { createWorker, installRuntime } from '../../workers/worker.ts';
import { orgSync } from '../../workflows/index.ts';
import type { OrgSyncResult } from '../../workflows/org.result.ts';
import { startShortHistories } from './short-history.ts';

export type Handle = WorkflowHandleWithFirstExecutionRunId<typeof orgSync>;

/** A database of its own, a task queue of its own, a worker in this process: what a test file needs to run syncs. */
export interface World {
  pool: Pool;
  client: Client;
  config: Config;
  servers: Servers;
  key: Buffer;
  /** Starts a sandbox directory and connects it under a new name. */
  scim(
    options: ScimSandboxOptions,
    connection?: Record<string, unknown>,
  ): Promise<{ name: string; source: ScimSandbox }>;
  connect(input: {
    platform: string;
    baseUrl: string;
    credential: string | null;
    options?: Record<string, unknown>;
    tenant?: string;
  }): Promise<string>;
  start(connection: string, input?: Record<string, unknown>): Promise<Handle>;
  /** Runs orgSync to its end. */
  run(connection: string, input?: Record<string, unknown>): Promise<OrgSyncResult>;
  /** Runs orgSync and gives the failure it must end with. */
  fail(connection: string, input?: Record<string, unknown>): Promise<{ message: string; type: string | undefined }>;
  /** Closed by itself after the file's tests. */
  onClose(close: () => Promise<unknown>): void;
}

export interface WorldOptions {
  /** False: the test starts its own worker processes. Default true. */
  worker?: boolean;
  /** Gives the world a Temporal of its own, which suggests another execution after so many events. */
  shortHistories?: number;
}

/** Opens the world of a test file; everything it started is closed after the last test, and a leak fails the file. */
export async function openWorld(options: WorldOptions = {}): Promise<World> {
  installRuntimeOnce();
  const shared = inject('shared');
  const closers: (() => Promise<unknown>)[] = [];
  const database = `t_${randomBytes(6).toString('hex')}`;
  await admin(shared.adminUrl, `CREATE DATABASE ${database} TEMPLATE ${shared.template}`);
  closers.push(() => admin(shared.adminUrl, `DROP DATABASE ${database} WITH (FORCE)`));
  const url = new URL(shared.adminUrl);
  url.pathname = database;
  const temporal = options.shortHistories && (await startShortHistories(options.shortHistories));
  if (temporal) closers.push(() => temporal.stop());
  const address = temporal ? temporal.address : shared.temporalAddress;
  const servers: Servers = {
    databaseUrl: url.href,
    temporal: { address, namespace: shared.namespace, connectionOptions: { address } },
    embedded: {},
    stop: async () => undefined,
  };
  const key = randomBytes(32);
  const config = { ...loadConfig({}), taskQueue: `test-${database}`, secretKey: key, poolSize: 12, activitySlots: 8 };
  const pool = createPool({ url: url.href, size: 8, name: 'syncline test' });
  closers.push(() => expectNoLeak(pool, database));
  const client = await connectClient(servers.temporal);
  closers.push(() => client.connection.close());
  if (options.worker !== false) {
    const parts = await createWorker(config, servers, key, shared.bundle);
    const running = parts.worker.run();
    closers.push(async () => {
      parts.worker.shutdown();
      await running;
      await parts.close();
    });
  }
  afterAll(async () => {
    const failed: unknown[] = [];
    // A leak that one of them finds must not leave servers of the others running.
    for (const close of closers.reverse()) await close().catch((error: unknown) => failed.push(error));
    if (failed.length > 0) throw failed[0];
  });

  let made = 0;
  const world: World = {
    pool,
    client,
    config,
    servers,
    key,
    onClose: (close) => void closers.push(close),
    async connect({ platform, baseUrl, credential, options = {}, tenant }) {
      const id = `c${++made}`;
      await saveConnection(pool, key, { id, tenant: tenant ?? id, platform, baseUrl, credential, options });
      return id;
    },
    async scim(sandbox, connection = {}) {
      const source = await startScimSandbox(sandbox);
      closers.push(() => source.stop());
      const { tenant, ...rest } = connection as { tenant?: string };
      const name = await world.connect({
        platform: 'scim',
        baseUrl: source.url,
        credential: source.token,
        options: rest,
        ...(tenant && { tenant }),
      });
      return { name, source };
    },
    start: (connection, input = {}) =>
      client.workflow.start(orgSync, {
        args: [{ connection, ...input }],
        taskQueue: config.taskQueue,
        workflowId: `test-${randomBytes(8).toString('hex')}`,
      }),
    run: async (connection, input) => (await world.start(connection, input)).result(),
    fail: async (connection, input) => failureOf(await world.start(connection, input)),
  };
  return world;
}

let installed = false;

/** A file may open two worlds, for two kinds of servers. */
function installRuntimeOnce(): void {
  if (!installed) installRuntime('WARN');
  installed = true;
}

/** The failure a run ends with; a run that does not fail is the test's failure. */
export async function failureOf(handle: Handle): Promise<{ message: string; type: string | undefined }> {
  const error = await handle.result().then(
    (result) => expect.fail(`the run should have failed but ended as ${result.outcome}`),
    (e: unknown) => e,
  );
  if (!(error instanceof WorkflowFailedError)) throw error;
  const cause = error.cause as (Error & { type?: string }) | undefined;
  return { message: cause?.message ?? '', type: cause?.type };
}

async function expectNoLeak(pool: Pool, database: string): Promise<void> {
  const { rows } = await pool.query(
    `SELECT application_name, state FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'`,
    [database],
  );
  const stages = await pool.query(`SELECT tablename FROM pg_tables WHERE schemaname = 'org_stage'`);
  await pool.end();
  expect(rows, 'transactions left open').toEqual([]);
  expect(stages.rows, 'stages left behind by ended runs').toEqual([]);
}

async function admin(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(statement);
  await client.end();
}
