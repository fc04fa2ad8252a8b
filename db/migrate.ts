import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate as runMigrations } from 'drizzle-orm/node-postgres/migrator';
import { createPool } from './client.ts';

/** Any constant will do; it is ours alone. drizzle's migrate() fails when two workers start at once. */
const migrationLock = 7_274_501;
const oldestServer = 150_000;

/** Brings our own tables up to date. Safe from several processes at once; harmless when there is nothing to do. */
export async function migrate(databaseUrl: string): Promise<void> {
  const pool = createPool({ url: databaseUrl, size: 1, name: 'syncline migrate' });
  try {
    const client = await pool.connect();
    // Checked out, the client has no listener of the pool's: the next statement reports the broken connection.
    client.on('error', () => undefined);
    try {
      const { rows } = await client.query('SHOW server_version_num');
      if (Number(rows[0].server_version_num) < oldestServer) {
        throw new Error(`Postgres ${rows[0].server_version_num} is too old: Syncline needs server 15 or newer.`);
      }
      // An index on a big table takes longer than a chunk may, and so does waiting for the worker that builds it.
      await client.query('SET statement_timeout = 0');
      await client.query('SELECT pg_advisory_lock($1)', [migrationLock]);
      const migrationsFolder = fileURLToPath(new URL('./migrations', import.meta.url));
      await runMigrations(drizzle({ client }), { migrationsFolder });
      await client.query('SELECT pg_advisory_unlock($1)', [migrationLock]);
    } finally {
      client.release();
    }
  } finally {
    await pool.end();
  }
}
