import { sinceOf } from '../../connectors/history.ts';
import { type Execution, takeClaim, writeUnderClaim } from '../../db/claims.ts';
import type { Client } from '../../db/client.ts';
import { coverageOf } from '../../db/coverage.ts';
import { doubtPass } from '../../db/parents.ts';
import { isLeftFull, openPass, type Pass, type PassKind } from '../../db/passes.ts';
import { type DoneSums, doneSums } from '../../db/readings.ts';
import { type Range, undone } from '../../db/slices.ts';
import { checkSnapshots } from '../../db/snapshots.ts';
import { ensureTable } from '../../db/streams.ts';
import { cutIds, keepFound } from '../../db/visits.ts';
import type { Deps } from '../deps.ts';
import type { Call } from '../step.ts';
import { idSource } from './each.ts';
import { columnValues } from './extract.ts';
import { fillColumns } from './fill.ts';
import { type OpenStream, openStream, perSecondOf, scopeOf, tableOf } from './open.ts';
import { doubtOfParent } from './parents.ts';
import { rootOf } from './tree.ts';
import { cutWindows, type Known, readRange, spanOf, stepMs } from './windows.ts';

export interface BeginInput extends Execution {
  connection: string;
  stream: string;
  /** Null: full where a full pass was left open, the first time, after a change of scope and when the platform's history does not reach back; else incremental. */
  mode: 'full' | 'incremental' | null;
  /** A range to read again, as typed by a person, or the records that stand aside; moves no watermark. */
  replay: { from: string; to: string } | 'rejects' | null;
}

export interface Begun {
  pass: Pass;
  /** Slices to read, in order; more may follow when the pass is closed. */
  slices: number[];
  /** Slices read side by side. */
  lanes: number;
  resumed: boolean;
  /** What the parts that are done brought; zeros for a pass that begins. */
  before: DoneSums;
  /** Length of the range to read, ms; 0 without window. */
  spanMs: number;
  /** What the connection's limits allow, for the estimate; null where none is known. */
  requestsPerSecond: number | null;
  /** Rows of a full page. */
  pageRows: number;
}

/** Ids of one slice of a stream that is read id by id: 10 s at a hundred calls a second. */
const idsPerSlice = 1_000;
const mostNumbers = 1_000;

/** Takes the stream for this run, makes its table, and cuts the pass into slices, or goes on with the one that was left open. */
export async function beginPass(deps: Deps, input: BeginInput, call: Call): Promise<Begun | { heldBy: Execution }> {
  const { connection, workflowId, runId } = input;
  const opened = await openStream(deps, connection, input.stream);
  const { isOpen } = deps;
  const claim = await takeClaim(deps.pool, {
    connection,
    pipeline: pipelineOf(input.stream),
    workflowId,
    runId,
    isOpen,
  });
  if ('heldBy' in claim) return claim;
  const { table, stream } = opened;
  const columns = await ensureTable(deps.pool, table);
  await fillColumns(deps.pool, table, columns, (data) => columnValues(stream, columns, data), call);
  await ensureNeighbours(deps, opened);
  const scope = passScopeOf(opened, input.replay);
  const span = await planSpan(deps, opened, { ...input, mode: await modeOf(deps, input, scope) });
  if (span.kind === 'full' && opened.options.snapshot) await checkSnapshots(deps.pool, table);
  const keepsSeen = needsSeen(opened, span.kind);
  const request = { claim, stream: input.stream, scope, keepsSeen, ...span };
  const { pass, resumed } = await openPass(deps.pool, request, async (client, id) =>
    input.replay === 'rejects' ? [] : cut(client, opened, { ...request, id, startedMs: 0 }),
  );
  if (opened.stream.over?.kind === 'tree') await plantTree(deps, opened, pass);
  const slices = await undone(deps.pool, pass.id, mostNumbers);
  const windowed = opened.stream.window !== undefined && pass.fromMs !== null && pass.toMs !== null;
  const spanMs = windowed ? Number(pass.toMs) - Number(pass.fromMs) : 0;
  const before = await doneSums(deps.pool, pass.id, spanMs);
  return { pass, slices, lanes: opened.options.parallel, resumed, before, spanMs, ...paceOf(opened) };
}

/** What a pass that was left open must have been cut for to be gone on with. */
function passScopeOf(opened: OpenStream, replay: BeginInput['replay']): string {
  const scope = scopeOf(opened);
  if (replay === 'rejects') return `${scope} rejects`;
  return opened.stream.over?.kind === 'each' ? `${scope} ids` : scope;
}

/** A sweep must know who came; a list whose rows move is proven by how many came in all its calls together. */
function needsSeen({ stream: { deletes, paging } }: OpenStream, kind: PassKind): boolean {
  if (kind === 'full' && deletes.kind === 'sweep') return true;
  return (paging.kind === 'page' || paging.kind === 'offset') && paging.order !== 'fixed';
}

