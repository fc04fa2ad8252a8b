import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createPool, type Pool } from '../../db/client.ts';
import { migrate } from '../../db/migrate.ts';
import { startPostgres } from '../../workers/embedded/postgres.ts';
import { type Figures as Budget, everyoneBusy, limits, othersBeside, ownLimits } from '../budget/figures.ts';
import { openRig, type Rig } from '../budget/rig.ts';
import type { Figures } from './table.ts';

/** The budget alone: eight workers in processes of their own, a platform that only counts, a Postgres that flushes to disk. */
export const budgetCases: Record<string, (figures: Figures, name: string) => Promise<void>> = {
  busy: (figures, name) =>
    onRig(async (rig, pool) => {
      const { fairness, ...rest } = await watched(figures, name, pool, () => everyoneBusy(rig, 20_000));
      report(figures, name, rest);
      figures.add(name, 'fairness', fairness, '', { atLeast: 0.95 });
    }),
  limits: (figures, name) =>
    onRig(async (rig, pool) => {
      const { fairness, slowUse, fastUse, ...rest } = await watched(figures, name, pool, () => ownLimits(rig, 20_000));
      report(figures, name, rest);
      figures.add(name, 'use_of_own_limit', slowUse, '', { atLeast: 0.95 });
      figures.add(name, 'use_of_the_rest', fastUse, '', { atLeast: 0.95 });
      figures.add(name, 'fairness', fairness, '', { atLeast: 0.95 });
    }),
  hot: (figures, name) =>
    onRig(async (rig, pool) => {
      const without = await othersBeside(rig, 40, false);
      const { lastMs, meanMs, ...rest } = await watched(figures, name, pool, () => othersBeside(rig, 40, true));
      report(figures, name, rest);
      figures.add(name, 'others_last', lastMs / without.lastMs, '×', { atMost: 1.1 });
      figures.add(name, 'others_mean', meanMs / without.meanMs, '×', { atMost: 1.1 });
    }),
};

function report(figures: Figures, name: string, f: Budget): void {
  figures.add(name, 'use', f.use, '', { atLeast: 0.95 });
  figures.add(name, 'refused_in_1000', f.refusedShare * 1000, '', { atMost: 1 });
  figures.add(name, 'sent_away', f.later, '');
  figures.add(name, 'stood_still', f.stoodMs, 'ms');
}

async function onRig(work: (rig: Rig, pool: Pool) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-budget-'));
  // The OS user `postgres` must be able to walk through it when we run as root.
  chmodSync(folder, 0o755);
  const server = await startPostgres({ dataDir: join(folder, 'postgres'), durable: true });
  await migrate(server.url);
  const pool = createPool({ url: server.url, size: 2, name: 'syncline bench' });
  const rig = await openRig({ databaseUrl: server.url, limits, processes: 8, workersInEach: 1 });
  try {
    await work(rig, pool);
  } finally {
    await rig.close();
    await pool.end();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What Postgres has to do for it: processor time, statements, backends that wait for a lock, log written. */
async function watched<T>(figures: Figures, name: string, pool: Pool, work: () => Promise<T>): Promise<T> {
  const before = await postgresNow(pool);
  let over = false;
  let looks = 0;
  let locked = 0;
  const looking = (async () => {
    for (; !over; looks++) {
      const { rows } = await pool.query(
        `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'budget worker' AND wait_event_type = 'Lock'`,
      );
      locked += rows[0].n;
      await delay(20);
    }
  })();
  const result = await work();
  over = true;
  await looking;
  const after = await postgresNow(pool);
  const seconds = (after.at - before.at) / 1000;
  figures.add(name, 'postgres_cpu', ((after.cpuMs - before.cpuMs) / seconds / 1000) * 100, '% of a core');
  // The looks are statements too.
  figures.add(name, 'statements', (after.statements - before.statements - looks) / seconds, '/s');
  figures.add(name, 'backends_locked', locked / looks, '');
  figures.add(name, 'wal', (after.wal - before.wal) / seconds / 1000, 'kB/s');
  return result;
}

const msPerTick = 10;

async function postgresNow(pool: Pool) {
  const { rows: pids } = await pool.query(
    `SELECT pid FROM pg_stat_activity WHERE application_name = 'budget worker' OR backend_type <> 'client backend'`,
  );
  const { rows } = await pool.query(
    `SELECT xact_commit::float8 AS statements, (pg_current_wal_lsn() - '0/0')::float8 AS wal FROM pg_stat_database WHERE datname = current_database()`,
  );
  const cpuMs = pids.map(({ pid }) => cpuOf(pid)).reduce((a, b) => a + b, 0);
  return { at: performance.now(), cpuMs, statements: rows[0].statements, wal: rows[0].wal };
}

/** User and system time of a process, ms: fields 14 and 15 of its stat (proc(5)), counted behind the name in brackets. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * msPerTick;
}
