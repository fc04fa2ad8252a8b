import type { Stream } from '../../connectors/shape.ts';
import type { Pass } from '../../db/passes.ts';
import { readSliceState, type SliceState, splitSlice } from '../../db/slices.ts';
import type { Deps } from '../deps.ts';
import { RetryLater, SyncError } from '../errors.ts';
import { openClient, Refused } from '../http/client.ts';
import { type Cursor, paginate } from '../http/paginate.ts';
import type { Call } from '../step.ts';
import { rereadsMost } from './anew.ts';
import { countsItself, countWindow } from './count.ts';
import { denser, partsOf } from './dense.ts';
import { readIds } from './each.ts';
import { openStream } from './open.ts';
import { stillServed } from './served.ts';
import { readRows } from './sql.ts';
import { readTree, rootOf, treeInstead } from './tree.ts';
import { windowParams } from './windows.ts';
import { type ReadEnd, report, SliceWriter } from './writer.ts';

export interface SliceInput {
  pass: Pass;
  no: number;
}

/** What one call read of a slice; counts are the slice's own, from its start. */
export interface SliceResult {
  done: boolean;
  /** The slice was split: these numbers are read in its place. */
  split: { first: number; count: number } | null;
  rows: number;
  written: number;
  rejected: number;
  requests: number;
  /** Rows the source says the slice has. */
  total: number | null;
  /** Length of the window that is read whole, ms; 0 while it is read. */
  coveredMs: number;
  waitMs: number;
  /** The refusal that asked for the wait; null for a share of ours that is used up. Absent in results of earlier versions. */
  waitFor?: string | null;
  doubt: string | null;
}

/** Reads a slice until it ends, the call's time is up, the source asks to wait, or its window turns out too big. */
export async function readSlice(deps: Deps, { pass, no }: SliceInput, call: Call): Promise<SliceResult> {
  const stored = await readSliceState(deps.pool, pass.id, no);
  if (stored === null || stored.done) return told(stored ?? { ...nothing, no }, 0);
  const opened = await openStream(deps, pass.claim.connection, pass.stream);
  const state = await stillServed(deps, opened, pass, stored);
  if (state.done) return told(state, lengthOf(stored));
  const writer = await SliceWriter.open(deps, opened, pass, state);
  try {
    const end = await readKind(deps, writer, call);
    return await conclude(deps, writer, end);
  } catch (error) {
    // What came before the trouble is whole pages: kept, so that the next call goes on behind them.
    await writer.flush(false);
    if (error instanceof RetryLater)
      return { ...told(writer.state, 0), done: false, waitMs: error.waitMs, waitFor: error.why };
    if (error instanceof Refused && (error.verdict === 'too-big' || error.verdict === 'too-deep'))
      return conclude(deps, writer, tooMuch(writer, error));
    if (error instanceof SyncError && error.type === 'ChainBroken')
      return conclude(deps, writer, { kind: 'done', doubt: error.message });
    throw error;
  }
}

async function readKind(deps: Deps, writer: SliceWriter, call: Call): Promise<ReadEnd> {
  const { stream } = writer.opened;
  const count = await countWindow(deps, writer, call);
  if (count === 0 && countsItself(writer)) return { kind: 'done', doubt: null };
  const dense = count === null ? null : await denser(writer);
  if (dense !== null) return dense;
  if (stream.sql) return readRows(deps, writer, call);
  if (stream.over?.kind === 'each') return readIds(deps, writer, stream.over, call);
  if (stream.over?.kind === 'tree') return readTree(deps, writer, { over: stream.over, stream }, call);
  const instead = treeInstead(writer.opened);
  if (instead && isInstead(writer.state.cursor)) return readTree(deps, writer, instead, call);
  return readWindow(deps, writer, call);
}

/** The first page is read alone: it may tell that the window is better split, and the next request would be for nothing. */
async function readWindow(deps: Deps, writer: SliceWriter, call: Call): Promise<ReadEnd> {
  const first = writer.state.cursor === null && writer.opened.stream.window !== undefined;
  const end = await readPages(deps, writer, call, () => first || call.shouldEnd());
  if (!first || end.kind !== 'more') return end;
  return (await denser(writer)) ?? readPages(deps, writer, call, () => call.shouldEnd());
}

