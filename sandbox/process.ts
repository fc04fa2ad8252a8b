import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Change, Changed } from './scim/change.ts';
import type { Fault, FaultOf } from './scim/faults.ts';
import type { RequestCounts } from './scim/server.ts';
import type { ScimSandboxOptions } from './scim.ts';

/** Faults that can be written as text: all but the one with a function. */
export type PlainFault = Exclude<Fault, FaultOf<'between'>>;

/** Options that can be written as text. */
export type ScimProcessOptions = Omit<ScimSandboxOptions, 'faults' | 'now'> & { faults?: PlainFault[] };

/** A SCIM sandbox in another process, so that a benchmark does not share its event loop. */
export interface ScimProcess {
  /** The base, such as `http://127.0.0.1:40123/scim/v2`. */
  readonly url: string;
  readonly token: string;
  /** The id of the process, for measuring it. */
  readonly pid: number;
  /** Changes many people at once; resolves when the pages are ready again. */
  change(change?: Change): Promise<Changed>;
  requests(): Promise<RequestCounts>;
  /** Replaces all faults; `[]` ends them. */
  setFaults(faults: PlainFault[]): Promise<void>;
  /** Ends the process; resolves when it is gone. Calling it again does nothing. */
  stop(): Promise<void>;
}

/** Starts `sandbox/serve.ts` and waits until it serves. @throws Error with its error output when it ends before that. */
export async function startScimProcess(options: ScimProcessOptions): Promise<ScimProcess> {
  const here = import.meta.url;
  // The built sandbox is plain JavaScript and needs no loader.
  const [file, loader] = here.endsWith('.ts') ? ['serve.ts', ['--import', 'tsx']] : ['serve.js', []];
  const child = spawn(
    process.execPath,
    [...loader, fileURLToPath(new URL(file, here)), 'scim', JSON.stringify(options)],
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
    if (done) throw new Error(`The SCIM sandbox process has ended. Its error output: ${complaint || '(nothing)'}`);
    const said = JSON.parse(value) as T & { error?: string };
    if (said.error !== undefined) throw new Error(`The SCIM sandbox process refused: ${said.error}`);
    return said;
  };

  const { url, token } = await answer<{ url: string; token: string }>();
  // One command at a time: answers come in the order of the commands.
  let turn: Promise<unknown> = Promise.resolve();
  const ask = <T>(command: object): Promise<T> => {
    const mine = turn.then(() => {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      return answer<T>();
    });
    // The caller gets the failure; the next command goes on all the same.
    turn = mine.catch(() => undefined);
    return mine;
  };
  return {
    url,
    token,
    pid: child.pid!,
    change: (change) => ask({ op: 'change', ...change }),
    requests: () => ask({ op: 'requests' }),
    setFaults: async (faults) => {
      await ask({ op: 'setFaults', faults });
    },
    stop: async () => {
      child.stdin.end();
      await gone;
    },
  };
}
