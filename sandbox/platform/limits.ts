import type { SandboxLimits } from './fixture.ts';
import { Refusal } from './refusal.ts';

/** Requests in a span: a token bucket that holds one second's requests (at least one) unless `burst` says otherwise. */
export interface Rate {
  requests: number;
  perMs: number;
  burst?: number;
}

class Bucket {
  readonly #perMs: number;
  readonly #size: number;
  #tokens: number;
  #at: number;

  constructor(rate: Rate, now: number) {
    this.#perMs = rate.requests / rate.perMs;
    this.#size = rate.burst ?? Math.max(1, this.#perMs * 1000);
    this.#tokens = this.#size;
    this.#at = now;
  }

  /** Milliseconds until a request is welcome; 0: it is. Takes nothing. */
  wait(now: number): number {
    this.#tokens = Math.min(this.#size, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    return this.#tokens >= 1 ? 0 : (1 - this.#tokens) / this.#perMs;
  }

  take(): void {
    this.#tokens -= 1;
  }
}

type Level = 'platform' | 'connection' | 'endpoint';

/** The platform's own count at three levels. A refused request takes nothing from any level. */
export class RateLimits {
  readonly #limits: SandboxLimits;
  readonly #buckets = new Map<string, Bucket[]>();

  constructor(limits: SandboxLimits) {
    this.#limits = limits;
  }

  /** Lets one request in. @throws Refusal `rate`, of the first level that is full, widest first. */
  enter(
    call: { account: string; api: string },
    own: { platform?: readonly Rate[]; connection?: readonly Rate[] } = {},
  ): void {
    // The computer's clock: a sandbox whose `now` stands still must not stand still here.
    const now = performance.now();
    const levels: [Level, string, readonly Rate[] | undefined][] = [
      ['platform', '', this.#limits.platform],
      ['connection', call.account, this.#limits.accounts?.[call.account] ?? this.#limits.connection],
      ['endpoint', `\n${call.api}`, own.platform],
      ['endpoint', `${call.account}\n${call.api}`, own.connection],
    ];
    const open: Bucket[] = [];
    for (const [level, name, rates] of levels) {
      if (!rates?.length) continue;
      const key = `${level}\n${name}`;
      const buckets = this.#buckets.get(key) ?? rates.map((rate) => new Bucket(rate, now));
      this.#buckets.set(key, buckets);
      const waitMs = Math.max(...buckets.map((bucket) => bucket.wait(now)));
      if (waitMs > 0) throw new Refusal('rate', call.api, { waitMs, level });
      open.push(...buckets);
    }
    for (const bucket of open) bucket.take();
  }
}
