import { pick } from './values.ts';

/** How the changes of records lie in time. */
export interface Growth {
  rows: number;
  /** `clustered`: 99 % of the records in 1 % of the time. */
  spread: 'even' | 'clustered';
  /** Youngest and oldest change, ms since 1970. */
  until: number;
  spanMs: number;
  /** Tells lists of one account apart. */
  salt: number;
}

/** Where the cluster begins, as a share of the span. */
const clusterAt = 0.6;
const clusterShare = 0.01;
/** A record was created at most this long before it changed, ms. */
const olderMs = 2 * 3600_000;

/** Created and changed of each record, oldest creation first, so that serials grow with time as ids of platforms do. */
export function grow({ rows, spread, until, spanMs, salt }: Growth): [created: number, updated: number][] {
  const from = until - spanMs;
  const times: [number, number][] = [];
  for (let n = 0; n < rows; n += 1) {
    const place = (n + 0.5) / rows;
    const at = spread === 'even' || n % 100 === 0 ? place : clusterAt + clusterShare * place;
    const updated = from + spanMs * at;
    times.push([Math.max(from, updated - pick(n, salt, olderMs)), updated]);
  }
  return times.sort((a, b) => a[0] - b[0]);
}
