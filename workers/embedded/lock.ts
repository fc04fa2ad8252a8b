import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { identify, isRunning, type ProcessIdentity } from './process.ts';

export interface LockOptions {
  /** Milliseconds to wait for the process that holds the lock before giving up. */
  waitMs: number;
  /** Called once when the lock is held by another process. */
  onWait?: (holder: ProcessIdentity) => void;
}

/**
 * Runs `work` while holding the lock file `path`, so that one process of the machine at a time does. A lock whose holder
 * has ended, even by SIGKILL, is taken over. Throws when a living holder keeps it longer than `waitMs`.
 */
export async function withLock<T>(path: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + options.waitMs;
  let told = false;
  while (!tryLock(path)) {
    const holder = readHolder(path);
    if (!holder || !isRunning(holder)) {
      discardStale(path, holder);
      continue;
    }
    if (Date.now() > deadline) {
      const seconds = Math.round(options.waitMs / 1000);
      throw new Error(
        `${path} has been held by process ${holder.pid} (${holder.command.slice(0, 80)}) for ${seconds} s`,
      );
    }
    if (!told) options.onWait?.(holder);
    told = true;
    await delay(100);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

let attempts = 0;

// A hard link appears with its content in one step; a file opened with O_EXCL would be seen empty for a moment.
function tryLock(path: string): boolean {
  const draft = `${path}.${process.pid}.${attempts++}`;
  writeFileSync(draft, JSON.stringify(identify(process.pid)));
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(draft);
  }
}

function readHolder(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch {
    // Released in between, or cut short by a full disk: in both cases nobody holds it.
    return undefined;
  }
}

// Of several that found the same dead holder one moves the file away. Whoever moves a lock that was taken anew in between puts it back.
function discardStale(path: string, stale: ProcessIdentity | undefined): void {
  const aside = `${path}.stale.${process.pid}.${attempts++}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return;
  }
  const moved = readHolder(aside);
  if (moved && (moved.pid !== stale?.pid || moved.started !== stale.started)) renameSync(aside, path);
  else rmSync(aside);
}
