import type { Range } from '../../db/passes.ts';
import { splitWindow } from './windows.ts';
import type { ReadEnd, SliceWriter } from './writer.ts';

/** Rows above which a window is split, where the stream says nothing: about 100 pages, 10 s at 100 ms a page. */
const denseRows = 10_000;
/**
 * Fewer are not worth a slice: the first page of a window that is split is read twice, its last one is half full, and a
 * slice costs about six events. The last slice is read alone, below what the budget allows, so a few for each lane keep that
 * short, the more so the more lanes there are.
 */
const leastRows = (lanes: number) => Math.max(4_000, 48_000 / lanes);
const slicesPerLane = 6;
/** Rows of a first page that covers so many times more or less of its window than its share stand in heaps. */
const heaped = 4;

/** The split of a window that holds more rows than are worth one slice; null for one that is read as it is. */
export function denser(writer: SliceWriter): ReadEnd | null {
  const { stream, options } = writer.opened;
  if (!stream.window) return null;
  const total = writer.state.total ?? 0;
  const dense = stream.window.denseRows ?? denseRows;
  if (total <= dense) return null;
  // Of many parts most would be empty, and the one that holds the heap would have to be split as often again.
  const parts = isHeaped(writer, total) ? Number.POSITIVE_INFINITY : partsFor(total, dense, options.parallel);
  return partsOf(writer, parts) === null ? null : { kind: 'split', parts };
}

/** Equal parts of a slice's window, infinity: as many as suit a window of which little is known; null where it cannot be cut. */
export function partsOf({ opened, state }: SliceWriter, parts: number): Range[] | null {
  const { window } = opened.stream;
  if (!window || typeof state.fromMs !== 'number') return null;
  return splitWindow(window, state, parts, opened.options);
}

function partsFor(total: number, dense: number, lanes: number): number {
  const parts = Math.ceil(total / Math.min(dense, Math.max(leastRows(lanes), total / (slicesPerLane * lanes))));
  return parts > lanes ? Math.ceil(parts / lanes) * lanes : parts;
}

/** Whether the first page, if one was read, shows that rows are not spread over the window. */
function isHeaped({ first, state: { fromMs, toMs } }: SliceWriter, total: number): boolean {
  if (first === null || typeof fromMs !== 'number' || typeof toMs !== 'number') return false;
  const covered = first.spanMs / (((toMs - fromMs) * first.rows) / total);
  return covered > heaped || covered < 1 / heaped;
}
