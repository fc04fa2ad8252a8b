import type { ScimOptions } from '../../connectors/scim.ts';
import type { ReadEnd } from '../../db/org/stage.ts';
import type { Stream } from '../../db/org/stageRows.ts';
import { SyncError } from '../errors.ts';
import { emptyMost, isPast } from '../http/paging/endless.ts';
import { short } from '../http/paging/keys.ts';
import { cameBefore, goOn, noTrail, type Trail } from '../http/paging/trail.ts';

/** Where the reader stands. Its trails find a list that goes round, be it by pages that repeat or by cursors. */
export interface Cursor {
  /** Next startIndex (1-based), or the next cursor of RFC 9865. */
  at: number | string;
  seen: number;
  pages: number;
  /** The last answers that had no rows, in a row. */
  empty: number;
  /** Rows of the largest page so far. */
  largest: number;
  count: number;
  firstTotal: number | null;
  lastTotal: number | null;
  /** A total that fell while reading means rows moved to pages already read (facts: 297 of 300 came, 3 living people missing). */
  shrank: boolean;
  shown: Trail;
  cursors: Trail;
}

export interface List {
  resources: unknown[];
  total: number | null;
  next: string | undefined;
}

export function start(options: ScimOptions): Cursor {
  const at = options.paging === 'index' ? 1 : '';
  return {
    at,
    seen: 0,
    pages: 0,
    empty: 0,
    largest: 0,
    count: options.pageSize,
    firstTotal: null,
    lastTotal: null,
    shrank: false,
    shown: noTrail,
    cursors: noTrail,
  };
}

/** A list answer must say that it is one: `{}` from a deactivated connection and totals without rows are failures. */
export function readList(body: Record<string, unknown>, place: string): List {
  const total = typeof body.totalResults === 'number' ? body.totalResults : null;
  const resources = body.Resources ?? (total === 0 ? [] : undefined);
  if (!Array.isArray(resources)) {
    throw new SyncError(
      'BadAnswer',
      `${place} answered 200 without Resources (totalResults ${total ?? 'absent'}): no list, or no permission to see its rows`,
    );
  }
  const next = typeof body.nextCursor === 'string' && body.nextCursor !== '' ? body.nextCursor : undefined;
  return { resources, total, next };
}

/** Moves the cursor over a page; returns how the list ended, or null while there is more. */
export function advance(cursor: Cursor, list: List, stream: Stream, place: string): ReadEnd | null {
  const rows = list.resources.length;
  const digest = rows === 0 ? '' : digestOf(list.resources);
  if (list.total !== null) {
    cursor.shrank ||= cursor.lastTotal !== null && list.total < cursor.lastTotal;
    cursor.firstTotal ??= list.total;
    cursor.lastTotal = list.total;
  }
  const byIndex = typeof cursor.at === 'number';
  const { ignored, instead } = wordsFor(cursor);
  if (cursor.pages === 0 && rows === 0 && (list.total ?? 0) > 0) {
    throw new SyncError(
      'BadAnswer',
      `${place} names ${list.total} ${stream} and shows none: the credential has no permission to see them`,
    );
  }
  if (cameBefore(cursor.shown, digest)) {
    if (byIndex && digest === cursor.shown.first && cursor.lastTotal !== null && cursor.seen >= cursor.lastTotal)
      return end(cursor, 'wrapped');
    throw new SyncError(
      'BadAnswer',
      `${place} repeats a page after ${cursor.seen} of ${cursor.lastTotal ?? 'unknown'} ${stream}: the server ignores ${ignored}. ${instead}`,
    );
  }
  cursor.pages += 1;
  cursor.seen += rows;
  cursor.empty = rows === 0 ? cursor.empty + 1 : 0;
  cursor.largest = Math.max(cursor.largest, rows);
  cursor.shown = goOn(cursor.shown, digest);
  if (byIndex) {
    cursor.at = (cursor.at as number) + rows;
    if (rows === 0) return end(cursor, 'empty page');
  } else {
    if (list.next === undefined) return end(cursor, 'no nextCursor');
    const link = short(list.next);
    if (cameBefore(cursor.cursors, link))
      throw new SyncError('BadAnswer', `${place}: the cursor does not advance after ${cursor.seen} ${stream}`);
    cursor.cursors = goOn(cursor.cursors, link);
    cursor.at = list.next;
  }
  requireBounds(cursor, stream, place);
  return null;
}

/**
 * Ends a list that goes on without repeating itself, before the stage fills the disk. A total that is no more than a page
 * holds counts the page (facts: 50 of 500 people), and bounds nothing.
 * @throws SyncError BadAnswer
 */
function requireBounds(cursor: Cursor, stream: Stream, place: string): void {
  const { firstTotal, lastTotal, seen, empty, largest } = cursor;
  const { ignored, instead } = wordsFor(cursor);
  const most = Math.max(firstTotal ?? 0, lastTotal ?? 0);
  if (lastTotal !== null && most > largest && isPast(seen, most))
    throw new SyncError(
      'BadAnswer',
      `${place} shows ${seen} ${stream} of a total of ${most} and goes on: the server ignores ${ignored}, or its totalResults is no total. ${instead}`,
    );
  if (empty >= emptyMost)
    throw new SyncError(
      'BadAnswer',
      `${place} shows ${seen} ${stream}, then ${empty} pages without any, and goes on. ${instead}`,
    );
}

/** What a server that goes round does not heed, and what to try. */
function wordsFor({ at }: Cursor) {
  const byIndex = typeof at === 'number';
  return {
    ignored: byIndex ? 'startIndex' : 'the cursor',
    instead: `Try the option paging: ${byIndex ? '"cursor"' : '"index"'}`,
  };
}

function end(cursor: Cursor, sign: string): ReadEnd {
  const { firstTotal, lastTotal, seen } = cursor;
  let doubt: string | null = null;
  if (cursor.shrank)
    doubt = `the total fell from ${firstTotal} to ${lastTotal} while it was read, so rows may have moved to pages already read`;
  else if (lastTotal !== null && seen < lastTotal) doubt = `${seen} of ${lastTotal} rows came`;
  return { sign, firstTotal, lastTotal, doubt };
}

/** In whatever order they come: a server that reads one page for ever may shuffle it. */
function digestOf(resources: unknown[]): string {
  const ids = resources.map((r) => (r as { id?: unknown } | null)?.id);
  return short(ids.sort().join('\n'));
}
