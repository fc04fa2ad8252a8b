import type { Paging, Stream } from '../../../connectors/shape.ts';
import { SyncError } from '../../errors.ts';
import type { ReadAt } from '../paginate.ts';
import { valueAt } from '../values.ts';
import { earlierThan } from './clock.ts';
import { nextVersion, type Overlap, overlapFrom, passRow, type Version } from './overlap.ts';
import { proven, type Strategy } from './strategy.ts';

type ByVersion = Extract<Paging, { kind: 'version' }>;

interface Position {
  /** The largest that was seen. */
  at: Version;
  page: number;
  /** Rows of the fullest page so far: platforms give fewer than asked. */
  fullest: number;
  /** A page was not in the order of its versions. */
  unsorted: boolean;
  /** Where the connector says how far the next read goes back. */
  overlap?: Overlap;
  /** The platform's clock at the last answer, or a little earlier, ms. */
  nowMs?: number;
}

/**
 * Row version: send the largest that was seen until nothing larger comes. A row that changes gets a larger one, so it comes
 * later and cannot be missed. `params` may hold the version to begin with; 0 otherwise.
 */
export function byVersion(name: string, stream: Stream, paging: ByVersion, { params }: ReadAt): Strategy<Position> {
  const { param, path, size, params: values, overlapMs } = paging;
  return {
    start() {
      const from = params[param];
      const begun = typeof from === 'string' || typeof from === 'number' ? from : null;
      const overlap = overlapMs === undefined ? {} : { overlap: overlapFrom(begun) };
      return { at: begun ?? 0, page: 1, fullest: 0, unsorted: false, ...overlap };
    },
    counting: 'nothing',
    ask: ({ at }) => ({
      params: { [param]: at, ...(size.param !== undefined && { [size.param]: size.rows }) },
      ...(values && { values }),
    }),
    take(state, { answer, rows }) {
      const sent = versionOf(state.at);
      if (sent === null) throw new SyncError('InvalidInput', `${name}: "${param}" is no row version`);
      const seen = readVersions(name, path, rows);
      if (seen.least !== null && seen.least < sent)
        throw new SyncError(
          'BadAnswer',
          `${name}: rows older than the version that was sent: the platform ignores "${param}"`,
        );
      const larger = seen.most !== null && seen.most > sent;
      if (!larger && rows.length > 1 && rows.length >= Math.max(state.fullest, size.rows))
        throw new SyncError(
          'BadAnswer',
          `${name}: a full page of ${rows.length} rows shares one version: nothing behind it can be reached`,
        );
      const nowMs = earlierThan(answer);
      return {
        state: {
          at: larger ? (seen.largest as Version) : state.at,
          page: state.page + 1,
          fullest: Math.max(state.fullest, rows.length),
          unsorted: state.unsorted || !seen.sorted,
          ...(overlapMs !== undefined &&
            state.overlap && { overlap: passed(state.overlap, state.at, rows, overlapMs, nowMs), nowMs }),
        },
        position: `page ${state.page}`,
        // A filter behind the page makes short ones: they say nothing about the end.
        sign: larger ? null : 'nothing larger came',
      };
    },
    judge({ unsorted, overlap, nowMs }) {
      if (unsorted) {
        const doubt = `rows came out of the order of "${path}": smaller versions may stand behind larger ones`;
        return { doubt, again: false, owed: null };
      }
      if (overlapMs === undefined || !overlap || nowMs === undefined) return proven;
      return { ...proven, version: nextVersion(overlap, overlapMs, nowMs) };
    },
  };

  function passed(before: Overlap, at: Version, rows: readonly unknown[], overlap: number, nowMs: number): Overlap {
    let [seen, largest] = [before, at];
    for (const row of rows) {
      const told = valueAt(row, path);
      const version = versionOf(told);
      if (version === null || version <= (versionOf(largest) ?? 0n)) continue;
      // Nothing came before the first row of a read from the beginning.
      const below = largest === 0 ? null : largest;
      seen = passRow(seen, stream, row, { before: below, overlapMs: overlap, nowMs });
      largest = told as Version;
    }
    return seen;
  }
}

interface Versions {
  least: bigint | null;
  most: bigint | null;
  /** The largest as the platform wrote it. */
  largest: unknown;
  sorted: boolean;
}

/** A row without a version is set aside elsewhere; a page without any says nothing about where to go on. @throws BadAnswer */
function readVersions(name: string, path: string, rows: readonly unknown[]): Versions {
  const seen: Versions = { least: null, most: null, largest: null, sorted: true };
  let before: bigint | null = null;
  for (const row of rows) {
    const told = valueAt(row, path);
    const version = versionOf(told);
    if (version === null) continue;
    if (before !== null && version < before) seen.sorted = false;
    before = version;
    if (seen.least === null || version < seen.least) seen.least = version;
    if (seen.most !== null && version <= seen.most) continue;
    seen.most = version;
    seen.largest = told;
  }
  if (rows.length > 0 && seen.most === null)
    throw new SyncError(
      'BadAnswer',
      `${name}: none of ${rows.length} rows has a version at "${path}": accepted whole numbers`,
    );
  return seen;
}

function versionOf(told: unknown): bigint | null {
  if (typeof told === 'number') return Number.isSafeInteger(told) ? BigInt(told) : null;
  return typeof told === 'string' && /^(\d+|0x[0-9a-f]+)$/i.test(told) ? BigInt(told) : null;
}
