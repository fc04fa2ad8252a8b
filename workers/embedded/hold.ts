import { withLock } from './lock.ts';
import { endProcess, isRunning, type ProcessIdentity, signalProcess, stopOnExit } from './process.ts';

/** Signals to end a server with, each with the milliseconds to wait for its effect. */
export type Shutdown = [NodeJS.Signals, number][];

/** What becomes of a server that ends without being told to. */
export interface Watch {
  /** Receives a line when the server was found dead and serves again, on the port it had. */
  onProgress?: (line: string) => void;
  /** Receives the reason when it cannot be brought back. Default: thrown, which ends the process. */
  onLost?: (reason: Error) => void;
}

/** A server in use: found running, or started here. */
export interface Opened {
  server: ProcessIdentity;
  /** True when another living process started it. */
  shared: boolean;
}

export interface HoldOptions extends Watch {
  /** Name for messages, such as `Postgres`. */
  name: string;
  /** Folder of its data; its file `start.lock` lets one process at a time start or stop the server. */
  dir: string;
  /** Milliseconds to wait for another process that starts or stops it. */
  waitMs: number;
  shutdown: Shutdown;
  /** Shares the server that runs, else starts one; on the port it had when it is called again. Called under the lock. */
  open(): Promise<Opened>;
}

/** A server that is looked after: it is started again when it dies. */
export interface Held {
  readonly pid: number;
  readonly shared: boolean;
  stop(): Promise<void>;
  crash(): Promise<void>;
  /** `between` runs while the server is down. */
  restart(between?: () => void): Promise<void>;
}

/** How often it is looked whether the server still runs. Its sessions fail until it is back, and are tried again by themselves. */
const lookMs = 1_000;
/** A server that dies more often has a reason of its own, such as a full disk, which no new start takes away. */
const deathsAllowed = 5;
const deathsWithinMs = 10 * 60_000;

/**
 * Opens a server and keeps it running as long as this process lives. One that died, or that its owner stopped while it was
 * shared, is started again on the same port by whoever sees it first; the others share that one. `stop` and `crash` end a
 * server that this process started, and only that: which process it is was noted when it began.
 */
export async function hold(options: HoldOptions): Promise<Held> {
  const locked = <T>(work: () => Promise<T>) => withLock(`${options.dir}/start.lock`, { waitMs: options.waitMs }, work);
  const [exitSignal] = options.shutdown[0] ?? ['SIGTERM'];
  let unregister = () => {};
  let current!: Opened;
  const open = async () => {
    current = await options.open();
    const { server, shared } = current;
    unregister();
    unregister = shared ? () => {} : stopOnExit(() => signalProcess(server, exitSignal));
  };
  await locked(open);

  let wanted = true;
  const deaths: number[] = [];
  const revive = async () => {
    const { pid } = current.server;
    deaths.push(Date.now());
    const recent = deaths.filter((at) => at > Date.now() - deathsWithinMs).length;
    if (recent > deathsAllowed) throw new Error(`it ended ${recent} times within ten minutes`);
    await locked(async () => {
      if (wanted) await open();
    });
    const by = current.shared ? 'another process started it again' : 'started again';
    if (wanted) options.onProgress?.(`${options.name}: process ${pid} has ended; ${by} on the same port`);
  };
  let looking = false;
  const timer = setInterval(async () => {
    if (looking || !wanted || isRunning(current.server)) return;
    looking = true;
    try {
      await revive();
      looking = false;
    } catch (cause) {
      clearInterval(timer);
      // One line of it: the rest is the end of the server's log, which the line names.
      const why = (cause as Error).message.split('\n')[0]?.replace(/ ends with:$/, ' says why');
      const reason = new Error(
        `${options.name} in ${options.dir} has ended and could not be started again: ${why}. ` +
          'Repair that, then start the worker again: it goes on where it was',
        { cause },
      );
      if (!options.onLost) throw reason;
      options.onLost(reason);
    }
  }, lookMs).unref();

  const end = async (steps: Shutdown) => {
    await endProcess(current.server, steps);
    unregister();
  };
  const refuse = () => {
    throw new Error(
      `${options.name} in ${options.dir} belongs to another process; only that one may crash or restart it`,
    );
  };
  return {
    get pid() {
      return current.server.pid;
    },
    get shared() {
      return current.shared;
    },
    async stop() {
      wanted = false;
      clearInterval(timer);
      await locked(async () => {
        if (!current.shared) await end(options.shutdown);
      });
    },
    async crash() {
      if (current.shared) refuse();
      wanted = false;
      await end([['SIGKILL', 10_000]]);
    },
    async restart(between) {
      if (current.shared) refuse();
      wanted = false;
      await locked(async () => {
        await end(options.shutdown);
        between?.();
        await open();
      });
      wanted = true;
    },
  };
}
