import { execFile, spawn } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { withLock } from './lock.ts';
import { cacheFolder } from './places.ts';

const run = promisify(execFile);

/**
 * Version of the Temporal CLI that is downloaded or built when the machine has none: server 1.29.1. The last one that
 * `go install` accepts (later ones have `replace` in their go.mod), so that both ways give the same server.
 */
export const temporalCliVersion = 'v1.5.1';

const downloadMs = 120_000;
/** Building takes three minutes on two idle cores, and twenty were too few on a machine with other work. */
const buildMs = 60 * 60_000;
const usualBuildSeconds = 180;

export interface FindTemporalOptions {
  /** Folders to search for `temporal` and `go`, in this order; see `programFolders` in workers/config.ts. */
  folders: string[];
  /** Receives a line every ten seconds while something is downloaded or built. */
  onProgress?: (line: string) => void;
  /** False searches the machine only. Default true. */
  mayInstall?: boolean;
  /** Folder that keeps what was downloaded. Default `cacheFolder()`. */
  cacheDir?: string;
}

/** No Temporal binary was found, and none could be had. The message holds the commands that help. */
export class TemporalMissing extends Error {
  override name = 'TemporalMissing';
  constructor(tried: string[]) {
    super(
      [
        'There is no Temporal server to use. Tried:',
        ...tried.map((line) => `  - ${line}`),
        'Do one of these:',
        '  brew install temporal                                                    # macOS, Linux with Homebrew',
        '  curl -sSf https://temporal.download/cli.sh | sh                          # then put ~/.temporalio/bin on PATH',
        `  go install github.com/temporalio/cli/cmd/temporal@${temporalCliVersion}                 # Go 1.25 or newer, three minutes`,
        '  export TEMPORAL_ADDRESS=host:7233                                        # a server that runs already',
      ].join('\n'),
    );
  }
}

/**
 * Finds the `temporal` program: in the folders given, where Go puts programs, or in the SDK's download cache; else
 * downloads it by the SDK, else builds it with Go. Throws `TemporalMissing`.
 */
export async function findTemporal(options: FindTemporalOptions): Promise<string> {
  const go = findIn(options.folders, 'go');
  const goFolders = go ? await goBin(go) : [];
  const cache = options.cacheDir ?? cacheFolder();
  const downloaded = join(cache, `temporal-${temporalCliVersion}`);
  const folders = [...new Set([...options.folders, ...goFolders])];
  const search = () => findIn(folders, 'temporal') ?? executable(downloaded);
  const found = search();
  if (found) return found;
  // npm puts its own folders before the person's PATH; nobody would look for a server there.
  const shown = folders.filter((folder) => !folder.includes('/node_modules/'));
  const tried = [`"temporal" in ${shown.join(', ') || 'no folder (PATH is empty)'}`];
  if (options.mayInstall === false) throw new TemporalMissing(tried);
  const tell = options.onProgress ?? (() => undefined);
  return withLock(
    join(cache, 'temporal.lock'),
    {
      waitMs: downloadMs + buildMs,
      onWait: (holder) => tell(`Temporal: process ${holder.pid} is getting it, waiting for that`),
    },
    async () => {
      const meanwhile = search();
      if (meanwhile) return meanwhile;
      const failed = await told(tell, () => 'Temporal: downloading the CLI', download(cache));
      if (failed === undefined && executable(downloaded)) return downloaded;
      tried.push(`downloading it from temporal.download: ${failed ?? 'it did not arrive'}`);
      tried.push(go ? await buildTemporal(go, tell) : 'building it with Go: "go" is not in these folders either');
      const built = search();
      if (built) return built;
      throw new TemporalMissing(tried);
    },
  );
}

function findIn(folders: string[], name: string): string | undefined {
  return folders.map((folder) => executable(join(folder, name))).find((path) => path !== undefined);
}

function executable(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    // Another user's, such as one in /root: for us it is not there.
    return undefined;
  }
}

