import { installCapture, removeCapture } from '../../db/capture.ts';
import type { Pool } from '../../db/client.ts';
import { storedConnection } from '../../db/connections.ts';
import type { HubspotSandboxOptions } from '../../sandbox/hubspot.ts';
import { type HubspotProcess, startHubspotProcess } from '../../sandbox/process.ts';
import type { HubspotSyncResult } from '../../workflows/hubspot.ts';
import { bisectOnly, naiveLoop, oneByOne, preparedBodies } from './hubspot.peers.ts';
import type { orgCases } from './org.ts';
import { openRig, type Rig } from './rig.ts';
import type { Figures } from './table.ts';

/** Calls in 10 s of a professional account, and the latency of its answers. */
const limit = { burst: 190, daily: 100_000_000 };
const latencyMs = 200;
const badName = 'Mallory';
/** What no catalog tells. */
const rules = { firstname: `^(?!${badName})` };
const quickest = { callsPerWindow: 10_000 };

export const hubspotCases: typeof orgCases = {
  'limited-60000': (figures, name) => limited(figures, name, 60_000),
  'limited-1000000': (figures, name) => limited(figures, name, 1_000_000),
  'unlimited-60000': (figures, name) => unlimited(figures, name, 60_000),
  'unlimited-1000000': (figures, name) => unlimited(figures, name, 1_000_000),
  'bad-0.1-percent': (figures, name) => badRows(figures, name, 1_000),
  'bad-1-percent': (figures, name) => badRows(figures, name, 100),
  'all-or-nothing': allOrNothing,
  'changed-600': changedFew,
  capture: captureOverhead,
};

/** All rows dirtied by one UPDATE, against the limit of an account. */
async function limited(figures: Figures, name: string, rows: number): Promise<void> {
  await within({ rows, sandbox: { limits: limit, latencyMs } }, async (bench) => {
    await bench.dirtyAll();
    const { result, seconds } = await bench.run();
    const { refused, byName } = await bench.source.calls();
    figures.add(name, 'rows_per_s', rows / seconds, '');
    figures.add(name, 'ratio_to_limit', rows / seconds / ((limit.burst / 10) * 100), '', { atLeast: 0.95 });
    figures.add(name, 'calls_per_batch', result.calls / (rows / 100), '', { atMost: 1.01 });
    figures.add(name, 'refused_in_1000_calls', (1_000 * refused) / (byName.upsert ?? 1), '', { atMost: 1 });
    figures.add(name, 'worker_rss_mb', bench.rig.rssMb(), 'MB', { atMost: 200 });
  });
}

/** The same without limit and latency, beside a naive loop and beside prepared bodies without a database. */
async function unlimited(figures: Figures, name: string, rows: number): Promise<void> {
  await within({ rows, sandbox: { limits: null }, options: quickest }, async (bench) => {
    await bench.dirtyAll();
    const { result, seconds } = await bench.run();
    figures.add(name, 'rows_per_s', rows / seconds, '', { atLeast: 15_000 });
    figures.add(name, 'calls_per_batch', result.calls / (rows / 100), '', { atMost: 1.01 });
    figures.add(name, 'worker_rss_mb', bench.rig.rssMb(), 'MB', { atMost: 200 });
    const some = Math.min(rows, 60_000);
    const prepared = await preparedBodies(bench.pool, bench.source, some, 16);
    const naive = await naiveLoop(bench.pool, bench.source, some);
    figures.add(name, 'naive_loop_rows_per_s', naive, '');
    figures.add(name, 'prepared_bodies_rows_per_s', prepared, '');
    figures.add(name, 'ratio_to_limit', rows / seconds / prepared, '');
  });
}

