import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { environment } from '../config.ts';

/** Where a command reads and writes: the person's terminal, or what a test puts in its place. */
export interface Terminal {
  /** Writes a line to standard output. */
  print(line: string): void;
  /** Writes a line to standard error. */
  warn(line: string): void;
  /** Whether somebody sits there who can be asked; false in scripts and pipes. */
  interactive: boolean;
  /** Draws lines over those of the last call; only where `interactive`. */
  redraw(lines: string[]): void;
  /** Asks and returns the line that was typed. */
  ask(question: string): Promise<string>;
  /** Asks without showing what is typed. */
  askSecret(question: string): Promise<string>;
  /** The environment: configuration and the variable that `--credential-env` names. */
  env: Record<string, string | undefined>;
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  let drawn = 0;
  const stdout = process.stdout;
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    // `| head` has seen enough.
    process.exit(0);
  });
  return {
    print: (line) => void stdout.write(`${line}\n`),
    warn: (line) => void process.stderr.write(`${line}\n`),
    interactive: Boolean(process.stdin.isTTY && stdout.isTTY),
    redraw(lines) {
      if (drawn > 0) stdout.write(`\u001b[${drawn}A\u001b[J`);
      stdout.write(lines.map((line) => `${line.slice(0, Math.max(20, (stdout.columns || 80) - 1))}\n`).join(''));
      drawn = lines.length;
    },
    ask: (question) => askLine(question, stdout),
    async askSecret(question) {
      stdout.write(question);
      // readline echoes to its output; this one swallows it.
      const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
      try {
        return await askLine('', nowhere);
      } finally {
        stdout.write('\n');
      }
    },
    env: environment(),
  };
}

async function askLine(question: string, output: NodeJS.WritableStream): Promise<string> {
  const reader = createInterface({ input: process.stdin, output, terminal: true });
  const stop = new AbortController();
  // Ctrl-C and a closed input end the question; without this the process would end in silence, as if all were well.
  reader.once('SIGINT', () => stop.abort());
  reader.once('close', () => stop.abort());
  try {
    return await reader.question(question, { signal: stop.signal });
  } catch (cause) {
    throw new Error('Nothing was typed; nothing was done', { cause });
  } finally {
    reader.close();
  }
}
