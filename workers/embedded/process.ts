import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** A process that can be told apart from a later one with the same number. */
export interface ProcessIdentity {
  pid: number;
  /** When it began, in the words of the operating system; only good for comparing. */
  started: string;
  /** Program and arguments, joined by single spaces. */
  command: string;
}

/** Describes the process `pid`, or gives `undefined` when there is none (one that ended and waits for its parent is none). */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    return process.platform === 'linux' ? fromProc(pid) : fromPs(pid);
  } catch {
    // Gone between two reads, or not ours to look at: either way not a process that we may touch.
    return undefined;
  }
}

function fromProc(pid: number): ProcessIdentity | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the name in brackets and may hold spaces; field 3 is the state, field 22 the start.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  return { pid, started: fields[19] ?? '', command };
}

function fromPs(pid: number): ProcessIdentity | undefined {
  const line = execFileSync('ps', ['-ww', '-p', String(pid), '-o', 'stat=,lstart=,command='], { encoding: 'utf8' });
  const match = /^\s*(\S+)\s+(\S+\s+\S+\s+\S+\s+\S+\s+\S+)\s+(.*)$/.exec(line.trim());
  if (!match?.[2] || match[1]?.startsWith('Z')) return undefined;
  return { pid, started: match[2], command: match[3] ?? '' };
}

/** Whether exactly this process still runs; another one that got its number later is not it. */
export function isRunning(identity: Pick<ProcessIdentity, 'pid' | 'started'>): boolean {
  return identify(identity.pid)?.started === identity.started;
}

/** Sends `signal` to exactly this process; does nothing when it has ended. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Ends a process and returns when it is gone. Each step is a signal and the milliseconds to wait for its effect before
 * the next one; throws when the process outlives the last.
 */
export async function endProcess(identity: ProcessIdentity, steps: [NodeJS.Signals, number][]): Promise<void> {
  for (const [signal, waitMs] of steps) {
    signalProcess(identity, signal);
    const deadline = Date.now() + waitMs;
    while (Date.now() < deadline) {
      if (!isRunning(identity)) return reaped(identity.pid);
      await delay(20);
    }
  }
  if (!isRunning(identity)) return reaped(identity.pid);
  const tried = steps.map(([signal]) => signal).join(', ');
  throw new Error(
    `Process ${identity.pid} (${identity.command.slice(0, 80)}) did not end after ${tried}; end it by hand`,
  );
}

/**
 * Waits, for a second at most, until an ended process is collected by its parent. Until then its number still answers,
 * and Postgres refuses to start beside a lock file of a number that answers.
 */
async function reaped(pid: number): Promise<void> {
  const deadline = Date.now() + 1_000;
  while (Date.now() < deadline && existsSync(`/proc/${pid}`)) await delay(5);
}

const stoppers = new Set<() => void>();
const endingSignals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
let handlersInstalled = false;

/**
 * Runs `stop` when this process ends, whether by itself, by an uncaught error or by SIGINT, SIGTERM or SIGHUP. `stop`
 * must be synchronous, as nothing asynchronous runs any more. Returns a function that takes it back.
 *
 * A signal that something else listens to as well is left to it (a worker drains its activities first and needs the
 * servers for that); the servers then stop when the process exits. Otherwise the signal is raised again, so that the
 * caller sees how the process ended.
 */
export function stopOnExit(stop: () => void): () => void {
  if (!handlersInstalled) {
    handlersInstalled = true;
    process.on('exit', stopAll);
    for (const signal of endingSignals) process.on(signal, onEndingSignal);
  }
  stoppers.add(stop);
  return () => stoppers.delete(stop);
}

function stopAll(): void {
  for (const stop of stoppers) stop();
  stoppers.clear();
}

function onEndingSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  stopAll();
  process.off(signal, onEndingSignal);
  process.kill(process.pid, signal);
}
