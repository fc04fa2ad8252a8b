import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { source as catalog } from '../../connectors/stripe/catalog.ts';
import { type Rig, root } from './rig.ts';

/** Engines that copy Stripe to Postgres, installed in a folder of the benchmark's own. */
const engines = {
  supabase: '@supabase/stripe-sync-engine',
  stripe: '@stripe/sync-engine',
} as const;
const folder = join(root, 'test/bench/peers/stripe');
const longestMs = 110_000;

/** Rows a second of each engine that is installed, by name; says which are not, and how to install them. */
export async function runPeers(
  rig: Rig,
  source: { url: string; key: string },
  customers: number,
): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const [engine, packageName] of Object.entries(engines)) {
    if (!existsSync(join(folder, 'node_modules', packageName))) {
      process.stdout.write(
        `peer ${packageName}: skipped, not installed; npm install --prefix test/bench/peers/stripe\n`,
      );
      continue;
    }
    const database = `peer_${engine}_${Date.now()}`;
    const url = new URL(rig.servers.databaseUrl);
    await query(rig.servers.databaseUrl, `CREATE DATABASE ${database}`);
    url.pathname = database;
    const seconds = await runOne(engine, url.href, source);
    if (seconds === null) {
      process.stdout.write(`peer ${packageName}: gave no figure\n`);
      continue;
    }
    const [row] = await query(url.href, 'SELECT count(*)::int AS n FROM stripe.customers');
    const rows = Number(row?.n ?? 0);
    if (rows !== customers) process.stdout.write(`peer ${packageName}: holds ${rows} of ${customers} customers\n`);
    found.set(engine, rows / seconds);
  }
  return found;
}

async function runOne(
  engine: string,
  databaseUrl: string,
  { url, key }: { url: string; key: string },
): Promise<number | null> {
  const child = spawn(process.execPath, ['run.mjs', engine, databaseUrl, url, key], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, STRIPE_OPENAPI_SPEC: openApiSpec() },
  });
  let text = '';
  let complaint = '';
  child.stdout.on('data', (part) => {
    text += part;
  });
  child.stderr.on('data', (part) => {
    complaint += part;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), longestMs);
  await new Promise((done) => child.once('close', done));
  clearTimeout(timer);
  const told = /\{"seconds":([\d.]+)\}/.exec(text)?.[1];
  if (told === undefined) process.stdout.write(`${complaint.slice(-600)}\n`);
  return told === undefined ? null : Number(told);
}

/** The description that one of them would fetch from the web; the one our catalog is made from. */
function openApiSpec(): string {
  const module = `${catalog.module}@${catalog.version}`;
  const { Dir } = JSON.parse(execFileSync('go', ['mod', 'download', '-json', module], { encoding: 'utf8' })) as {
    Dir: string;
  };
  return join(Dir, catalog.file);
}

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}
