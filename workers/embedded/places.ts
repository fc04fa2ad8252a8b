import { createHash } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, mkdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Whether this process may act for other users. Postgres refuses to run then, so its server gets a user of its own. */
export const isRoot = process.getuid?.() === 0;

const uid = process.getuid?.() ?? 'user';

/**
 * Whether a user who is neither owner nor in the group can reach `path`: every folder above it must let others pass
 * (`o+x`). A path that does not exist yet counts as reachable when the part that exists is.
 */
export function reachableByOthers(path: string): boolean {
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    if (existsSync(folder) && (statSync(folder).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** The folder of the project's `package.json`, found upwards from this file, so that it holds for `dist/` too. */
export function checkoutFolder(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
  }
  throw new Error(`No package.json was found in ${start} or above it; start syncline from a whole checkout`);
}

/**
 * Where the servers of this checkout keep their data unless SYNCLINE_DATA_DIR says otherwise: `.syncline/` in the
 * checkout. Root with a checkout below a closed folder (`/root` has mode 0700) gets
 * `/var/tmp/syncline-<uid>-<hash of the checkout's path>` instead, as the Postgres user could not enter the checkout.
 */
export function defaultDataDir(checkout = checkoutFolder()): string {
  const inside = join(checkout, '.syncline');
  if (!isRoot || reachableByOthers(inside)) return inside;
  const key = createHash('sha256').update(checkout).digest('hex').slice(0, 12);
  const outside = join('/var/tmp', `syncline-${uid}-${key}`);
  if (existsSync(outside)) assertOurs(outside);
  return outside;
}

/** Both places have names that can be guessed, in folders open to everyone: somebody else may have been there first. */
function assertOurs(folder: string): void {
  const found = lstatSync(folder);
  if (found.isDirectory() && (uid === 'user' || found.uid === uid) && (found.mode & 0o022) === 0) return;
  throw new Error(
    `${folder} is not safe to use: owner ${found.uid}, mode ${(found.mode & 0o777).toString(8)}; accepted: a folder of ` +
      `user ${uid} that only its owner may write to. Remove it, or set SYNCLINE_DATA_DIR and TMPDIR to folders of your own`,
  );
}

/**
 * A folder of this user for programs that are kept between runs, `syncline-cache-<uid>` in the temporary folder (in
 * `/var/tmp` when we are root and other users cannot reach that). One that others may write to is refused: we would run
 * what stands in it.
 */
export function cacheFolder(): string {
  const parent = isRoot && !reachableByOthers(join(tmpdir(), 'x')) ? '/var/tmp' : tmpdir();
  const folder = join(parent, `syncline-cache-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o711 });
  assertOurs(folder);
  // The umask may have taken the pass for others away, which the Postgres user needs.
  if ((lstatSync(folder).mode & 0o111) !== 0o111) chmodSync(folder, 0o711);
  return folder;
}