/** One bad row in so many: calls a batch, beside the two ways that know nothing of trace ids. */
async function badRows(figures: Figures, name: string, every: number): Promise<void> {
  const rows = 20_000;
  const options = { ...quickest, isolationCalls: 100_000 };
  // Anywhere, as bad rows are: some batches have none and some have several.
  const spoil = async ({ pool }: Bench) => {
    const spoilt = await pool.query(
      `UPDATE bench.users SET name = '${badName} ' || id WHERE abs(hashint8(id)) % ${every} = 0`,
    );
    return spoilt.rowCount ?? 0;
  };
  await within({ rows, sandbox: { limits: null, rules }, options }, async (bench) => {
    const bad = await spoil(bench);
    const { result } = await bench.run();
    expectParked(result, bad);
    figures.add(name, 'calls_per_batch', result.calls / (rows / 100), '', { atMost: 1.01 });
    figures.add(name, 'parked_rows', result.refusedThere, '', { atLeast: bad });
  });
  await within({ rows, sandbox: { limits: null, rules, mode: 'all-or-nothing' }, options }, async (bench) => {
    const bad = await spoil(bench);
    const { result } = await bench.run();
    expectParked(result, bad);
    figures.add(name, 'calls_per_batch_without_trace_ids', result.calls / (rows / 100), '');
    figures.add(name, 'bisect_only_calls_per_batch', await bisectOnly(bench.pool, bench.source, rows), '');
    figures.add(name, 'one_by_one_calls_per_batch', await oneByOne(bench.pool, bench.source, rows), '');
  });
}

function expectParked({ refusedThere, written }: HubspotSyncResult, bad: number): void {
  if (refusedThere !== bad)
    throw new Error(`${refusedThere} rows are parked of ${bad} that are bad; ${written} written: no figure is given`);
}

async function allOrNothing(figures: Figures, name: string): Promise<void> {
  const rows = 60_000;
  await within({ rows, sandbox: { limits: null, rules, mode: 'all-or-nothing' }, options: quickest }, async (bench) => {
    await bench.pool.query(`UPDATE bench.users SET name = '${badName}' WHERE id = 31337`);
    const { result } = await bench.run();
    figures.add(name, 'extra_calls', result.calls - rows / 100, '', { atMost: 14 });
    figures.add(name, 'parked_rows', result.refusedThere, '', { atMost: 1 });
    figures.add(name, 'written_rows', result.written, '', { atLeast: rows - 1 });
  });
}

async function changedFew(figures: Figures, name: string): Promise<void> {
  const rows = 60_000;
  await within({ rows, sandbox: { limits: null }, options: quickest }, async (bench) => {
    await bench.run();
    const scanned = async () => {
      const { rows: found } = await bench.pool.query(
        `SELECT seq_tup_read::int AS n FROM pg_stat_user_tables WHERE schemaname = 'bench' AND relname = 'users'`,
      );
      return found[0].n as number;
    };
    await bench.pool.query(
      `UPDATE bench.users SET name = 'changed' WHERE id = ANY (ARRAY(SELECT i * 100 FROM generate_series(1, 600) i))`,
    );
    await bench.pool.query('SELECT pg_stat_force_next_flush()');
    const [calls, before] = [(await bench.source.calls()).all, await scanned()];
    const { result, seconds } = await bench.run();
    await bench.settled();
    figures.add(name, 'calls', (await bench.source.calls()).all - calls, '', { atMost: 7 });
    figures.add(name, 'rows_scanned', (await scanned()) - before, '', { atMost: 0 });
    figures.add(name, 'rows_looked_at', result.looked, '', { atMost: 600 });
    figures.add(name, 'seconds', seconds, 's');
  });
}

/** UPDATE of 1,000,000 rows with and without the triggers, each twice, the quicker of each. */
async function captureOverhead(figures: Figures, name: string): Promise<void> {
  await within(
    { rows: 1_000_000, sandbox: { limits: null }, capture: false },
    async ({ pool, connection, mapping }) => {
      const owner = await storedConnection(pool, connection);
      const update = async (column: string) => {
        let least = Number.POSITIVE_INFINITY;
        for (let i = 0; i < 2; i++) {
          await pool.query('VACUUM bench.users');
          const began = performance.now();
          await pool.query(`SET statement_timeout = 0; UPDATE bench.users SET ${column}`);
          least = Math.min(least, (performance.now() - began) / 1_000);
          if (await isThere(pool, owner.no)) await pool.query(`TRUNCATE syncline_capture.log_${owner.no}`);
        }
        return least;
      };
      const bare = await update('orders = orders + 1');
      await installCapture(pool, owner, mapping as never);
      const captured = await update('orders = orders + 1');
      const unmapped = await update(`note = 'x' || id`);
      figures.add(name, 'bare_update_s', bare, 's');
      figures.add(name, 'captured_update_s', captured, 's');
      figures.add(name, 'capture_overhead_ratio', captured / bare, '', { atMost: 2.5 });
      figures.add(name, 'overhead_ratio_of_an_unmapped_column', unmapped / bare, '', { atMost: 2.5 });
      await removeCapture(pool, owner);
    },
  );
}

