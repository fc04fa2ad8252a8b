import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate as runMigrations } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';
import { type Client, createPool } from './client.ts';

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
      await runMigrations(drizzle({ client }), { migrationsFolder }).catch((error) => barred(client, error));
      await client.query('SELECT pg_advisory_unlock($1)', [migrationLock]);
    } finally {
      client.release();
    }
  } finally {
    await pool.end();
  }
}

/** No right to make our schemas: the error of drizzle quotes the statement, and says neither who nor where. */
async function barred(client: Client, error: Error & { code?: unknown; cause?: { code?: unknown; message?: string } }) {
  if ((error.code ?? error.cause?.code) !== '42501') throw error;
  const { rows } = await client.query(
    `SELECT current_user AS me, current_database() AS database, has_database_privilege(current_database(), 'CREATE') AS creates`,
  );
  const { me, database, creates } = rows[0];
  const id = pg.escapeIdentifier;
  const how = creates
    ? `: ${error.cause?.message ?? error.message}. It must own them; see docs/operate.md#rights-of-the-database-user`
    : `, which takes CREATE on the database. As its owner, or a superuser: GRANT CREATE ON DATABASE ${id(database)} TO ${id(me)};`;
  throw new Error(`The database user ${id(me)} may not make or change Syncline's own tables in ${id(database)}${how}`, {
    cause: error,
  });
}
