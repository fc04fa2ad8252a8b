import { randomUUID } from 'node:crypto';
import type { Reply } from './batches.ts';

export interface HubspotLimits {
  /** Calls in a window of 10 seconds that moves along. */
  burst: number;
  /** Calls a day of the account. */
  daily: number;
}

const windowMs = 10_000;

/** Counts calls as HubSpot does: a rolling window for the app, a day of the account's zone. */
export class Limits {
  private readonly limits: HubspotLimits | null;
  private readonly calls: number[] = [];
  private head = 0;
  private today = 0;
  refused = 0;

  constructor(limits: HubspotLimits | null) {
    this.limits = limits;
  }

  /** Counts a call. Null: it may be served. */
  take(now: number): Reply | null {
    if (!this.limits) return null;
    while (this.head < this.calls.length && this.calls[this.head]! <= now - windowMs) this.head += 1;
    if (this.head > 10_000) {
      this.calls.splice(0, this.head);
      this.head = 0;
    }
    if (this.today >= this.limits.daily) return this.refuse('DAILY');
    if (this.calls.length - this.head >= this.limits.burst) return this.refuse('TEN_SECONDLY_ROLLING');
    this.calls.push(now);
    this.today += 1;
    return null;
  }

  headers(): Record<string, string> {
    if (!this.limits) return {};
    const { burst, daily } = this.limits;
    return {
      'x-hubspot-ratelimit-max': String(burst),
      'x-hubspot-ratelimit-remaining': String(Math.max(0, burst - (this.calls.length - this.head))),
      'x-hubspot-ratelimit-interval-milliseconds': String(windowMs),
      'x-hubspot-ratelimit-daily': String(daily),
      'x-hubspot-ratelimit-daily-remaining': String(Math.max(0, daily - this.today)),
    };
  }

  /** The account's midnight. */
  newDay(): void {
    this.today = 0;
  }

  private refuse(policyName: string): Reply {
    this.refused += 1;
    return rateRefusal(policyName);
  }
}

/** A 429 by policy. There is no Retry-After, as nobody promises one. */
export function rateRefusal(policyName: string): Reply {
  return {
    status: 429,
    body: {
      status: 'error',
      message: `You have reached your ${policyName === 'DAILY' ? 'daily' : 'ten_secondly_rolling'} limit.`,
      errorType: 'RATE_LIMIT',
      correlationId: randomUUID(),
      policyName,
      requestId: randomUUID(),
    },
  };
}
