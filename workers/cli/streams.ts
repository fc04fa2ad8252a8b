import type { Client } from '@temporalio/client';
import { databasePlatform, segmentStreams } from '../../activities/audience/catalog.ts';
import { type Cut, connectors, cutOf } from '../../activities/platform/catalog.ts';
import type { StoredConnection } from '../../db/connections.ts';
import { coverages, type StreamStanding } from '../../db/coverage.ts';
import { openReadings, type Reading } from '../../db/readings.ts';
import { type Holder, readHolders } from '../../db/report.ts';
import { coveredOf, paceOf } from '../../workflows/platform.estimate.ts';
import type { StreamResult } from '../../workflows/platform.stream.ts';
import { type PlatformProgress, type PlatformSyncResult, streamSyncId } from '../../workflows/platform.ts';
import type { StreamProgress } from '../../workflows/platform.view.ts';
import { readsStreams } from '../pipelines.ts';
import { streamOf } from './find.ts';
import { describeTrouble } from './pending.ts';
import { askProgress, describeRun, look, outcomeOf, type Run } from './runs.ts';
import type { Session } from './session.ts';
import { wrongUse } from './trouble.ts';

/** What one stream does, how it ended, and what is known of its data. `--json` prints it. */
export interface StreamStatus {
  stream: string;
  /**
   * Of an open run: unattended (no worker) | waiting (for other streams) | running | paused. Of an ended one, or of one
   * that goes on with other streams: whole | doubtful | skipped | parked | failed. interrupted: no run reads it, and its
   * last one ended before the pass did; the next one goes on there. idle: no run that Temporal knows tells.
   */
  state: string;
  /** Run that reads it at the moment; a child of the connection's run as a rule. */
  run: Run | null;
  /** Null without a worker, and while nothing reads it. Its numbers are those that are committed, ahead of what the run was told. */
  progress: StreamProgress | null;
  /** Share of the pass that is read, 0-1: of the one at work, or of one that was left off; else null. */
  covered: number | null;
  /** Why it is parked or failed. */
  reason: string | null;
  /** Rows that came, so far, until it was left off, or in the last run; null where nothing tells. */
  rows: number | null;
  /** Complete up to here; null before the first whole pass. */
  watermark: Date | null;
  coveredFrom: Date | null;
  /** Older rows than this are left out, and what decided it; null where the history is whole. */
  cut: Cut | null;
  fullAt: Date | null;
  /** Milliseconds since the watermark. */
  lagMs: number | null;
  doubt: string | null;
  withheld: number;
  /** Records that stand aside. */
  rejects: number;
  /** Streams for whose rows it is read: one that lacks rows is read again with them. */
  over: string[];
}

type Doing = Pick<StreamStatus, 'state' | 'run' | 'progress' | 'covered' | 'reason' | 'rows'>;

/** Streams that runs of the connection read: its option `streams`, else all of its connector. */
export function streamsOf({ platform, options }: Pick<StoredConnection, 'platform' | 'options'>): string[] {
  if (Array.isArray(options.streams)) return options.streams.map(String);
  if (platform === databasePlatform) return segmentStreams.filter((name) => options[name] !== undefined);
  return Object.keys(connectors[platform]?.streams ?? {});
}

function overOf({ platform }: Pick<StoredConnection, 'platform'>, stream: string): string[] {
  const over = connectors[platform]?.streams[stream]?.over;
  return over?.kind === 'each' ? [over.stream] : [];
}

/** @throws CommandError (usage) for a stream that the connector does not have */
export function checkStreams(
  { platform, options }: Pick<StoredConnection, 'platform' | 'options'>,
  flag: string,
  streams: readonly string[],
): void {
  const known = streamsOf({ platform, options: { ...options, streams: undefined } });
  const unknown = streams.find((one) => !known.includes(one));
  // A connector of somebody's own may be known to the worker alone.
  if (unknown !== undefined && known.length > 0)
    throw wrongUse(`${flag}: got "${unknown.slice(0, 40)}", accepted ${known.join(', ')}`);
}

/**
 * Looks at every stream of a connection, and at what its runs say of themselves.
 * @param runs as findRuns gives them
 * @param polled false: nobody is asked who would need a worker
 */
export async function lookAtStreams(
  session: Session,
  connection: StoredConnection,
  runs: readonly Run[],
  polled: boolean,
): Promise<{ streams: StreamStatus[]; notes: string[] }> {
  const [client, pool] = await Promise.all([session.client(), session.pool()]);
  const [known, holders, readings] = await Promise.all([
    coverages(pool, connection.id),
    readHolders(pool, connection.id),
    openReadings(pool, connection.id),
  ]);
  const told = await Promise.all(runs.map((run) => tellOf(client, run, polled)));
  const held = holders.flatMap((holder) => streamOf(holder.pipeline) ?? []);
  const begun = readings.map(({ stream }) => stream);
  const described = connectors[connection.platform]?.streams ?? {};
  const coveredFrom = (name: string) => known.find(({ stream }) => stream === name)?.coveredFromMs;
  const names = new Set([...streamsOf(connection), ...known.map(({ stream }) => stream), ...held, ...begun]);
  const streams = await Promise.all(
    [...names].map(async (stream) => {
      const holder = holders.find(({ pipeline }) => streamOf(pipeline) === stream) ?? null;
      const reading = readings.findLast((one) => one.stream === stream) ?? null;
      const doing = await doingOf(client, { stream, holder, reading, told, polled });
      const over = overOf(connection, stream);
      const cut = cutOf(described, stream, connection.options, coveredFrom);
      return { stream, ...doing, ...factsOf(known.find((one) => one.stream === stream)), over, cut };
    }),
  );
  const trouble = runs.flatMap(({ pending }) => pending.flatMap(describeTrouble));
  return { streams, notes: [...told.flatMap(({ notes }) => notes), ...trouble] };
}

