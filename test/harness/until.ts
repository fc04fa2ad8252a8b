import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 25;
/** What has not come within a second is asked for less often: questions of all files are a good part of a busy machine's work. */
const laterPollMs = 50;

/**
 * Waits until `probe` gives something and returns it; `undefined`, `null` and `false` mean "not yet", and what it throws
 * ends the waiting. @throws Error that says what did not come within `timeoutMs` (default 60 s).
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | null | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const began = Date.now();
  const deadline = began + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== null && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs / 1000} s in vain for: ${what}`);
    await delay(Date.now() - began < 1_000 ? pollMs : laterPollMs);
  }
}
