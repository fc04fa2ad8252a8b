import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 25;

/**
 * Waits until `probe` gives something and returns it; `undefined`, `null` and `false` mean "not yet", and what it throws
 * ends the waiting. @throws Error that says what did not come within `timeoutMs` (default 60 s).
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | null | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== null && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs / 1000} s in vain for: ${what}`);
    await delay(pollMs);
  }
}
