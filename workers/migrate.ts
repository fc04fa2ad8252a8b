import { migrate } from '../db/migrate.ts';
import { loadConfig } from './config.ts';
import { findDatabaseUrl } from './embedded/servers.ts';

/** `npm run db:migrate`: brings the tables of the database in use up to date. Workers do it at their start too. */
const url = findDatabaseUrl(loadConfig());
if (url === undefined) {
  process.stderr.write('No database: set DATABASE_URL, or start one beside a worker with: npm start\n');
  process.exitCode = 1;
} else {
  await migrate(url);
  process.stdout.write(`The tables of ${new URL(url).host}${new URL(url).pathname} are up to date.\n`);
}
