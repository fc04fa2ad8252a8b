import type { Stream } from '../../../connectors/shape.ts';
import { parseTime, valueAt } from '../values.ts';

/** A row version as the platform wrote it; null: before the first one. */
export type Version = string | number;

/**
 * Where the next read of a list by row version may begin. A database gives a row its version when it is written and shows it
 * when its transaction is committed: a row may come late, with a version below the largest that was seen. So the next read
 * begins where rows had changed long enough ago. How long ago a version was given only the times of rows tell; a row without
 * one may be the youngest.
 */
export interface Overlap {
  /** All rows up to it changed longer ago than the overlap. */
  mark: Version | null;
  /** The first row of the last stretch changed at `ms`, rows up to `at` before that, the youngest of them at `olderMs`. */
  ahead: { at: Version | null; ms: number; olderMs: number | null } | null;
  /** When the youngest row changed, ms. */
  newestMs: number | null;
  /** The largest version but one. */
  before: Version | null;
}

export const overlapFrom = (version: Version | null): Overlap => ({
  mark: version,
  ahead: null,
  newestMs: null,
  before: version,
});

/**
 * Takes a row whose version is larger than all before it.
 * @param before the largest version before it
 * @param nowMs the platform's clock, or a little earlier: rows dated later are wrong
 */
export function passRow(
  seen: Overlap,
  { time }: Stream,
  row: unknown,
  { before, overlapMs, nowMs }: { before: Version | null; overlapMs: number; nowMs: number },
): Overlap {
  const told = time ? parseTime(valueAt(row, time.path), time.format) : null;
  const ms = Math.min(told ?? nowMs, nowMs);
  const { ahead } = seen;
  const next = { ...seen, before, newestMs: Math.max(seen.newestMs ?? ms, ms) };
  if (ahead !== null && ms < ahead.ms + overlapMs) return next;
  return { ...next, mark: ahead === null ? seen.mark : ahead.at, ahead: { at: before, ms, olderMs: seen.newestMs } };
}

/**
 * The version with which the next read begins; null: with the first. Never the largest one: what stands behind it is known
 * to be there, so that a read which brings nothing has lost its place (the platform moved to another database).
 */
export function nextVersion({ mark, ahead, newestMs, before }: Overlap, overlapMs: number, nowMs: number) {
  if (newestMs !== null && newestMs + overlapMs <= nowMs) return before;
  return ahead !== null && (ahead.olderMs ?? 0) + overlapMs <= nowMs ? ahead.at : mark;
}
