/** Requests a second, counted by a token bucket with one second's burst. */
class Bucket {
  private readonly rate: number;
  private tokens: number;
  private at = performance.now();

  constructor(rate: number) {
    this.rate = rate;
    this.tokens = rate;
  }

  take(): boolean {
    const now = performance.now();
    this.tokens = Math.min(this.rate, this.tokens + ((now - this.at) * this.rate) / 1_000);
    this.at = now;
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }
}

export interface LimitOptions {
  /** Requests a second of the account. */
  account: number;
  /** Requests a second of one endpoint. */
  endpoint: number;
}

/** Counts requests of one account. */
export class Limits {
  private readonly options: LimitOptions | null;
  private readonly account: Bucket;
  private readonly endpoints = new Map<string, Bucket>();

  constructor(options: LimitOptions | null) {
    this.options = options;
    this.account = new Bucket(options?.account ?? 1);
  }

  /** The reason of a refusal; null when the request may be served. */
  refuse(endpoint: string): 'global-rate' | 'endpoint-rate' | null {
    if (this.options === null) return null;
    const own = this.endpoints.get(endpoint) ?? new Bucket(this.options.endpoint);
    this.endpoints.set(endpoint, own);
    if (!own.take()) return 'endpoint-rate';
    return this.account.take() ? null : 'global-rate';
  }
}
