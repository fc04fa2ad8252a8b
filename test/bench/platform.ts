import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Agent } from 'undici';
import { copyRows } from '../../db/stage.ts';
import type { RowsOptions } from '../../sandbox/rows.ts';
import type { StreamResult } from '../../workflows/platform.stream.ts';
import type { PlatformSyncResult } from '../../workflows/platform.ts';
import { openRig, type Rig, root } from './rig.ts';
import type { Figures } from './table.ts';

const rowCount = 200_000;
const pageRows = 100;
/** The goals of issue and design, by case. */
const loads = {
  'latency=0': { latencyMs: 0, rps: null, inFlight: 4, goal: 0.5 },
  'latency=100,rps=25': { latencyMs: 100, rps: 25, inFlight: 8, goal: 0.96 },
  'latency=100': { latencyMs: 100, rps: null, inFlight: 32, goal: 0.8 },
} as const;

/** Cases by name, each with rows spread evenly in time and clustered: 99 % of them in 1 % of the time. */
export const platformCases: Record<string, (figures: Figures, name: string) => Promise<void>> = Object.fromEntries([
  ...Object.entries(loads).flatMap(([name, load]) =>
    (['even', 'clustered'] as const).map((spread) => [
      `${name},spread=${spread}`,
      (figures: Figures, of: string) => fullCase(figures, of, { ...load, spread }),
    ]),
  ),
  ['incremental=1pct', incrementalCase],
  ['kill=1', killCase],
]);

type Load = (typeof loads)[keyof typeof loads] & { spread: RowsOptions['spread'] };

async function fullCase(
  figures: Figures,
  name: string,
  { latencyMs, rps, inFlight, goal, spread }: Load,
): Promise<void> {
  const source = await startRows({ rows: rowCount, spread, latencyMs, rps });
  const rig = await openPlatformRig();
  try {
    const limit = rps === null ? await bareRead(rig, source.url, inFlight) : rps * pageRows;
    const before = await source.counts();
    const connection = await rig.connect('rows', source.url, null, {
      parallel: inFlight,
      ...(rps !== null && { requestsPerSecond: rps }),
    });
    const ran = await rig.runPlatform(connection);
    const after = await source.counts();
    await expectRows(rig, connection);
    const requests = after.requests - before.requests;
    const speed = rowCount / ran.seconds;
    figures.add(name, 'limit_rows_per_s', limit, '');
    figures.add(name, 'rows_per_s', speed, '');
    figures.add(name, 'ratio', speed / limit, '', { atLeast: goal });
    figures.add(name, 'requests_per_full_page', requests / (rowCount / pageRows), '', { atMost: 1.1 });
    figures.add(name, 'refused', after.refused - before.refused, '', { atMost: requests / 1_000 });
    figures.add(name, 'worker_rss_mb', rig.rssMb(), 'MB', { atMost: 250 });
    figures.add(name, 'history_events', (ran.events * 1_000_000) / rowCount, 'per million rows', { atMost: 3_000 });
  } finally {
    await rig.close();
    await source.stop();
  }
}

async function incrementalCase(figures: Figures, name: string): Promise<void> {
  const source = await startRows({ rows: rowCount, spread: 'even', latencyMs: 0, rps: null });
  const rig = await openPlatformRig();
  try {
    const connection = await rig.connect('rows', source.url, null, { parallel: 8 });
    await rig.runPlatform(connection);
    await source.change();
    const before = await source.counts();
    const ran = await rig.runPlatform(connection);
    const { requests } = await source.counts();
    const written = streamOf(ran.result).written;
    if (written !== rowCount / 100)
      throw new Error(`${written} of ${rowCount / 100} changed rows came: no figure is given`);
    figures.add(name, 'incremental_1pct_s', ran.seconds, 's');
    figures.add(name, 'requests_per_full_page', (requests - before.requests) / (rowCount / 100 / pageRows), '');
  } finally {
    await rig.close();
    await source.stop();
  }
}

