import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { identify, type ProcessIdentity, signalProcess } from './process.ts';

/** How a server is started and how to see that it serves. */
export interface LaunchPlan {
  /** Name for messages, such as `Postgres`. */
  name: string;
  program: string;
  args: string[];
  /** The whole environment of the server: what this process has in its own does not leak into it. */
  env: Record<string, string>;
  /** Run as this operating-system user instead of our own (only root can). */
  user?: { uid: number; gid: number };
  /** Receives all output; emptied at each start. A file and no pipe, so that the server outlives us without trouble. */
  logFile: string;
  /** Asked every 25 ms until it says yes; what it throws ends the start. */
  ready: (pid: number) => Promise<boolean>;
  /** Milliseconds until a server that neither serves nor ends is given up and killed. */
  readyWithinMs: number;
}

/** A server that ended, or did not serve, when it was started. `logTail` has the last lines it wrote. */
export class ServerStartError extends Error {
  readonly logTail: string;
  constructor(name: string, what: string, logFile: string, options?: ErrorOptions) {
    const logTail = tail(logFile);
    super(`${name} ${what}. Its log (${logFile}) ends with:\n${logTail || '(nothing)'}`, options);
    this.name = 'ServerStartError';
    this.logTail = logTail;
  }

  /** Whether the server could not have the port that it was given. */
  get portTaken(): boolean {
    return /address already in use|could not bind|could not create any TCP/i.test(this.logTail);
  }
}

function tail(file: string, lines = 15): string {
  if (!existsSync(file)) return '';
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

/**
 * Starts a server in a session of its own and returns when it serves. Of its own, since Ctrl-C reaches everything in the
 * terminal's foreground group: the database would be gone before the worker has drained. Throws `ServerStartError`.
 */
export async function launch(plan: LaunchPlan): Promise<ProcessIdentity> {
  const log = openSync(plan.logFile, 'w', 0o600);
  const child = spawn(plan.program, plan.args, {
    ...plan.user,
    cwd: '/',
    env: plan.env,
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let failure: Error | undefined;
  child.on('error', (error) => {
    failure = error;
  });
  child.unref();
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  const fail = (what: string, cause?: unknown) => {
    if (identity) signalProcess(identity, 'SIGKILL');
    return new ServerStartError(plan.name, what, plan.logFile, { cause });
  };
  const deadline = Date.now() + plan.readyWithinMs;
  while (Date.now() < deadline) {
    if (failure) throw fail(`could not be started from ${plan.program} (${failure.message})`, failure);
    if (child.exitCode !== null || child.signalCode !== null) {
      throw fail(`ended while starting (exit ${child.exitCode ?? child.signalCode})`);
    }
    try {
      if (identity && (await plan.ready(identity.pid))) return identity;
    } catch (error) {
      throw fail(`started but does not answer as it should (${(error as Error).message})`, error);
    }
    await delay(25);
  }
  throw fail(`did not serve within ${Math.round(plan.readyWithinMs / 1000)} s`);
}

/** Which port a server gets. */
export interface PortWish {
  /** Exactly this one; 0: any. */
  port: number;
  /** With `port` 0: this one when it is free. Default: one of the system's choice. */
  preferred?: number;
}

/**
 * Runs `start` with a port as wished. When any port will do it is tried again with another one as long as somebody else
 * was quicker to take it, five times at most.
 */
export async function onFreePort<T>(wish: PortWish, start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(wish.port || (await freePort(wish.preferred)));
    } catch (error) {
      const again = wish.port === 0 && attempt < 5 && error instanceof ServerStartError && error.portTaken;
      if (!again) throw error;
    }
  }
}

/**
 * A TCP port of 127.0.0.1 that nobody listens on at this moment: `preferred` when it is free, else one of the system's
 * choice. The latter is kept for the server that will take it, which needs a second or two to get there: until it has, two
 * of them could be given one port, and the slower one would take the other for itself. A connection that this side ended is
 * remembered by the system for a minute, and it gives such a port to nobody who does not name it.
 */
export async function freePort(preferred = 0): Promise<number> {
  const server = createServer((socket) => socket.end());
  const bound = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(preferred, '127.0.0.1', () => resolve(true));
  });
  if (!bound) {
    if (preferred === 0) throw new Error('No free TCP port is left on 127.0.0.1');
    return freePort();
  }
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('127.0.0.1 gave no TCP address');
  await once(connect(address.port, '127.0.0.1').resume(), 'close');
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}