/** Claims are kept a stream: the streams of a connection are read side by side, and a replay of one stops no other. */
export const pipelineOf = (stream: string) => `platform/${stream}`;

/** Tables that this stream's statements name must be there, whoever is read first. */
async function ensureNeighbours(deps: Deps, { connector, stream }: OpenStream): Promise<void> {
  const names = [
    ...(stream.over?.kind === 'each' ? [stream.over.stream] : []),
    ...(stream.deletes.kind === 'listed' ? [stream.deletes.by] : []),
  ];
  for (const name of names) await ensureTable(deps.pool, tableOf(connector, name));
}

function paceOf(opened: OpenStream): Pick<Begun, 'requestsPerSecond' | 'pageRows'> {
  const { paging } = opened.stream;
  return { requestsPerSecond: perSecondOf(opened), pageRows: 'size' in paging ? paging.size.rows : 1 };
}

/** One that cannot come to its end must not keep plain runs from reading what changed. */
const leftMinutes = 24 * 60;

/** Whoever asked for a full pass that was cut off still waits for the deletions it looks for: a run that names no mode goes on with it. */
async function modeOf(deps: Deps, input: BeginInput, scope: string): Promise<BeginInput['mode']> {
  if (input.mode !== null || input.replay !== null) return input.mode;
  const left = { scope, minutes: leftMinutes };
  return (await isLeftFull(deps.pool, input.connection, input.stream, left)) ? 'full' : null;
}

interface Span {
  kind: PassKind;
  fromMs: number | null;
  toMs: number | null;
  fromVersion?: string | number | null;
}

async function planSpan(deps: Deps, opened: OpenStream, input: BeginInput): Promise<Span> {
  const { window, over } = opened.stream;
  const coverage = await coverageOf(deps.pool, input.connection, input.stream);
  const known: Known = {
    watermarkMs: coverage?.watermarkMs ?? null,
    coveredFromMs: coverage?.coveredFromMs ?? null,
    scopeChanged: coverage !== null && coverage.scope !== scopeOf(opened),
  };
  if (input.replay) {
    if (input.replay === 'rejects') return { kind: 'replay', fromMs: null, toMs: null };
    const { from, to } = input.replay;
    const ranged = window !== undefined || over?.kind === 'each';
    const range = ranged ? readRange(from, to, window ? stepMs(window) : 1) : { fromMs: null, toMs: null };
    return { kind: 'replay', ...range };
  }
  if (window) return spanOf(window, input.mode, known, sinceOf(opened.options), Date.now());
  const changed = opened.stream.sql?.changed;
  if (changed && input.mode !== 'full' && known.watermarkMs !== null && !known.scopeChanged)
    return { kind: 'incremental', fromMs: known.watermarkMs - changed.overlapMs, toMs: null };
  const version = hasNextVersion(opened.stream) ? (coverage?.version ?? null) : null;
  if (version !== null && input.mode !== 'full' && known.watermarkMs !== null && !known.scopeChanged)
    return { kind: 'incremental', fromMs: null, toMs: null, fromVersion: version };
  // Without a window there is nothing to go on from, except where single ids tell what is new.
  const byId = over?.kind === 'each' && over.when === 'changed';
  const full = !byId || input.mode === 'full' || known.watermarkMs === null || known.scopeChanged;
  return { kind: full ? 'full' : 'incremental', fromMs: null, toMs: null };
}

const hasNextVersion = ({ paging }: OpenStream['stream']) =>
  paging.kind === 'version' && paging.overlapMs !== undefined;

async function cut(client: Client, opened: OpenStream, pass: Pass): Promise<Range[]> {
  const { window, over } = opened.stream;
  if (over?.kind === 'each') {
    const parts = await cutIds(client, pass, pass.id, idSource(opened, over, pass), idsPerSlice);
    const doubt = await doubtOfParent(client, opened, over, { ...pass, parts });
    if (doubt !== null) await doubtPass(client, pass.id, doubt);
    return [];
  }
  if (window && pass.fromMs !== null && pass.toMs !== null) return cutWindows(window, pass.fromMs, pass.toMs);
  if (opened.stream.sql?.changed && pass.fromMs !== null) return [{ fromMs: Math.floor(pass.fromMs) }];
  return [{}];
}

/** The root waits, unless this pass met it: also where the pass was opened and its answer lost before this. */
async function plantTree(deps: Deps, opened: OpenStream, pass: Pass): Promise<void> {
  const { over } = opened.stream;
  if (over?.kind !== 'tree') return;
  const root = rootOf(opened, over);
  await writeUnderClaim(deps.pool, pass.claim, { name: `plant ${pass.stream}` }, (client) =>
    keepFound(client, pass, [root]),
  );
}