async function readPages(deps: Deps, writer: SliceWriter, call: Call, shouldEnd: () => boolean): Promise<ReadEnd> {
  const { opened, state } = writer;
  const { stream, name } = opened;
  const client = openClient(deps, opened.connection, opened.connector);
  const at = {
    params: { ...windowParams(stream, state), ...versionParams(stream, writer.pass) },
    cursor: state.cursor as Cursor | null,
    signal: call.signal,
    shouldEnd,
  };
  for await (const page of paginate(client, name, stream, at)) {
    const origin = { readMs: page.requestedAt, position: page.position };
    await writer.add(page, origin, {
      // A list that has ended has no place to go on from: killed before it counts as read, it costs its last page again.
      cursor: page.ended ? writer.state.cursor : page.cursor,
      requests: writer.state.requests + page.requests,
      total: page.total ?? writer.state.total,
    });
    report(writer, call);
    if (page.ended) return { kind: 'done', ...page.ended };
  }
  return { kind: 'more' };
}

function versionParams({ paging }: Stream, { fromVersion = null }: Pass): Record<string, unknown> {
  return paging.kind === 'version' && fromVersion !== null ? { [paging.param]: fromVersion } : {};
}

async function conclude(deps: Deps, writer: SliceWriter, end: ReadEnd): Promise<SliceResult> {
  const { pass } = writer;
  if (end.kind === 'split') {
    await writer.flush(false);
    const split = await splitSlice(deps.pool, pass, writer.state, partsOf(writer, end.parts) ?? []);
    return { ...told(writer.state, 0), done: true, split };
  }
  if (end.kind === 'done') await settle(writer, end);
  await writer.flush(writer.state.done);
  return told(writer.state, writer.state.done ? lengthOf(writer.state) : 0);
}

const lengthOf = ({ fromMs, toMs }: SliceState) =>
  typeof fromMs === 'number' && typeof toMs === 'number' ? toMs - fromMs : 0;

/** A list that disagrees with its own total is read again, until it agrees or the shortfall is shown. */
async function settle(writer: SliceWriter, end: Extract<ReadEnd, { kind: 'done' }>): Promise<void> {
  await writer.flush(false);
  const { rereads, seen } = writer.state;
  // Ids of an earlier reading, of which some may have left since, say nothing of this one. A window has its own (db/seen.ts).
  const alone = isAlone(writer) && writer.pass.keepsSeen;
  const lifted = writer.pass.keepsSeen && typeof end.owed === 'number' && seen >= end.owed && (alone || rereads === 0);
  const doubt = lifted ? null : end.doubt;
  if (doubt !== null && end.again !== false && rereads < rereadsMost) {
    writer.move({ cursor: null, rereads: rereads + 1 });
    if (alone) writer.forget();
  } else writer.move({ done: true, cursor: null, doubt: doubt ?? writer.state.doubt, version: end.version ?? null });
}

/** Whether the slice reads one list, of its pass or of a window: of many, what others brought is not read again with it. */
function isAlone({ opened: { stream }, state }: SliceWriter): boolean {
  return stream.over === undefined && !isInstead(state.cursor);
}

/** In the place of a list's cursor: it goes on as the tree that stands in place of it. */
const goesInstead = { family: 'instead' };
const isInstead = (cursor: unknown) => (cursor as typeof goesInstead | null)?.family === 'instead';

/** A window that cannot be cut further is read as deep as the platform lets us, and says what it lacks. */
function tooMuch(writer: SliceWriter, refused: Refused): ReadEnd {
  if (partsOf(writer, Number.POSITIVE_INFINITY) !== null) return { kind: 'split', parts: Number.POSITIVE_INFINITY };
  const instead = treeInstead(writer.opened);
  if (instead && !isInstead(writer.state.cursor)) {
    writer.visit({ found: [rootOf(writer.opened, instead.over)] });
    writer.move({ cursor: goesInstead });
    return { kind: 'more' };
  }
  if (!writer.opened.stream.window) throw refused;
  writer.move({ rereads: rereadsMost });
  return {
    kind: 'done',
    doubt: `a window of ${(writer.state.toMs ?? 0) - (writer.state.fromMs ?? 0)} ms holds more than the platform serves (${refused.verdict} ${refused.code})`,
  };
}

const nothing: SliceState = {
  no: 0,
  cursor: null,
  done: true,
  pages: 0,
  rows: 0,
  seen: 0,
  written: 0,
  rejected: 0,
  requests: 0,
  rereads: 0,
  total: null,
  doubt: null,
};

function told({ done, rows, written, rejected, requests, total, doubt }: SliceState, coveredMs: number): SliceResult {
  return { done, split: null, rows, written, rejected, requests, total, coveredMs, waitMs: 0, doubt };
}
