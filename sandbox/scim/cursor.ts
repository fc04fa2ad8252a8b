import { createHash } from 'node:crypto';
import { Refused } from './registry.ts';

/** Where a chain of pages stands: behind which row, on which page. It stays true while rows come and go. */
export interface Position {
  /** The number of the last row given; 0 before the first. */
  after: number;
  /** The page that comes next, from 1. */
  page: number;
}

/** Every parameter but the position, since RFC 9865 wants them repeated unchanged. `count` may change. */
export function scopeOf(path: string, params: URLSearchParams): string {
  const rest = [...params].filter(([name]) => name !== 'cursor' && name !== 'count');
  const text = JSON.stringify([path, rest.sort(([a], [b]) => (a < b ? -1 : 1))]);
  return createHash('sha256').update(text).digest('base64url').slice(0, 12);
}

/** The opaque text of a position. It holds no state of the server: the same cursor twice gives the same page. */
export function writeCursor(scope: string, position: Position): string {
  return Buffer.from(JSON.stringify([scope, position.after, position.page])).toString('base64url');
}

/** The position inside a cursor; the empty cursor is the start. @throws Refused 400 `invalidCursor` for any other text. */
export function readCursor(scope: string, cursor: string): Position {
  if (cursor === '') return { after: 0, page: 1 };
  const parts = /^\["([\w-]{12})",(\d+),(\d+)\]$/.exec(Buffer.from(cursor, 'base64url').toString());
  if (!parts) throw new Refused(400, 'invalidCursor', 'The cursor was not made by this server; start without a cursor');
  if (parts[1] !== scope) {
    throw new Refused(400, 'invalidCursor', 'The cursor belongs to a request with other parameters; repeat those');
  }
  return { after: Number(parts[2]), page: Number(parts[3]) };
}