/** The worker is killed in the middle; another one takes over. */
async function killCase(figures: Figures, name: string): Promise<void> {
  const source = await startRows({ rows: rowCount, spread: 'even', latencyMs: 20, rps: null });
  const rig = await openPlatformRig();
  try {
    const connection = await rig.connect('rows', source.url, null, { parallel: 8 });
    const began = performance.now();
    const whole = rig.runPlatform(connection);
    const half = rowCount / pageRows / 2;
    while ((await source.counts()).requests < half) await new Promise((go) => setTimeout(go, 50));
    const seconds = (performance.now() - began) / 1_000;
    await rig.killWorker();
    const pagesBefore = (await source.counts()).requests;
    await rig.startWorker();
    await whole;
    const { requests } = await source.counts();
    await expectRows(rig, connection);
    const needed = rowCount / pageRows;
    // About a second of pages: what the worker asked for in a second before it was killed.
    figures.add(name, 'kill_repeated_requests', Math.max(0, requests - needed), '', { atMost: pagesBefore / seconds });
    figures.add(name, 'requests_before_kill', pagesBefore, '');
  } finally {
    await rig.close();
    await source.stop();
  }
}

type PlatformRig = Rig & {
  runPlatform(connection: string): Promise<{ result: PlatformSyncResult; seconds: number; events: number }>;
};

async function openPlatformRig(): Promise<PlatformRig> {
  const rig = await openRig({
    SYNCLINE_CONNECTORS: join(root, 'dist/sandbox/rows.connector.js'),
    SYNCLINE_POOL_SIZE: '40',
  });
  return {
    ...rig,
    runPlatform: (connection) => rig.runType<PlatformSyncResult>('platformSync', { connection }, ['orders']),
  };
}

function streamOf(result: PlatformSyncResult): StreamResult {
  const [orders] = result.streams;
  if (!orders || !('rows' in orders)) throw new Error(`The stream ended as ${orders?.outcome}`);
  return orders;
}

/** A benchmark of a sync that lost rows is no benchmark. */
async function expectRows(rig: Rig, connection: string): Promise<void> {
  const { rows } = await rig.pool.query(
    'SELECT count(*)::int AS n FROM rows.orders WHERE connection_id = $1 AND deleted_at IS NULL',
    [connection],
  );
  if (rows[0].n !== rowCount) throw new Error(`The copy holds ${rows[0].n} rows of ${rowCount}: no figure is given`);
}

/** The physical limit: the same pages with as many requests in flight, parsed and copied into an unlogged table. */
async function bareRead(rig: Rig, base: string, inFlight: number): Promise<number> {
  const agent = new Agent({ connections: inFlight });
  await rig.pool.query('DROP TABLE IF EXISTS bare_rows; CREATE UNLOGGED TABLE bare_rows (id text, data jsonb)');
  const client = await rig.pool.connect();
  let writing: Promise<void> = Promise.resolve();
  let batch: [string, string][] = [];
  let page = 0;
  const began = performance.now();
  const flush = async () => {
    const rows = batch;
    batch = [];
    const before = writing;
    writing = before.then(() => copyRows(client, 'bare_rows', ['id', 'data'], rows));
    await before;
  };
  const lane = async () => {
    while (page < rowCount / pageRows) {
      const path = `/orders?from=0&to=${Number.MAX_SAFE_INTEGER}&cursor=${page++ * pageRows}`;
      const answer = await agent.request({ origin: base, path, method: 'GET' });
      const { data } = (await answer.body.json()) as { data: { items: { id: string }[] } };
      for (const item of data.items) batch.push([item.id, JSON.stringify(item)]);
      if (batch.length >= 20 * pageRows) await flush();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  await flush();
  await writing;
  client.release();
  await agent.close();
  return rowCount / ((performance.now() - began) / 1_000);
}

interface RowsProcess {
  url: string;
  change(): Promise<void>;
  counts(): Promise<{ requests: number; refused: number }>;
  stop(): Promise<void>;
}

async function startRows(options: RowsOptions): Promise<RowsProcess> {
  const child: ChildProcess = spawn(process.execPath, [join(root, 'dist/sandbox/rows.js'), JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  const read = async <T>() => JSON.parse((await lines.next()).value as string) as T;
  const { url } = await read<{ url: string }>();
  const ask = async <T>(command: string) => {
    child.stdin?.write(`${command}\n`);
    return read<T>();
  };
  return {
    url,
    change: async () => void (await ask('change')),
    counts: () => ask('counts'),
    async stop() {
      child.stdin?.end();
      await ended;
    },
  };
}
