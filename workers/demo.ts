import { setTimeout as delay } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { plainMessage } from './cli/trouble.ts';
import { type Closers, openGround } from './demo/ground.ts';
import { describeKeep } from './demo/keep.ts';
import { openScreen } from './demo/screen.ts';
import { Story } from './demo/story.ts';
import { WorkerLost } from './demo/worker.ts';
import { ServerStartError } from './embedded/launch.ts';
import { TemporalMissing } from './embedded/temporal-program.ts';

interface Options {
  users: number;
  groups: number;
  keep: boolean;
}

/** Cleaning up waits this long for a start that is under way, such as the download of Temporal. */
const cleanUpMs = 20_000;
const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const screen = openScreen();

/** Somebody ended the demo. */
class Interrupted extends Error {
  override name = 'Interrupted';
}

function between(least: number, most: number) {
  return (text: string): number => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`accepted: a whole number from ${least} to ${most}`);
  };
}

function readOptions(): Options {
  return new Command('npm run demo --')
    .description('Syncs a simulated company directory three times, kills the worker once, and compares source and copy')
    .option('--users <n>', 'people at the source', between(100, 200_000), 3_000)
    .option('--groups <n>', 'groups at the source', between(20, 20_000), 200)
    .option('--keep', 'leaves everything running and says how to look around', false)
    .parse()
    .opts<Options>();
}

async function run({ users, groups, keep }: Options, closers: Closers): Promise<number> {
  screen.line('Starting Postgres, Temporal, a directory to read and a worker');
  const ground = await openGround({ users, groups, seed: 7 }, (line) => screen.line(`  ${line}`), closers);
  const story = await Story.begin(ground, screen);
  const equal = await story.tell();
  if (keep) {
    for (const line of describeKeep(ground)) screen.line(line);
    // Until somebody ends it, or a process it needs is lost.
    await ground.lost();
  }
  return equal ? 0 : 1;
}

/**
 * Rejects when the demo is told to end. Ctrl-C a second time ends it at once; the servers are then told to stop, and not
 * waited for. What comes within a second is the same Ctrl-C, passed on by npm or tsx.
 */
function interruption(): Promise<never> {
  let first = 0;
  return new Promise((_resolve, reject) => {
    for (const signal of signals)
      process.on(signal, () => {
        if (first > 0 && Date.now() - first > 1_000) process.exit(130);
        first ||= Date.now();
        reject(new Interrupted(signal));
      });
  });
}

/** Of our own errors all lines, as they say what was tried or written; of others one that quotes no values. */
function told(error: unknown): string {
  const whole = [WorkerLost, TemporalMissing, ServerStartError].some((kind) => error instanceof kind);
  return whole ? (error as Error).message : plainMessage(error);
}

async function cleanUp(closers: Closers): Promise<void> {
  for (const close of closers.reverse())
    try {
      await close();
    } catch (error) {
      // The others are closed all the same.
      process.stderr.write(`demo: ${plainMessage(error)}\n`);
      process.exitCode = 1;
    }
}

const options = readOptions();
const closers: Closers = [];
try {
  process.exitCode = await Promise.race([run(options, closers), interruption()]);
} catch (error) {
  process.exitCode = error instanceof Interrupted ? 130 : 1;
  if (error instanceof Interrupted) screen.line(`\nStopping everything (${error.message})`);
  else process.stderr.write(`demo: ${told(error)}\n`);
}
screen.mute();
// What the story has under way fails while all is closed, of Temporal's client in a timer of its own, which nobody can catch.
process.on('uncaughtException', () => undefined);
const clean = await Promise.race([cleanUp(closers), delay(cleanUpMs, 'late')]);
if (clean === 'late') process.stderr.write('demo: not everything stopped in time; the rest is ended now\n');
process.exit();
