import { RetryLater } from '../errors.ts';
import type { BudgetUse, Throttle } from '../http/throttle.ts';

export interface PermitsOptions {
  throttle: Throttle;
  use: BudgetUse;
  /** Messages a second that limits allow; null without a limit. */
  perSecond: number | null;
  /** Messages on their way at once. */
  inFlight: number;
  signal: AbortSignal;
  /** Something changed. */
  wake(): void;
}

/** Permits of the budget for messages that are about to leave. They are used within a turn or forgotten. */
export class Permits {
  /** In hand. */
  count = 0;
  /** Set when the budget has sent away all who asked: nothing leaves for so long. */
  waitMs: number | null = null;
  /** What went wrong with the budget itself. */
  fault: unknown;
  private readonly o: PermitsOptions;
  private asking = 0;
  /** No more than a second's worth is asked for: who waits longer than the budget's patience is sent away. */
  private readonly most: number;
  private laterMs = Number.POSITIVE_INFINITY;

  constructor(options: PermitsOptions) {
    this.o = options;
    this.most = Math.max(1, Math.ceil(options.perSecond ?? options.inFlight));
  }

  /** Asks for so many, less those in hand and those that wait. */
  ask(wanted: number): void {
    if (this.laterMs < Number.POSITIVE_INFINITY) return;
    for (let left = Math.min(wanted, this.most) - this.count - this.asking; left > 0; left--) {
      this.asking++;
      this.o.throttle.take(this.o.use, this.o.signal).then(
        () => {
          this.count++;
          this.heard();
        },
        (error: unknown) => {
          if (error instanceof RetryLater) this.laterMs = Math.min(this.laterMs, error.waitMs);
          else if (!this.o.signal.aborted) this.fault ??= error;
          this.heard();
        },
      );
    }
  }

  /** Some may be sent away while others get their permit. */
  private heard(): void {
    this.asking--;
    if (this.asking === 0 && this.laterMs < Number.POSITIVE_INFINITY) {
      if (this.count === 0) this.waitMs = this.laterMs;
      this.laterMs = Number.POSITIVE_INFINITY;
    }
    this.o.wake();
  }
}
