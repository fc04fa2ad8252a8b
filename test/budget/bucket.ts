/** A token bucket with one second's burst, at least one request: how platforms count. Moments in ms, never going back. */
export class Bucket {
  private tokens: number;
  private at: number;
  private readonly perSecond: number;

  constructor(perSecond: number, now: number) {
    this.perSecond = perSecond;
    this.tokens = Math.max(1, perSecond);
    this.at = now;
  }

  has(now: number): boolean {
    this.tokens = Math.min(Math.max(1, this.perSecond), this.tokens + ((now - this.at) / 1000) * this.perSecond);
    this.at = now;
    return this.tokens >= 1;
  }

  take(): void {
    this.tokens--;
  }
}
