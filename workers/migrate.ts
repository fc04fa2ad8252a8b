import { migrate } from '../db/migrate.ts';
import { plainMessage } from './cli/trouble.ts';
import { loadConfig } from './config.ts';
import { findDatabaseUrl } from './embedded/servers.ts';

/** `npm run db:migrate`: brings the tables of the database in use up to date. Workers do it at their start too. */
const url = findDatabaseUrl(loadConfig());
const failed = (message: string) => {
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
};
if (url === undefined) failed('No database: set DATABASE_URL, or start one beside a worker with: npm start');
else
  await migrate(url).then(
    () => void process.stdout.write(`The tables of ${new URL(url).host}${new URL(url).pathname} are up to date.\n`),
    (error) => failed(`syncline: ${plainMessage(error)}`),
  );