/** What a run tells of its streams. */
interface Told {
  run: Run;
  streams: PlatformProgress['streams'] | null;
  notes: string[];
}

async function tellOf(client: Client, run: Run, polled: boolean): Promise<Told> {
  const silent: Told = { run, streams: null, notes: [] };
  const ofMany = readsStreams(run.type);
  if (run.status === 'RUNNING') {
    const progress = ofMany && polled ? await askProgress<PlatformProgress>(client, run) : null;
    return progress ? { run, streams: progress.streams, notes: progress.notes } : silent;
  }
  if (run.status !== 'COMPLETED' || !(ofMany || run.type === 'streamSync')) return silent;
  const outcome = await outcomeOf<PlatformSyncResult | StreamResult>(client, run);
  if ('failure' in outcome) return silent;
  return { ...silent, streams: 'streams' in outcome.result ? outcome.result.streams : [outcome.result] };
}

/** What is known of a stream besides its rows. */
interface Known {
  stream: string;
  holder: Holder | null;
  /** Its open pass. */
  reading: Reading | null;
  told: readonly Told[];
  polled: boolean;
}

async function doingOf(client: Client, { stream, holder, reading, told, polled }: Known): Promise<Doing> {
  for (const { run, streams } of told) {
    if (run.status !== 'RUNNING') continue;
    const said = streams?.find((one) => one.stream === stream);
    if (said && said.outcome !== 'running') return ended(said);
    const reader = readsStreams(run.type) ? await childOf(client, run, stream) : run;
    const reads = reader === run ? holder?.workflowId === run.workflowId : reader?.status === 'RUNNING';
    if (reader && reads) return atWork(client, reader, reading, polled);
  }
  const left = reading && reading.rows + reading.done > 0 && { covered: coveredOf(reading), rows: reading.rows };
  const closed = told.flatMap(({ run, streams }) => (run.status === 'RUNNING' ? [] : (streams ?? [])));
  const last = closed.find((one) => one.stream === stream);
  // Why it was not read tells more than how far it came.
  if (last && 'reason' in last) return { ...ended(last), ...left };
  if (left) return { ...nothing, ...left, state: 'interrupted' };
  return last ? ended(last) : { ...nothing, state: 'idle' };
}

/** The child of this very run; an earlier run of the same id had children of the same ids. */
async function childOf(client: Client, run: Run, stream: string): Promise<Run | null> {
  const child = await describeRun(client, { workflowId: streamSyncId(run.workflowId, stream), runId: '' });
  return child?.parent?.runId === run.runId ? child : null;
}

async function atWork(client: Client, seen: Run, reading: Reading | null, polled: boolean): Promise<Doing> {
  const committed = reading && { covered: coveredOf(reading), rows: reading.rows };
  if (!polled) return { ...nothing, ...committed, state: 'unattended', run: seen };
  const { run, progress: told } = await look<StreamProgress>(client, seen, (progress) => progress);
  const progress = told && reading ? withReading(told, reading) : told;
  const state = progress?.state === 'paused' ? 'paused' : 'running';
  const numbers = progress && { covered: progress.covered, rows: progress.rows };
  return { ...nothing, ...(numbers ?? committed), state, run, progress };
}

/**
 * The progress with what is committed since: a run is told by slices that end, every few seconds. What it was told later
 * than the passes were looked at stays.
 */
function withReading(told: StreamProgress, reading: Reading): StreamProgress {
  if (reading.rows <= told.rows || told.state === 'done') return told;
  const { rows, written, rejected, requests, known } = reading;
  const covered = Math.max(told.covered, coveredOf(reading));
  // A run that waits for somebody has no pace.
  const pace = told.state === 'paused' ? {} : paceOf({ rows, known, covered }, told.start, Date.now());
  return { ...told, rows, written, rejected, requests, covered, ...pace };
}

const nothing: Omit<Doing, 'state'> = { run: null, progress: null, covered: null, reason: null, rows: null };

function ended(one: PlatformProgress['streams'][number]): Doing {
  return {
    ...nothing,
    state: one.outcome,
    reason: 'reason' in one ? one.reason : null,
    rows: 'rows' in one ? one.rows : null,
  };
}

function factsOf(known: StreamStanding | undefined): Omit<StreamStatus, keyof Doing | 'stream' | 'over' | 'cut'> {
  const at = (ms: number | null | undefined) => (typeof ms === 'number' ? new Date(ms) : null);
  const watermark = at(known?.watermarkMs);
  return {
    watermark,
    coveredFrom: at(known?.coveredFromMs),
    fullAt: at(known?.fullMs),
    lagMs: watermark && Date.now() - watermark.getTime(),
    doubt: known?.doubt ?? null,
    withheld: known?.withheld ?? 0,
    rejects: known?.rejects ?? 0,
  };
}
