import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { isRoot, reachableByOthers } from './places.ts';
import { findPostgres, type PostgresProgram } from './postgres-program.ts';
import { endProcess, identify, type ProcessIdentity } from './process.ts';

const run = promisify(execFile);

/** A Postgres cluster on disk: what exists before and after a server runs on it. */
export interface Cluster {
  dir: string;
  /** The folder that Postgres itself owns. */
  data: string;
  recordFile: string;
  program: PostgresProgram;
  /** Environment of the programs: English messages, and none of our own PG* variables. */
  env: Record<string, string>;
  /** Makes the cluster unless it exists; `noSync` skips the flush to disk at the end. */
  initialise(noSync: boolean): Promise<void>;
  /** The password of the user `postgres`. */
  password(): Promise<string>;
  /** Stops a server that still runs on this cluster and removes the trace of one whose number another process has. */
  clearLeftover(steps: [NodeJS.Signals, number][]): Promise<void>;
}

/** Prepares the folder `dir` for a cluster. Throws when the user that Postgres runs as could not reach it. */
export async function openCluster(dir: string, options: { superuserPassword?: string }): Promise<Cluster> {
  const program = await findPostgres();
  mkdirSync(dir, { recursive: true });
  if (isRoot) openForServer(dir);
  const data = join(dir, 'data');
  const env = { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/bin:/bin' };
  const cluster = { dir, data, program, env, recordFile: join(dir, 'server.json') };
  return {
    ...cluster,
    initialise: (noSync) => initialise(cluster, noSync, options.superuserPassword),
    password: async () => storedPassword(dir, options.superuserPassword),
    clearLeftover: (steps) => clearLeftover(data, program, steps),
  };
}

function openForServer(dir: string): void {
  if (!reachableByOthers(dir)) {
    throw new Error(
      `The user "postgres", as which the server runs when started by root, cannot reach ${dir}: a folder above it is ` +
        'closed to other users. Accepted: a folder below ones with o+x, such as /var/tmp (SYNCLINE_DATA_DIR)',
    );
  }
  chmodSync(dir, 0o711);
}

type Folders = Pick<Cluster, 'dir' | 'data' | 'program' | 'env'>;

async function initialise({ dir, data, program, env }: Folders, noSync: boolean, wanted?: string): Promise<void> {
  if (existsSync(join(data, 'PG_VERSION'))) return;
  // Made beside its place and moved there when whole: a start that was killed half-way leaves nothing that looks like a cluster.
  const draft = join(dir, 'data.new');
  const passwordFile = join(dir, 'password.new');
  rmSync(draft, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  mkdirSync(draft, { mode: 0o700 });
  const password = wanted ?? randomBytes(18).toString('base64url');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (program.user) {
    for (const path of [draft, passwordFile]) chownSync(path, program.user.uid, program.user.gid);
  }
  const flags = [`--pgdata=${draft}`, '--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  // The locale that Postgres brings itself: the same order of texts on every machine.
  flags.push('--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8');
  try {
    await run(program.initdb, noSync ? [...flags, '--no-sync'] : flags, { ...program.user, env, cwd: '/' });
  } catch (error) {
    const output = (error as { stderr?: string }).stderr?.trim().split('\n').slice(-10).join('\n');
    throw new Error(`initdb could not make a cluster in ${draft}: ${output || (error as Error).message}`, {
      cause: error,
    });
  }
  renameSync(passwordFile, join(dir, 'password'));
  renameSync(draft, data);
}

function storedPassword(dir: string, wanted?: string): string {
  const file = join(dir, 'password');
  const password = readFileSync(file, 'utf8').trim();
  if (wanted === undefined || wanted === password) return password;
  throw new Error(
    `superuserPassword is not the one that the cluster in ${dir} was made with; that one stands in ${file}`,
  );
}

async function clearLeftover(data: string, program: PostgresProgram, steps: [NodeJS.Signals, number][]) {
  const pid = readPidFile(data)?.pid;
  if (pid === undefined) return;
  const found = identify(pid);
  if (found && isPostmasterOf(found, data, program)) await endProcess(found, steps);
  else disownPidFile(data);
}

/**
 * Puts a number that no process can have in place of the dead server's. Otherwise Postgres refuses to start while another
 * program, or a dead process that its parent does not collect, has the number. The file itself stays, as the rest of it
 * lets Postgres see sessions of the dead server that still end.
 */
function disownPidFile(data: string): void {
  const file = join(data, 'postmaster.pid');
  const [, ...rest] = readFileSync(file, 'utf8').split('\n');
  writeFileSync(file, [2 ** 31 - 1, ...rest].join('\n'));
}

function isPostmasterOf(found: ProcessIdentity, data: string, program: PostgresProgram): boolean {
  const [name, ...args] = found.command.split(' ');
  return basename(name ?? '') === basename(program.postgres) && ` ${args.join(' ')} `.includes(` -D ${data} `);
}

/** What a running server writes into its folder: its number and how far it is (`starting`, `ready`, `stopping`). */
export function readPidFile(data: string): { pid: number; status: string } | undefined {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
    const pid = Number(lines[0]);
    return Number.isInteger(pid) && pid > 0 ? { pid, status: lines[7]?.trim() ?? '' } : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
