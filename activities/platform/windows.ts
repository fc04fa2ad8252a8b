import { historyOf, stepMs } from '../../connectors/history.ts';
import type { Stream, Window } from '../../connectors/shape.ts';
import type { PassKind } from '../../db/passes.ts';
import type { Range } from '../../db/slices.ts';
import { SyncError } from '../errors.ts';
import { formatTime } from '../http/values.ts';

export { stepMs };

export interface Known {
  watermarkMs: number | null;
  coveredFromMs: number | null;
  /** What was read before had another scope. */
  scopeChanged: boolean;
}

export interface Span {
  kind: PassKind;
  fromMs: number;
  toMs: number;
}

/**
 * Which range of a windowed stream a run reads. A first run, one whose watermark is older than the platform's history, one
 * of a catalogue that was not read from its beginning and one after a change of scope are full, whatever was asked.
 */
export function spanOf(
  window: Window,
  mode: 'full' | 'incremental' | null,
  known: Known,
  since: number | null,
  nowMs: number,
): Span {
  const step = stepMs(window);
  const { fromMs: oldest, by } = historyOf(window, since, nowMs);
  const first = servedFrom(window, since, nowMs);
  const toMs = floorTo(nowMs - window.lagMs, step);
  const from = known.watermarkMs === null ? null : known.watermarkMs - window.overlapMs;
  const tooOld = window.floorMs !== undefined && known.watermarkMs !== null && known.watermarkMs < oldest;
  // It was read when the beginning was not known to lie so far back.
  const tooShort = by === 'beginning' && known.coveredFromMs !== null && known.coveredFromMs > first;
  if (mode === 'full' || from === null || known.scopeChanged || tooOld || tooShort)
    return { kind: 'full', fromMs: Math.min(first, toMs), toMs };
  return { kind: 'incremental', fromMs: Math.min(ceilTo(Math.max(from, oldest), step), toMs), toMs };
}

/** Where the first whole step of the history begins, ms. */
export function servedFrom(window: Window, since: number | null, nowMs: number): number {
  return ceilTo(historyOf(window, since, nowMs).fromMs, stepMs(window));
}

/** Windows of at most the platform's cap, oldest first. */
export function cutWindows(window: Window, fromMs: number, toMs: number): Range[] {
  const ranges: Range[] = [];
  const cap = Math.max(stepMs(window), floorTo(window.capMs, stepMs(window)));
  for (let at = fromMs; at < toMs; at += cap) ranges.push({ fromMs: at, toMs: Math.min(at + cap, toMs) });
  return ranges;
}

export interface SplitOptions {
  /** Parts read side by side. Default 1. */
  parallel?: number;
  splitParts?: number | undefined;
  splitLeastSeconds?: number | undefined;
}

/** Nobody told how many rows are in it, only that they are too many. */
const blindParts = ({ parallel = 1 }: SplitOptions) => Math.max(10, parallel);

/**
 * Equal parts of a window; null when it is too short to be split.
 * @param wanted as many as its rows fill, or infinity where nobody knows
 */
export function splitWindow(window: Window, range: Range, wanted: number, options: SplitOptions): Range[] | null {
  const { fromMs, toMs } = range as Required<Range>;
  const step = stepMs(window);
  const least = Math.max(
    step,
    options.splitLeastSeconds ? options.splitLeastSeconds * 1_000 : (window.leastMs ?? 1_000),
  );
  const most =
    options.splitParts ?? window.parts ?? (wanted === Number.POSITIVE_INFINITY ? blindParts(options) : wanted);
  const parts = Math.min(wanted, most, Math.floor((toMs - fromMs) / least));
  if (parts < 2) return null;
  const length = ceilTo((toMs - fromMs) / parts, step);
  return cutWindows({ ...window, capMs: length }, fromMs, toMs);
}

/** The bounds as the platform's parameters. */
export function windowParams(stream: Stream, range: Range): Record<string, unknown> {
  const { window } = stream;
  if (!window || range.fromMs === undefined || range.fromMs === null || !range.toMs) return {};
  const end = window.end === 'closed' ? range.toMs - stepMs(window) : range.toMs;
  return { [window.from]: formatTime(range.fromMs, window.format), [window.to]: formatTime(end, window.format) };
}

/**
 * A range that a person typed, as ms: whole steps of the window, so that what lies in the last one in part is read.
 * @throws InvalidInput
 */
export function readRange(from: string, to: string, step: number): { fromMs: number; toMs: number } {
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  if (Number.isFinite(fromMs) && Number.isFinite(toMs) && fromMs < toMs)
    return { fromMs: floorTo(fromMs, step), toMs: ceilTo(toMs, step) };
  throw new SyncError(
    'InvalidInput',
    'from and to: accepted two moments such as 2026-11-01T00:00:00Z, the first before the second',
  );
}

const floorTo = (ms: number, step: number) => Math.floor(ms / step) * step;
const ceilTo = (ms: number, step: number) => Math.ceil(ms / step) * step;
