import { createHash } from 'node:crypto';
import type { ScimOptions } from '../../connectors/scim.ts';
import type { ReadEnd } from '../../db/org/stage.ts';
import type { Stream } from '../../db/org/stageRows.ts';
import { SyncError } from '../errors.ts';

/** Where the reader stands. Digests tell a page that repeats from one that moved. */
export interface Cursor {
  /** Next startIndex (1-based), or the next cursor of RFC 9865. */
  at: number | string;
  seen: number;
  pages: number;
  count: number;
  firstTotal: number | null;
  lastTotal: number | null;
  /** A total that fell while reading means rows moved to pages already read (facts: 297 of 300 came, 3 living people missing). */
  shrank: boolean;
  firstDigest: string;
  lastDigest: string;
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
    count: options.pageSize,
    firstTotal: null,
    lastTotal: null,
    shrank: false,
    firstDigest: '',
    lastDigest: '',
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
  if (cursor.pages === 0 && rows === 0 && (list.total ?? 0) > 0) {
    throw new SyncError(
      'BadAnswer',
      `${place} names ${list.total} ${stream} and shows none: the credential has no permission to see them`,
    );
  }
  if (rows > 0 && cursor.pages > 0 && (digest === cursor.firstDigest || digest === cursor.lastDigest)) {
    if (byIndex && digest === cursor.firstDigest && cursor.lastTotal !== null && cursor.seen >= cursor.lastTotal)
      return end(cursor, 'wrapped');
    throw new SyncError(
      'BadAnswer',
      `${place} repeats a page after ${cursor.seen} of ${cursor.lastTotal ?? 'unknown'} ${stream}: the server ignores ${byIndex ? 'startIndex' : 'the cursor'}. Try the option paging: ${byIndex ? '"cursor"' : '"index"'}`,
    );
  }
  cursor.pages += 1;
  cursor.seen += rows;
  cursor.firstDigest ||= digest;
  cursor.lastDigest = digest;
  if (byIndex) {
    cursor.at = (cursor.at as number) + rows;
    return rows === 0 ? end(cursor, 'empty page') : null;
  }
  if (list.next !== undefined && list.next === cursor.at)
    throw new SyncError('BadAnswer', `${place}: the cursor does not advance after ${cursor.seen} ${stream}`);
  if (list.next === undefined) return end(cursor, 'no nextCursor');
  cursor.at = list.next;
  return null;
}

function end(cursor: Cursor, sign: string): ReadEnd {
  const { firstTotal, lastTotal, seen } = cursor;
  let doubt: string | null = null;
  if (cursor.shrank)
    doubt = `the total fell from ${firstTotal} to ${lastTotal} while it was read, so rows may have moved to pages already read`;
  else if (lastTotal !== null && seen < lastTotal) doubt = `${seen} of ${lastTotal} rows came`;
  return { sign, firstTotal, lastTotal, doubt };
}

function digestOf(resources: unknown[]): string {
  const ids = resources.map((r) => (r as { id?: unknown } | null)?.id).join('\n');
  return createHash('sha1').update(ids).digest('base64').slice(0, 12);
}
