import type { Stream } from '../../../connectors/shape.ts';
import type { Answer } from '../client.ts';
import { earlierThan, isOlder } from './clock.ts';
import { keysOf } from './keys.ts';

/** What a read has seen so far, as numbers: evidence for its end. Part of the cursor. */
export interface Tally {
  /** Calls of `paginate` that took part: above 1, keys of an earlier one may have come again uncounted. */
  calls: number;
  pages: number;
  requests: number;
  rows: number;
  /** The last answers that had no rows, in a row. Absent in cursors of earlier versions. */
  empty?: number;
  /** Distinct keys, each call counting its own. 0 where nothing is held against them. */
  distinct: number;
  /** Rows whose key had come before in the same call. */
  repeated: number;
  /** Rows that changed since the read began, by the platform's clock. */
  fresh: number;
  /** When the read began by the platform's clock, less a margin, ms. */
  beganMs: number;
  /** Null where it tells none. */
  total: Totals | null;
}

/** Totals that the platform told. */
export interface Totals {
  first: number;
  last: number;
  least: number;
  most: number;
  /** One was larger than the one before it. */
  rose: boolean;
}

const unread: Tally = {
  calls: 0,
  pages: 0,
  requests: 0,
  rows: 0,
  distinct: 0,
  repeated: 0,
  fresh: 0,
  beganMs: 0,
  total: null,
};

/** What is counted row by row: `keys` where a total is held against them, `times` where rows may enter unseen. */
export type Counting = 'nothing' | 'keys' | 'keys and times';

/** Keeps the tally of one call; `counts` is plain JSON, replaced with each page. */
export class Counter {
  counts: Tally;
  private readonly stream: Stream;
  private readonly counting: Counting;
  private readonly keyOf: (row: unknown) => string;
  private readonly seen = new Set<string>();

  constructor(stream: Stream, counting: Counting, before: Tally | null) {
    this.stream = stream;
    this.counting = counting;
    this.keyOf = keysOf(stream);
    // Of calls that handed nothing out, such as one that looked at the total alone, no key can come again.
    const earlier = before !== null && before.rows > 0 ? before.calls : 0;
    this.counts = { ...(before ?? unread), calls: earlier + 1 };
  }

  /** Notes an answer with so many rows, whether they are handed out or not. */
  answered(answer: Answer, total: number | null, rows: number): void {
    const { counts } = this;
    const first = counts.requests === 0;
    this.counts = {
      ...counts,
      requests: counts.requests + 1,
      empty: rows > 0 ? 0 : (counts.empty ?? 0) + 1,
      beganMs: first ? earlierThan(answer) : counts.beganMs,
      total: total === null ? counts.total : widen(counts.total, total),
    };
  }

  /** Notes rows that are handed out. */
  took(rows: readonly unknown[]): void {
    const { counts, seen } = this;
    const before = seen.size;
    let fresh = 0;
    if (this.counting !== 'nothing') for (const row of rows) seen.add(this.keyOf(row));
    if (this.counting === 'keys and times') for (const row of rows) if (this.isFresh(row)) fresh += 1;
    const added = seen.size - before;
    this.counts = {
      ...counts,
      pages: counts.pages + 1,
      rows: counts.rows + rows.length,
      distinct: counts.distinct + added,
      repeated: counts.repeated + (this.counting === 'nothing' ? 0 : rows.length - added),
      fresh: counts.fresh + fresh,
    };
  }

  private isFresh(row: unknown): boolean {
    return this.stream.time !== undefined && !isOlder(this.stream, row, this.counts.beganMs);
  }
}

function widen(told: Totals | null, total: number): Totals {
  if (told === null) return { first: total, last: total, least: total, most: total, rose: false };
  return {
    first: told.first,
    last: total,
    least: Math.min(told.least, total),
    most: Math.max(told.most, total),
    rose: told.rose || total > told.last,
  };
}
