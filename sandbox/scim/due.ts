import type { Fault, FaultOf } from './faults.ts';

/** What a request is for, as far as faults care. */
export interface Target {
  /** The first part of the path, such as `/Users`. */
  path: string;
  list: boolean;
}

const onceByDefault: readonly string[] = ['between', 'shrinkWhileReading'];

// A record and not a list: a type that is missing here does not compile.
const known: Record<Fault['type'], true> = {
  status: true,
  truncatedJson: true,
  cutConnection: true,
  html: true,
  emptyObject: true,
  cursorError: true,
  latency: true,
  rateLimit: true,
  hang: true,
  notFoundBody: true,
  wrongStatusString: true,
  emptyList: true,
  noPermission: true,
  repeatPage: true,
  wrapAround: true,
  totalLies: true,
  totalAbsent: true,
  itemsPerPageEchoesCount: true,
  shrinkWhileReading: true,
  between: true,
  newestFirst: true,
  pageCap: true,
  groupsCapped: true,
  filterIgnored: true,
  filterRefused: true,
  membersMissing: true,
  membersEmpty: true,
  attributeAbsent: true,
  attributeNull: true,
  activeAsString: true,
  raw: true,
  duplicateRow: true,
};

/** The faults in force, with their counts. */
export class Faults {
  readonly #entries: { fault: Fault; seen: number; used: number; bucket?: TokenBucket }[];

  /** @throws RangeError for a type that does not exist. */
  constructor(faults: readonly Fault[]) {
    this.#entries = faults.map((fault) => ({ fault, seen: 0, used: 0 }));
    for (const { type } of faults) {
      if (Object.hasOwn(known, type)) continue;
      throw new RangeError(
        `faults: no fault has the type ${JSON.stringify(type)}; types: ${Object.keys(known).join(', ')}`,
      );
    }
  }

  get none(): boolean {
    return this.#entries.length === 0;
  }

  /** The first fault of this type that is due for the request, counted as used; `when` may look at its fields first. */
  take<T extends Fault['type']>(
    type: T,
    target: Target,
    when: (fault: FaultOf<T>) => boolean = () => true,
  ): FaultOf<T> | undefined {
    return this.#due(type, target, when, 1)[0];
  }

  /** All faults of this type that are due for the request, each counted as used. */
  takeAll<T extends Fault['type']>(
    type: T,
    target: Target,
    when: (fault: FaultOf<T>) => boolean = () => true,
  ): FaultOf<T>[] {
    return this.#due(type, target, when, Number.POSITIVE_INFINITY);
  }

  #due<T extends Fault['type']>(type: T, target: Target, when: (fault: FaultOf<T>) => boolean, most: number) {
    const found: FaultOf<T>[] = [];
    for (const entry of this.#entries) {
      const { fault, seen, used } = entry;
      if (fault.type !== type || found.length >= most || !concerns(fault, target)) continue;
      const times = fault.times ?? (onceByDefault.includes(type) ? 1 : Number.POSITIVE_INFINITY);
      if (seen < (fault.afterRequests ?? 0) || used >= times || !when(fault as FaultOf<T>)) continue;
      entry.used += 1;
      found.push(fault as FaultOf<T>);
    }
    return found;
  }

  /** Seconds until the next request is welcome when a rate limit refuses this one, with the form of the header. */
  refusal(target: Target, now: number): { seconds: number; form: 'seconds' | 'date' } | undefined {
    for (const entry of this.#entries) {
      const { fault } = entry;
      if (fault.type !== 'rateLimit' || !concerns(fault, target) || entry.seen < (fault.afterRequests ?? 0)) continue;
      entry.bucket ??= new TokenBucket(fault.perSecond, now);
      const seconds = entry.bucket.take(now);
      if (seconds === 0 || entry.used >= (fault.times ?? Number.POSITIVE_INFINITY)) continue;
      entry.used += 1;
      return { seconds, form: fault.retryAfter ?? 'seconds' };
    }
    return undefined;
  }

  /** Counts a list request after it was answered, for `afterRequests`. */
  saw(target: Target): void {
    if (!target.list) return;
    for (const entry of this.#entries) if (!entry.fault.path || entry.fault.path === target.path) entry.seen += 1;
  }
}

function concerns(fault: Fault, target: Target): boolean {
  if (fault.path && fault.path !== target.path) return false;
  return !fault.only || (fault.only === 'list') === target.list;
}

class TokenBucket {
  readonly #perSecond: number;
  readonly #size: number;
  #tokens: number;
  #at: number;

  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond;
    this.#size = Math.max(1, perSecond);
    this.#tokens = this.#size;
    this.#at = now;
  }

  /** Takes a token: 0, or the seconds until there is one. */
  take(now: number): number {
    this.#tokens = Math.min(this.#size, this.#tokens + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    if (this.#tokens < 1) return (1 - this.#tokens) / this.#perSecond;
    this.#tokens -= 1;
    return 0;
  }
}
