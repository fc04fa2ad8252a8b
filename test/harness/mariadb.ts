import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import mysql from 'mysql2/promise';
import { until } from './until.ts';

const run = promisify(execFile);
const server = '/usr/sbin/mariadbd';
const installer = '/usr/bin/mariadb-install-db';

export interface Mariadb {
  /** mysql://root:…@127.0.0.1:port */
  url: string;
  query(text: string, values?: unknown[]): Promise<mysql.RowDataPacket[]>;
  stop(): Promise<void>;
}

/** Null when a server can be started here, else the line that installs it. */
export function mariadbMissing(): string | null {
  return existsSync(server) && existsSync(installer) ? null : 'apt-get install -y mariadb-server';
}

/** Starts a real MariaDB on a free port of 127.0.0.1, with its files in a folder that `stop` removes. */
export async function startMariadb(): Promise<Mariadb> {
  const folder = await mkdtemp(join(tmpdir(), 'syncline-mariadb-'));
  await chmod(folder, 0o755);
  const user = userInfo().username;
  const files = ['--no-defaults', `--datadir=${join(folder, 'data')}`, `--user=${user}`];
  await run(installer, [...files, '--auth-root-authentication-method=normal', '--skip-test-db']);
  const port = await freePort();
  const child = spawn(
    server,
    [
      ...files,
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      `--socket=${join(folder, 's.sock')}`,
      `--pid-file=${join(folder, 'pid')}`,
      '--skip-log-bin',
      '--default-time-zone=+08:00',
    ],
    { stdio: 'ignore' },
  );
  const gone = once(child, 'exit');
  const url = `mysql://root@127.0.0.1:${port}`;
  const connection = await until(
    'MariaDB',
    () => mysql.createConnection({ uri: url, multipleStatements: false }).catch(() => null),
    30_000,
  );
  return {
    url,
    query: async (text, values = []) => (await connection.query<mysql.RowDataPacket[]>(text, values))[0],
    async stop() {
      await connection.end();
      child.kill('SIGTERM');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}
