/** Where the demo writes: bars that are redrawn on a terminal, plain lines elsewhere. */
export interface Screen {
  /** True where somebody watches a terminal. */
  live: boolean;
  /** Writes a line below everything, bars included, which then stay as they are. */
  line(text?: string): void;
  /** Draws bars over those of the last call. Does nothing where not `live`. */
  bars(lines: readonly string[]): void;
  /** From here on nothing is written: what still runs while everything is stopped has nothing to say. */
  mute(): void;
}

const narrowest = 40;

/** The screen of this process. */
export function openScreen(stdout: NodeJS.WriteStream = process.stdout): Screen {
  let drawn = 0;
  let muted = false;
  const live = Boolean(stdout.isTTY);
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    // `| head` has seen enough; the demo still runs to its end and cleans up.
    if (error.code !== 'EPIPE') throw error;
  });
  return {
    live,
    line(text = '') {
      if (muted) return;
      drawn = 0;
      stdout.write(`${text}\n`);
    },
    bars(lines) {
      if (!live || muted) return;
      const width = Math.max(narrowest, stdout.columns || 80) - 1;
      const up = drawn > 0 ? `\u001b[${drawn}A\u001b[J` : '';
      stdout.write(up + lines.map((text) => `${text.slice(0, width)}\n`).join(''));
      drawn = lines.length;
    },
    mute() {
      muted = true;
    },
  };
}
