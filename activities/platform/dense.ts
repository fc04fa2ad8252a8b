import type { Range } from '../../db/slices.ts';
import { splitWindow } from './windows.ts';
import type { ReadEnd, SliceWriter } from './writer.ts';

/** Rows above which a window is split, where the stream says nothing: about 100 pages, 10 s at 100 ms a page. */
const denseRows = 10_000;
/**
 * Fewer are not worth a slice: the first page of a window that is split is read twice, its last one is half full, and a
 * slice costs about six events.
 */
const leastRows = (lanes: number) => Math.max(4_000, 64_000 / lanes);
const slicesPerLane = 6;
/**
 * Fewer are not given to a lane that would have nothing to read. Before lanes shared, the last slice of 200,000 rows at
 * 100 ms and 25 requests/s was read alone for 7 of 84 s, below what the budget allows.
 */
const sharedRows = 1_500;
/** Rows of a first page that covers so many times more or less of its window than its share stand in heaps. */
const heaped = 4;

/** The split of a window that holds more rows than are worth one slice; null for one that is read as it is. */
export async function denser(writer: SliceWriter): Promise<ReadEnd | null> {
  const { stream, options } = writer.opened;
  if (!stream.window) return null;
  const total = writer.state.total ?? 0;
  const dense = stream.window.denseRows ?? denseRows;
  const inHeaps = isHeaped(writer, total);
  // Of many parts most would be empty, and the one that holds the heap would have to be split as often again.
  if (total > dense)
    return split(writer, inHeaps ? Number.POSITIVE_INFINITY : partsFor(total, dense, options.parallel));
  if (inHeaps || total < 2 * sharedRows) return null;
  const parts = Math.round(total / ((await writer.rowsLeft()) / options.parallel));
  return split(writer, Math.min(parts, Math.floor(total / sharedRows)));
}

function split(writer: SliceWriter, parts: number): ReadEnd | null {
  return partsOf(writer, parts) === null ? null : { kind: 'split', parts };
}

/** Equal parts of a slice's window, infinity: as many as suit a window of which little is known; null where it cannot be cut. */
export function partsOf({ opened, state }: SliceWriter, parts: number): Range[] | null {
  const { window } = opened.stream;
  if (!window || typeof state.fromMs !== 'number') return null;
  return splitWindow(window, state, parts, opened.options);
}

/** A multiple of the lanes where there are more parts than lanes: then they end together. */
function partsFor(total: number, dense: number, lanes: number): number {
  const parts = Math.ceil(total / Math.min(dense, Math.max(leastRows(lanes), total / (slicesPerLane * lanes))));
  if (parts <= lanes) return parts;
  const fewer = Math.floor(parts / lanes) * lanes;
  return total / fewer <= dense ? fewer : fewer + lanes;
}

/** Whether the first page, if one was read, shows that rows are not spread over the window. */
function isHeaped({ first, state: { fromMs, toMs } }: SliceWriter, total: number): boolean {
  if (first === null || typeof fromMs !== 'number' || typeof toMs !== 'number') return false;
  const covered = first.spanMs / (((toMs - fromMs) * first.rows) / total);
  return covered > heaped || covered < 1 / heaped;
}