async function isThere(pool: Pool, no: number): Promise<boolean> {
  return (await pool.query(`SELECT to_regclass('syncline_capture.log_${no}') IS NOT NULL AS there`)).rows[0].there;
}

interface Bench {
  rig: Rig;
  pool: Pool;
  source: HubspotProcess;
  connection: string;
  mapping: Record<string, unknown>;
  /** One UPDATE of all rows, behind a first look at them that found them sent. */
  dirtyAll(): Promise<void>;
  run(): Promise<{ result: HubspotSyncResult; seconds: number }>;
  /** The worker's statistics have reached the server. */
  settled(): Promise<void>;
}

interface BenchSetting {
  rows: number;
  sandbox: HubspotSandboxOptions;
  options?: Record<string, unknown>;
  capture?: boolean;
}

async function within(
  { rows, sandbox, options = {}, capture = true }: BenchSetting,
  work: (bench: Bench) => Promise<void>,
): Promise<void> {
  const source = await startHubspotProcess(sandbox);
  const rig = await openRig();
  try {
    const { pool } = rig;
    await makeTable(pool);
    const connection = await rig.connect('hubspot', source.url, source.token, { mapping, ...options });
    if (capture) await installCapture(pool, await storedConnection(pool, connection), mapping as never);
    const run = async () => {
      const { result, seconds } = await rig.runType<HubspotSyncResult>('hubspotSync', { connection }, []);
      // Rows that were read ahead when a slice ended are looked at again by the next.
      if (result.looked < result.written + result.unchanged + result.refusedHere + result.refusedThere)
        throw new Error(`The run counts wrong: ${JSON.stringify(result)}`);
      return { result, seconds };
    };
    // A first run looks at everybody, whatever the log holds: that of an ordinary day is measured.
    if (capture) await run();
    await makeUsers(pool, rows);
    await work({
      rig,
      pool,
      source,
      connection,
      mapping,
      run,
      async dirtyAll() {
        // Each change stands in the log once. Emptied by TRUNCATE it would be another log, and everybody were looked at.
        const { no } = await storedConnection(pool, connection);
        await pool.query(`DELETE FROM syncline_capture.log_${no}`);
        await pool.query(`VACUUM syncline_capture.log_${no}`);
        await pool.query('SET statement_timeout = 0; UPDATE bench.users SET orders = orders + 1');
      },
      async settled() {
        // A backend tells its statistics once it has been idle for a moment, at the latest when it ends.
        await rig.killWorker();
        await rig.startWorker();
      },
    });
  } finally {
    await rig.close();
    await source.stop();
  }
}

const mapping = {
  from: 'bench.users',
  key: 'id',
  idProperty: 'app_user_id',
  leave: 'leave',
  leaveValues: {},
  properties: {
    email: { sql: 'u.email', type: 'string' },
    firstname: { sql: 'u.name', type: 'string' },
    app_plan: { sql: 'u.plan', type: 'enumeration' },
    app_signed_up: { sql: 'u.signed_up', type: 'date' },
    app_seen_at: { sql: 'u.seen_at', type: 'datetime' },
    app_orders: { sql: 'u.orders', type: 'number' },
    app_active: { sql: 'u.active', type: 'bool' },
  },
  tables: {},
  columns: [],
};

async function makeTable(pool: Pool): Promise<void> {
  await pool.query(`CREATE SCHEMA bench;
    CREATE TABLE bench.users (id bigint PRIMARY KEY, email text, name text, plan text, signed_up date, seen_at timestamptz, orders int, active boolean, note text)`);
}

async function makeUsers(pool: Pool, rows: number): Promise<void> {
  await pool.query(`INSERT INTO bench.users SELECT i, 'user' || i || '@example.org', 'Name ' || i, (ARRAY['free', 'team', 'enterprise'])[1 + i % 3], DATE '2020-01-01' + (i % 900)::int,
      TIMESTAMPTZ '2026-01-01' + i * interval '1 minute', i % 50, i % 2 = 0, repeat('x', 200) FROM generate_series(1, ${rows}) i`);
  await pool.query('VACUUM ANALYZE bench.users');
}
