import type { ApiPaging } from './fixture.ts';
import type { View } from './query.ts';
import { Refusal } from './refusal.ts';

/** What an opaque cursor stands for: the record that ended a page, and that page's number. */
export interface Position {
  value: number;
  serial: number;
  page: number;
}

/** The text of a cursor. `made`: the moment it was made, where it can end; else 0, so that one place has one text. */
export function cursorOf({ value, serial, page }: Position, made: number): string {
  return Buffer.from([value, serial, page, made].join(':')).toString('base64url');
}

/** Opens a cursor. @throws Refusal `cursor` for one that was never given or has ended */
export function readCursor(given: unknown, paging: ApiPaging & { kind: 'cursor' | 'link' }, now: number): Position {
  const parts = Buffer.from(String(given), 'base64url').toString().split(':').map(Number);
  const [value, serial, page, made] = parts;
  if (parts.length !== 4 || parts.some(Number.isNaN)) throw new Refusal('cursor', 'unknown');
  const livesMs = paging.kind === 'cursor' ? paging.livesMs : undefined;
  if (livesMs !== undefined && now - made! > livesMs) throw new Refusal('cursor', 'expired');
  return { value: value!, serial: serial!, page: page! };
}

/** Position in a view right after a record, wherever that stands by then. */
export function positionAfter({ sorted, low, high, descending }: View, { value, serial }: Position): number {
  const at = descending ? high - sorted.find(value, serial - 1) : sorted.find(value, serial) - low;
  return Math.min(Math.max(0, at), high - low);
}
