import type { Client } from '@temporalio/client';
import type { Pool } from '../../db/client.ts';
import type { StoredConnection } from '../../db/connections.ts';
import { type Config, loadConfig } from '../config.ts';
import type { Terminal } from './terminal.ts';
import { CommandError, wrongUse } from './trouble.ts';

/** What a command works with. Connections are opened when a command first needs them: `rejects` works while Temporal is down. */
export interface Session {
  terminal: Terminal;
  config: Config;
  pool(): Promise<Pool>;
  client(): Promise<Client>;
  /** Address of the web UI of a server that a process of this machine started. */
  uiAddress(): Promise<string | undefined>;
  /** The connection of that name. @throws ConnectionUnknown, which lists the names there are. */
  connection(name: string): Promise<StoredConnection>;
  close(): Promise<void>;
}

const connectMs = 5_000;
/** What a connection or campaign may be called. */
export const namePattern = /^[a-z0-9][a-z0-9_-]{0,63}$/;

export function openSession(terminal: Terminal): Session {
  const config = loadConfig(terminal.env);
  let pool: Promise<Pool> | undefined;
  let client: Promise<Client> | undefined;
  const session: Session = {
    terminal,
    config,
    pool: () => {
      pool ??= openPool(config);
      return pool;
    },
    client: () => {
      client ??= openClient(config);
      return client;
    },
    async uiAddress() {
      const { findTemporalServer } = await import('../embedded/servers.ts');
      return findTemporalServer(config)?.uiAddress;
    },
    async connection(name) {
      checkName(name);
      const { storedConnection } = await import('../../db/connections.ts');
      return storedConnection(await session.pool(), name);
    },
    async close() {
      await (await pool?.catch(() => undefined))?.end();
      await (await client?.catch(() => undefined))?.connection.close();
    },
  };
  return session;
}

/** @throws CommandError (usage) for a name that no connection or campaign can have. */
export function checkName(name: string, what = 'connection'): void {
  if (!namePattern.test(name))
    throw wrongUse(
      `${what}: got "${name.slice(0, 40)}", accepted a name of 1-64 characters a-z, 0-9, - and _, beginning with a letter or digit`,
    );
}

async function openPool(config: Config): Promise<Pool> {
  const [{ createPool }, { findDatabaseUrl }] = await Promise.all([
    import('../../db/client.ts'),
    import('../embedded/servers.ts'),
  ]);
  const url = findDatabaseUrl(config);
  if (url === undefined) throw nothingRuns('Postgres', 'DATABASE_URL', config);
  return createPool({ url, size: 4, name: 'syncline cli' });
}

async function openClient(config: Config): Promise<Client> {
  const [{ connectClient }, { findTemporalServer }] = await Promise.all([
    import('../temporal.ts'),
    import('../embedded/servers.ts'),
  ]);
  const found = findTemporalServer(config);
  if (found === undefined) throw nothingRuns('Temporal', 'TEMPORAL_ADDRESS', config);
  const { temporal } = found;
  const connectionOptions = { ...temporal.connectionOptions, connectTimeout: connectMs };
  return connectClient({ ...temporal, connectionOptions });
}

function nothingRuns(server: string, variable: string, config: Config): CommandError {
  return new CommandError(
    `No ${server} to talk to: ${variable} is not set, and no process keeps one running in ${config.dataDir}. ` +
      `Start one in another terminal with: npm start`,
  );
}
