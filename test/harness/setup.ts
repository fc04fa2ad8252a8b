import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { migrate } from '../../db/migrate.ts';
import { loadConfig } from '../../workers/config.ts';
import { openServers } from '../../workers/embedded/servers.ts';
import { bundleWorkflows } from '../../workers/worker.ts';

/** What every test file gets from the one set-up of a run. */
export interface Shared {
  /** Server with the template database; files clone it. */
  adminUrl: string;
  template: string;
  temporalAddress: string;
  namespace: string;
  bundle: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    shared: Shared;
  }
}

/** One Temporal, one Postgres, one migrated template database and one workflow bundle a run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-test-'));
  // The OS user `postgres` must be able to walk through it when the tests run as root.
  chmodSync(folder, 0o755);
  const config = loadConfig();
  const servers = await openServers(config, {
    durable: false,
    dataDir: join(folder, 'servers'),
    onProgress: (line) => process.stdout.write(`${line}\n`),
  });
  const template = `syncline_template_${process.pid}`;
  await admin(servers.databaseUrl, `CREATE DATABASE ${template}`);
  const url = new URL(servers.databaseUrl);
  url.pathname = template;
  await migrate(url.href);
  const bundle = join(folder, 'workflows.bundle.js');
  writeFileSync(bundle, await bundleWorkflows());
  const { address: temporalAddress, namespace } = servers.temporal;
  project.provide('shared', { adminUrl: servers.databaseUrl, template, temporalAddress, namespace, bundle });
  return async () => {
    await admin(servers.databaseUrl, `DROP DATABASE ${template} WITH (FORCE)`);
    await servers.stop();
    rmSync(folder, { recursive: true, force: true });
  };
}

async function admin(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(statement);
  await client.end();
}
