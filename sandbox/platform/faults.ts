import type { RefusalKind } from './refusal.ts';

/** Where and how often a fault happens. Without any of these it happens always and everywhere. */
export interface FaultLimits {
  /** Only calls of this API (name in the fixture), or `token` for token calls. Default: every API, no token calls. */
  api?: string;
  /** Only calls of this account. */
  account?: string;
  /** Happens only after this many calls that it concerns, counted from the moment it is set. Default 0. */
  after?: number;
  /** How often it happens, at least 1. Default: without end. */
  times?: number;
}

/** One way in which a platform misbehaves, in words that fit every platform. */
export type PlatformFault =
  /** Answers with this HTTP status and body (default: none), before any look at the call; 401 and 5xx from a gateway. */
  | { type: 'status'; status: number; body?: string; contentType?: string }
  /** HTTP 429 with `Retry-After`, in seconds or as a date. */
  | { type: '429'; seconds: number; form?: 'seconds' | 'date' }
  /** The platform's own error of this kind: HTTP 200 where the platform does so. */
  | { type: 'refuse'; kind: RefusalKind; waitMs?: number }
  /** The token of the call ends now: the call is refused, and so is every later one with it. */
  | { type: 'expire' }
  /** The header promises the whole body, half of it comes, then the socket is destroyed. */
  | { type: 'cut' }
  /** The content ends in the middle while HTTP is in order: JSON that does not parse. */
  | { type: 'truncated' }
  /** 200 with a page for people, as a proxy or a ban gives it. */
  | { type: 'html' }
  /** Waits this long before the answer, ms. */
  | { type: 'slow'; ms: number }
  /** Never answers; the socket stays open until the client or `stop()` closes it. */
  | { type: 'hang' }
  /** 200 with a success and no rows, the total as it is. */
  | { type: 'empty' }
  /** 200 with a success around nothing: neither rows nor total nor cursor, as a platform under repair. */
  | { type: 'bare' }
  /** The first row of a page that is not the first is the last row of the page before: a row on two pages. */
  | { type: 'twice' }
  /** After the answer its first `rows` (default 1) records change and move to where changed records stand. */
  | { type: 'moved'; rows?: number }
  /** After the answer its first `rows` (default 1) records are removed: later pages shift. */
  | { type: 'removed'; rows?: number }
  /** The answer's cursor, link or flag leads to the same page again. */
  | { type: 'stuck' }
  /** Pages beyond the end are the first page again. */
  | { type: 'wrap' }
  /** The total is this number. */
  | { type: 'total'; total: number };

export type Fault = PlatformFault & FaultLimits;
export type FaultOf<T extends Fault['type']> = Extract<Fault, { type: T }>;

// A record and not a list: a type that is missing here does not compile.
const known: Record<Fault['type'], true> = {
  status: true,
  '429': true,
  refuse: true,
  expire: true,
  cut: true,
  truncated: true,
  html: true,
  slow: true,
  hang: true,
  empty: true,
  bare: true,
  twice: true,
  moved: true,
  removed: true,
  stuck: true,
  wrap: true,
  total: true,
};

/** What a request is for, as far as faults care. */
export interface Target {
  api: string;
  account: string;
}

/** The faults in force, with their counts. */
export class Faults {
  readonly #entries: { fault: Fault; seen: number; used: number }[];

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

  /** All faults due for a call, by type; each is counted as used. The first of a type counts. */
  due(target: Target): Due {
    const found = new Map<Fault['type'], Fault>();
    for (const entry of this.#entries) {
      if (!concerns(entry.fault, target)) continue;
      entry.seen += 1;
      if (entry.seen <= (entry.fault.after ?? 0) || entry.used >= (entry.fault.times ?? Number.POSITIVE_INFINITY))
        continue;
      if (found.has(entry.fault.type)) continue;
      entry.used += 1;
      found.set(entry.fault.type, entry.fault);
    }
    return new Due(found);
  }
}

/** Faults of one call. */
export class Due {
  readonly #found: ReadonlyMap<Fault['type'], Fault>;
  constructor(found: ReadonlyMap<Fault['type'], Fault>) {
    this.#found = found;
  }

  get<T extends Fault['type']>(type: T): FaultOf<T> | undefined {
    return this.#found.get(type) as FaultOf<T> | undefined;
  }
}

function concerns(fault: Fault, target: Target): boolean {
  if (fault.api === undefined ? target.api === 'token' : fault.api !== target.api) return false;
  return fault.account === undefined || fault.account === target.account;
}
