import { Bucket } from './bucket.ts';
import type { Counts, Limits } from './platform.ts';

/** Connection and the moment at which its request might leave, ms since 1970 by the clock that all processes share. */
export type Permit = [connection: string, at: number];
export type Interval = [from: number, to: number];

/**
 * A timer or an answer of Postgres that is late by so much: others have the processors, turns come late and permits lapse,
 * and the machine is measured. With nothing else to do both take 1 to 5 ms.
 */
export const stillMs = 30;
/** What gathers meanwhile is used up after so long: three tenths of a second's permits (activities/http/budget/pace.ts). */
const afterMs = 300;

/** What a platform with these limits would have counted, had every request arrived when it might leave. */
export function judge(permits: readonly Permit[], limits: Limits, from: number, to: number): Counts {
  const refused = { platform: 0, api: 0, connection: 0 };
  const counts: Counts = { ms: to - from, accepted: {}, refused, stoodMs: 0 };
  const sorted = permits.toSorted((a, b) => a[1] - b[1]);
  const first = sorted[0]?.[1] ?? from;
  const platform = new Bucket(limits.platform, first);
  const buckets = new Map<string, Bucket>();
  const bucketOf = (name: string, perSecond: number) => {
    const bucket = buckets.get(name) ?? new Bucket(perSecond, first);
    buckets.set(name, bucket);
    return bucket;
  };
  for (const [name, at] of sorted) {
    const [connection, api] = name.split('#') as [string, string?];
    const own = bucketOf(connection, connection.startsWith('fast') ? limits.fast : limits.connection);
    const shared = api === undefined ? null : bucketOf(`#${api}`, limits.api ?? Number.POSITIVE_INFINITY);
    const full = !platform.has(at) ? 'platform' : shared && !shared.has(at) ? 'api' : null;
    const level = full ?? (own.has(at) ? null : 'connection');
    const counted = at >= from && at < to;
    if (level) {
      if (counted) refused[level]++;
      continue;
    }
    platform.take();
    shared?.take();
    own.take();
    if (counted) counts.accepted[name] = (counts.accepted[name] ?? 0) + 1;
  }
  return counts;
}

/** The parts of a span in which no process stood still, and had not just done so. */
export function quietParts(stood: readonly Interval[], from: number, to: number): Interval[] {
  const parts: Interval[] = [];
  let at = from;
  for (const [began, ended] of stood.toSorted((a, b) => a[0] - b[0])) {
    if (began > at) parts.push([at, Math.min(began, to)]);
    at = Math.max(at, ended + afterMs);
    if (at >= to) return parts.filter(([a, b]) => b > a);
  }
  parts.push([at, to]);
  return parts.filter(([a, b]) => b > a);
}

export const lengthOf = (parts: readonly Interval[]) => parts.reduce((sum, [from, to]) => sum + to - from, 0);

/** Permits a second within the parts. */
export function rateIn(permits: readonly Permit[], parts: readonly Interval[]): number {
  const within = permits.filter(([, at]) => parts.some(([from, to]) => at >= from && at < to)).length;
  return (within * 1000) / lengthOf(parts);
}