async function goBin(go: string): Promise<string[]> {
  const answer = await run(go, ['env', 'GOBIN', 'GOPATH']).catch((error: Error) => error);
  // A Go that cannot answer has installed nothing either; should it be needed to build, its error is told there.
  if (answer instanceof Error) return [];
  const [bin, path] = answer.stdout.split('\n').map((line) => line.trim());
  const first = path?.split(':')[0];
  return [...(bin ? [bin] : []), ...(first ? [join(first, 'bin')] : [])];
}

/** Runs in a process of its own: the SDK's download cannot be interrupted from outside, and would keep us alive. */
const downloadScript = `
  const { TestWorkflowEnvironment } = require(process.argv[1]);
  const executable = { type: 'cached-download', downloadDir: process.argv[2], version: process.argv[3], ttl: '3650 days' };
  TestWorkflowEnvironment.createLocal({ server: { executable } })
    .then((environment) => environment.teardown())
    .then(() => process.exit(0), (error) => { console.error(error.message); process.exit(1); });
`;

/** Downloads by the SDK, which tries the program it got once. Gives the reason when that fails. */
async function download(folder: string): Promise<string | undefined> {
  let testing: string;
  try {
    testing = createRequire(import.meta.url).resolve('@temporalio/testing');
  } catch {
    // Installed without devDependencies, as in the worker's image, where a server is named.
    return '@temporalio/testing is not installed';
  }
  return (await bounded(process.execPath, ['-e', downloadScript, testing, folder, temporalCliVersion], downloadMs))
    .reason;
}

const target = `github.com/temporalio/cli/cmd/temporal@${temporalCliVersion}`;

/** What is told while it is built, by the seconds it took so far. */
export const buildingLine = (seconds: number) =>
  `Temporal: building it once with "go install ${target}"${seconds < usualBuildSeconds ? ' (about three minutes)' : ' (longer than the usual three minutes)'}`;

/** Builds the program with Go, for an hour at most. Gives a line that says how that went. */
export async function buildTemporal(go: string, tell: (line: string) => void, withinMs = buildMs): Promise<string> {
  const { reason: failed, late } = await told(tell, buildingLine, bounded(go, ['install', target], withinMs));
  if (late)
    return `building it with "${go} install ${target}": ${failed}; Go keeps what it built: run it again, it goes on`;
  return `building it with "${go} install ${target}": ${failed ?? 'done, but its program was not found afterwards'}`;
}

/** Runs a program, kills it and what it started after `timeoutMs`: `late`. `reason` is the last line of its errors when it failed. */
function bounded(program: string, args: string[], timeoutMs: number): Promise<{ reason?: string; late: boolean }> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
    let output = '';
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      output = `not done after ${Math.round(timeoutMs / 1000)} s`;
      if (child.pid) process.kill(-child.pid, 'SIGKILL');
    }, timeoutMs);
    child.stderr.on('data', (chunk: Buffer) => {
      output = `${output}${chunk}`.slice(-4_000);
    });
    child.on('error', (error) => {
      output = error.message;
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      const reason = output.trim().split('\n').at(-1)?.slice(0, 300);
      resolve({ late, ...(code !== 0 && { reason: reason || `it ended with ${code}` }) });
    });
  });
}

async function told<T>(tell: (line: string) => void, what: (seconds: number) => string, work: Promise<T>): Promise<T> {
  const began = Date.now();
  const over = new AbortController();
  const speak = async () => {
    for (tell(what(0)); ; ) {
      await delay(10_000, undefined, { signal: over.signal });
      const seconds = Math.round((Date.now() - began) / 1000);
      tell(`${what(seconds)}, ${seconds} s so far`);
    }
  };
  // Ends with the abort below; a listener that throws must not end the process.
  const speaking = speak().catch(() => undefined);
  try {
    return await work;
  } finally {
    over.abort();
    await speaking;
  }
}
