import { on } from 'node:events';
import v8 from 'node:v8';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { Stream } from '../../db/org/stageRows.ts';
import { SyncError } from '../errors.ts';
import type { ReadPage } from './pages.ts';
import type { Elsewhere } from './source.ts';
import { type Told, thrown } from './thread.message.ts';

/** A list to be read from a cursor on. */
export interface ThreadRead {
  source: Elsewhere;
  stream: Stream;
  from: unknown;
}

/**
 * Half of the thread's young objects, MB. The process is started for many small pieces of work; the objects of two pages do
 * not fit in a half of 2 MB, and collecting them took a third of a directory's read (300,000 people: 2.0 of 5.8 s).
 */
const youngHalfMb = 4;
/**
 * How much the old objects and the bytes outside the heap may grow between two collections, percent. Pages pass by as such
 * bytes: at the 20 of the process 60 collections a run took 0.8 of 5.2 s of its processor time.
 */
const growPercent = 40;
/** A thread that has nothing to read for so long ends and gives its 50 MB back. */
const idleMs = 10_000;

interface Thread {
  worker: Worker;
  reads: number;
  idle?: NodeJS.Timeout;
  /** What it died of: a code or a class, for a text may quote what it read. Null while it runs, and where it was ended. */
  died: string | null;
  exit: Promise<unknown>;
}

let running: Thread | undefined;

/**
 * Reads and encodes pages in the one thread that all connections of this process share, a few pages ahead of whoever takes
 * them. Errors are those of the source.
 */
export async function* readInThread(read: ThreadRead, signal: AbortSignal): AsyncGenerator<ReadPage> {
  const thread = join();
  const { port1: mine, port2: theirs } = new MessageChannel();
  try {
    const messages = on(mine, 'message', { signal, close: ['close'] });
    thread.worker.postMessage({ ...read, port: theirs }, [theirs]);
    for await (const [message] of messages as AsyncIterable<[Told]>) {
      if (message.kind === 'error') throw thrown(message);
      if (message.kind === 'end') return;
      mine.postMessage('taken');
      yield message.read;
    }
    await thread.exit;
    const why = thread.died === null ? '' : ` (${thread.died})`;
    throw new SyncError(
      'Unavailable',
      `The thread that reads pages ended${why}: the list goes on behind the last written page`,
    );
  } finally {
    mine.close();
    leave(thread);
  }
}

/** Ends the thread, when its process has nothing more to do. A list that is being read fails as `Unavailable`. */
export async function endThread(): Promise<void> {
  clearTimeout(running?.idle);
  await running?.worker.terminate();
}

function join(): Thread {
  running ??= start();
  clearTimeout(running.idle);
  running.reads += 1;
  return running;
}

function leave(thread: Thread): void {
  thread.reads -= 1;
  if (thread.reads > 0) return;
  thread.idle = setTimeout(() => {
    if (running === thread) running = undefined;
    void thread.worker.terminate();
  }, idleMs).unref();
}

function start(): Thread {
  // `resourceLimits` would say the same, but the flag of the command line goes before them; threads read it as they start.
  v8.setFlagsFromString(`--max-semi-space-size=${youngHalfMb}`);
  v8.setFlagsFromString(`--heap-growing-percent=${growPercent}`);
  const worker = import.meta.url.endsWith('.ts')
    ? fromSource()
    : new Worker(new URL('./thread.entry.js', import.meta.url));
  const made: Thread = { worker, reads: 0, died: null, exit: new Promise((done) => worker.once('exit', done)) };
  worker.once('error', (error: Error & { code?: string }) => {
    made.died = error.code ?? error.name;
  });
  worker.once('exit', () => {
    if (running === made) running = undefined;
  });
  worker.unref();
  return made;
}

/** A thread has no loader for TypeScript of its own, and does not always get that of its process. */
function fromSource(): Worker {
  const entry = new URL('./thread.entry.ts', import.meta.url).href;
  const code = `import('tsx/esm/api').then(({ tsImport }) => tsImport(${JSON.stringify(entry)}, ${JSON.stringify(entry)}))`;
  return new Worker(code, { eval: true, execArgv: [] });
}
