import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { identify, signalProcess, stopOnExit } from '../embedded/process.ts';
import { writeRecord } from '../embedded/record.ts';

/** A worker as `npm start` runs it, in a process of its own. */
export interface DemoWorker {
  readonly pid: number;
  /** Rejects when it ends without being told to, with what it wrote last. Never resolves. */
  readonly lost: Promise<never>;
  /** Waits for `work`, which needs this worker: fails when it is lost before. */
  with<T>(work: Promise<T>): Promise<T>;
  /** SIGKILL; resolves when it is gone. Harmless when it is. */
  kill(): Promise<void>;
  /** SIGTERM, and SIGKILL after 10 s; resolves when it is gone. */
  stop(): Promise<void>;
}

/** A worker ended that nobody ended; the message closes with what it wrote last. */
export class WorkerLost extends Error {
  override name = 'WorkerLost';
}

const readyLine = 'The worker runs';
const stopMs = 10_000;

/** Path of a program of this room, as source or as built, whichever this file is. */
export function programOf(name: string): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`../${name}.${extension}`, import.meta.url));
}

/** Starts a worker and returns when it polls. `env` is its whole environment. @throws Error with what it wrote, when it ends before. */
export async function startDemoWorker(folder: string, env: Record<string, string>): Promise<DemoWorker> {
  const child = spawn(process.execPath, [...process.execArgv, programOf('start')], {
    env,
    // A group of its own: Ctrl-C in the terminal is for the demo, which ends the worker itself.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (!identity) throw new Error(`The worker could not be started from ${process.execPath}`);
  const record = join(folder, 'worker.json');
  // For the next demo, should this process be killed: nobody else would end the worker then.
  writeRecord(record, { server: identity, ports: {}, settings: '' });
  const unregister = stopOnExit(() => signalProcess(identity, 'SIGKILL'));

  const closed = once(child, 'close');
  let wanted = false;
  const end = async (signal: NodeJS.Signals) => {
    wanted = true;
    child.kill(signal);
    await closed;
    unregister();
  };
  const output = tailOf(child);
  const lost = closed.then(() => {
    if (wanted) return new Promise<never>(() => undefined);
    const how = child.exitCode ?? child.signalCode;
    throw new WorkerLost(`The worker (process ${identity.pid}) ended with ${how}. It wrote:\n${output()}`);
  });
  // Whoever races against it gets the failure; before and after nobody listens.
  lost.catch(() => undefined);
  await Promise.race([spoken(child, readyLine), lost]);
  return {
    pid: identity.pid,
    lost,
    with: (work) => Promise.race([work, lost]),
    kill: () => end('SIGKILL'),
    async stop() {
      const over = new AbortController();
      const late = delay(stopMs, 'late', { signal: over.signal }).catch(() => undefined);
      const ending = end('SIGTERM');
      if ((await Promise.race([ending, late])) === 'late') child.kill('SIGKILL');
      over.abort();
      await ending;
    },
  };
}

function tailOf(child: ChildProcess): () => string {
  let written = '';
  const keep = (text: Buffer) => {
    written = `${written}${text}`.slice(-2_000);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  return () => written.trim() || '(nothing)';
}

function spoken(child: ChildProcess, line: string): Promise<void> {
  return new Promise((resolve) => {
    let said = '';
    const listen = (text: Buffer) => {
      said += text;
      if (!said.includes(line)) return;
      child.stdout?.off('data', listen);
      resolve();
    };
    child.stdout?.on('data', listen);
  });
}
