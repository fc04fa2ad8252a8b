import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A program of ours in another process that answers each line with a line. */
export interface Child<Ready> {
  /** What it said when it was ready. */
  readonly ready: Ready;
  readonly pid: number;
  /** Sends a command and waits for its answer; commands are answered one at a time. @throws Error when it refuses or has ended */
  ask<T>(command: object): Promise<T>;
  /** Ends the process; resolves when it is gone. Calling it again does nothing. */
  stop(): Promise<void>;
}

/** Starts `sandbox/serve.ts` and waits until it serves. @throws Error with its error output when it ends before that. */
export async function startChild<Ready>(name: string, options: object): Promise<Child<Ready>> {
  const here = import.meta.url;
  // The built sandbox is plain JavaScript and needs no loader.
  const [file, loader] = here.endsWith('.ts') ? ['serve.ts', ['--import', 'tsx']] : ['serve.js', []];
  const child = spawn(
    process.execPath,
    [...loader, fileURLToPath(new URL(file, here)), name, JSON.stringify(options)],
    // The loader is looked up from the working directory.
    { cwd: fileURLToPath(new URL('..', here)), stdio: 'pipe' },
  );
  let complaint = '';
  child.stderr.on('data', (text) => {
    complaint = `${complaint}${text}`.slice(-4000);
  });
  // A command to a process that has died: the answer that does not come tells it.
  child.stdin.on('error', (error) => {
    complaint += error.message;
  });
  const gone = once(child, 'close');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async <T>(): Promise<T> => {
    const { value, done } = await lines.next();
    if (done) await gone;
    if (done) throw new Error(`The ${name} sandbox process has ended. Its error output: ${complaint || '(nothing)'}`);
    const said = JSON.parse(value) as T & { error?: string };
    if (said.error !== undefined) throw new Error(`The ${name} sandbox process refused: ${said.error}`);
    return said;
  };

  const ready = await answer<Ready>();
  // One command at a time: answers come in the order of the commands.
  let turn: Promise<unknown> = Promise.resolve();
  return {
    ready,
    pid: child.pid!,
    ask: <T>(command: object) => {
      const mine = turn.then(() => {
        child.stdin.write(`${JSON.stringify(command)}\n`);
        return answer<T>();
      });
      // The caller gets the failure; the next command goes on all the same.
      turn = mine.catch(() => undefined);
      return mine;
    },
    stop: async () => {
      child.stdin.end();
      await gone;
    },
  };
}
