import type { Stream } from '../../../connectors/shape.ts';
import type { Answer } from '../client.ts';
import { parseTime, valueAt } from '../values.ts';

/**
 * A `Date` header has whole seconds, as most times of rows have, and the clock of a gateway is not the clock of its
 * database: rows of the same moments are taken for younger.
 */
const datedMarginMs = 5_000;
/** Without the header only our own clock is left. */
const undatedMarginMs = 60_000;

/** A moment that was surely over by the platform's clock when it answered, ms. */
export function earlierThan(answer: Answer): number {
  const header = answer.headers.date;
  const ms = Date.parse(String(Array.isArray(header) ? header[0] : header));
  return Number.isNaN(ms) ? answer.requestedAt - undatedMarginMs : ms - datedMarginMs;
}

/** Whether a row last changed before that moment; a row without a time that can be read may be any age. */
export function isOlder({ time }: Stream, row: unknown, ms: number): boolean {
  if (!time) return false;
  const changed = parseTime(valueAt(row, time.path), time.format);
  return changed !== null && changed < ms;
}
