import { RetryLater } from '../../activities/errors.ts';
import type { Throttle } from '../../activities/http/throttle.ts';

/** A gate that knows what held up the requests behind it. */
export interface Gate {
  throttle: Throttle;
  /** Why not more was read in `ms`; null where the gate did not hold it up. */
  why(ms: number): string | null;
}

/** Watches the gate of a look at a source: what its own limits hold up is no trouble of the source. */
export function watchGate(throttle: Throttle): Gate {
  let sent = 0;
  let refused = false;
  let heldMs = 0;
  let waitsSince: number | null = null;
  const held = () => heldMs + (waitsSince === null ? 0 : performance.now() - waitsSince);
  return {
    throttle: {
      async take(use, signal) {
        const began = performance.now();
        waitsSince ??= began;
        try {
          await throttle.take(use, signal);
          sent += 1;
        } catch (error) {
          if (error instanceof RetryLater) heldMs += error.waitMs;
          throw error;
        } finally {
          heldMs += performance.now() - began;
          waitsSince = null;
        }
      },
      async refused(use, level, waitMs, why) {
        refused = true;
        await throttle.refused(use, level, waitMs, why);
      },
      close: () => throttle.close(),
    },
    why(ms) {
      if (held() < ms / 2) return null;
      const calls = sent === 1 ? '1 request' : `${sent} requests`;
      if (refused) return `it asked to wait (rate limit) after ${calls}`;
      return `the limits of this connection, or what other work of it uses of them, let ${calls} leave in time: raise its options (requestsPerSecond and others), or look later`;
    },
  };
}
