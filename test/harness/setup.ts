import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { migrate } from '../../db/migrate.ts';
import { loadConfig } from '../../workers/config.ts';
import { openServers } from '../../workers/embedded/servers.ts';
import { build } from './build.ts';

/** What every test file gets from the one set-up of a run. */
export interface Shared {
  /** Server with the template database; files clone it. */
  adminUrl: string;
  template: string;
  temporalAddress: string;
  namespace: string;
  /** File with the workflow code, in a build of the sources: worker processes are started from there. */
  bundle: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    shared: Shared;
  }
}

/** One Temporal, one Postgres, one migrated template database and one build a run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-test-'));
  // The OS user `postgres` must be able to walk through it when the tests run as root.
  chmodSync(folder, 0o755);
  const onProgress = (line: string) => void process.stdout.write(`${line}\n`);
  const [servers, bundle] = await Promise.all([
    openServers(loadConfig(), { durable: false, dataDir: join(folder, 'servers'), onProgress }),
    build(join(folder, 'app')),
  ]);
  const template = `syncline_template_${process.pid}`;
  await admin(servers.databaseUrl, `CREATE DATABASE ${template}`);
  const url = new URL(servers.databaseUrl);
  url.pathname = template;
  await migrate(url.href);
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
