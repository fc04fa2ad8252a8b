import type { Paging, Stream } from '../../../connectors/shape.ts';
import { Refused } from '../refused.ts';
import { earlierThan, isOlder } from './clock.ts';
import { markOf } from './keys.ts';
import type { Got } from './strategy.ts';

export type ByPage = Extract<Paging, { kind: 'page' }>;

/** Where a read by page numbers stands. `page` is the one to ask for. */
export type Numbered = Probe | Down | Tail | Up | Ended;

/**
 * What tells rows that were in the list at a moment and have not moved since: whatever came or moved later stands behind
 * them. Rows that show when they changed are older than the moment; others are known by their content.
 */
export interface Anchors {
  olderThanMs: number;
  marks: string[];
}

/** Asks the first page for the total. */
export interface Probe {
  phase: 'probe';
  page: number;
}

/** From the last page to the first. */
export interface Down {
  phase: 'down';
  page: number;
  /** Rows the platform puts on a page. */
  perPage: number;
  /** The first page as the probe saw it; '' once a page of the way down differed. */
  probe: string;
  /** Page and total of the answer before. */
  before: string;
  told: number;
  /** Rows of the page that was read first. */
  anchors: Anchors | null;
  /** Why the way up may not have met the last page; null or absent: it has, or a total told it. */
  doubt?: string | null;
}

/** From the end of the list back to the anchors, round by round until one answer shows both. */
export interface Tail {
  phase: 'tail';
  page: number;
  perPage: number;
  anchors: Anchors | null;
  round: number;
  /** Answers of this round. */
  width: number;
  /** Taken at the first answer of this round for the next one. */
  next: Anchors | null;
}

/** From the first page to the last, which it looks for where no total is known. */
export interface Up {
  phase: 'up';
  page: number;
  /** Rows of the fullest page so far. */
  fullest: number;
  first: string;
  before: string;
  /** The page before was as full as any. */
  wasFull: boolean;
}

export interface Ended {
  phase: 'ended';
  page: number;
  /** What kind of read it was decides what can be proven. */
  read: 'at once' | 'down' | 'tail';
  /** Why nothing can be proven; null where counts decide. */
  doubt: string | null;
}

/** The list that is read. */
export interface List {
  name: string;
  stream: Stream;
  paging: ByPage;
  digest(rows: readonly unknown[]): string;
  /** Rows that enter or change go to its end, where they are looked for at the end of the read. */
  growsAtEnd: boolean;
}

export function lastPage({ paging }: List, total: number, perPage: number): number {
  return paging.first + Math.max(0, Math.ceil(total / perPage) - 1);
}

export function isTooDeep({ paging: { deepest, size, first } }: List, page: number): boolean {
  const depth = page - first + 1;
  return depth > (deepest?.page ?? depth) || depth * size.rows > (deepest?.rows ?? depth * size.rows);
}

/** @throws Refused `too-deep` for a page that the platform does not serve: the window must be split */
export function requireDepth(list: List, page: number): void {
  if (isTooDeep(list, page))
    throw new Refused('too-deep', 'deepest', `${list.name}: page ${page} is deeper than the platform serves`);
}

/** A busy end may change every row of a page: as many as this are kept, about a kilobyte. */
const markedRows = 100;

export function anchorsOf({ stream }: List, { answer, rows }: Got): Anchors {
  return {
    olderThanMs: earlierThan(answer),
    marks: stream.time ? [] : rows.slice(-markedRows).map(markOf),
  };
}

export function hasAnchor({ stream }: List, rows: readonly unknown[], anchors: Anchors | null): boolean {
  if (anchors === null) return false;
  if (stream.time) return rows.some((row) => isOlder(stream, row, anchors.olderThanMs));
  const marks = new Set(anchors.marks);
  return rows.some((row) => marks.has(markOf(row)));
}
