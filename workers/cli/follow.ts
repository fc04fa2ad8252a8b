import { setTimeout as delay } from 'node:timers/promises';
import type { Session } from './session.ts';
import { isAway, plainMessage } from './trouble.ts';

/** What there is to see of runs at a moment. */
export interface Sight {
  /** The whole picture, for a terminal where it is redrawn. */
  picture: string[];
  /** The same as events, for pipes and logs: each line is printed the first time it comes. */
  events: string[];
  /** Set when there is nothing more to wait for: last lines, and the exit code. */
  end: { lines: string[]; exitCode: number } | null;
}

const lookMs = 500;
/** A server that is restarted or moved is back by then; who waits in a script hears of one that stays away. */
const awayMs = 10 * 60_000;

/**
 * Looks until the end, and shows what changed. What runs does not need who watches: while Postgres or Temporal is away, for
 * ten minutes at most, it is looked for again.
 * @returns the exit code; a failed run throws its failure
 */
export async function follow({ terminal }: Session, look: () => Promise<Sight>): Promise<number> {
  const told = new Set<string>();
  let seenAt = Date.now();
  for (;;) {
    const { picture, events, end } = await look().then(
      (sight) => {
        seenAt = Date.now();
        return sight;
      },
      (error: unknown): Sight => {
        if (!isAway(error) || Date.now() - seenAt > awayMs) throw error;
        const line = `${plainMessage(error)} What runs goes on, and is looked for again.`;
        return { picture: [line], events: [line], end: null };
      },
    );
    if (terminal.interactive) terminal.redraw(picture);
    else
      for (const line of events) {
        if (!told.has(line)) terminal.print(line);
        told.add(line);
      }
    if (end) {
      for (const line of end.lines) terminal.print(line);
      return end.exitCode;
    }
    await delay(lookMs);
  }
}

/** `failed`, `was cancelled` … for a closed run. */
export function ended(status: string): string {
  const words: Record<string, string> = {
    FAILED: 'failed',
    CANCELLED: 'was cancelled',
    TERMINATED: 'was terminated',
    TIMED_OUT: 'timed out',
  };
  return words[status] ?? status.toLowerCase();
}
