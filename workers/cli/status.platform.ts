import { cutLines } from '../../activities/platform/catalog.ts';
import type { StoredConnection } from '../../db/connections.ts';
import type { PlatformSyncResult } from '../../workflows/platform.ts';
import { workflowsOf } from '../pipelines.ts';
import { waitFact } from './pending.ts';
import { outcomeOf, type Run } from './runs.ts';
import { type Asked, describeNext, describeRun, type RunStatus } from './status.words.ts';
import { lookAtStreams, type StreamStatus } from './streams.ts';
import { advise, describeStreams, describeWaits } from './streams.words.ts';
import { ago, columns } from './words.ts';

/** What `--json` prints for an open platform. */
export interface PlatformStatus extends RunStatus {
  workflow: 'platformSync' | 'segmentSync';
  /** Other open runs, such as replays. */
  others: Run[];
  streams: StreamStatus[];
  /** Why the run waits or is tried again; those of a stream stand in its progress. */
  notes: string[];
  /** Lag of the stream that is furthest behind, milliseconds; null before the first was read whole. */
  lagMs: number | null;
}

export async function platformStatus(asked: Asked): Promise<PlatformStatus> {
  const { session, client, connection, runs, schedule, polled } = asked;
  const [run = null, ...more] = runs;
  const { streams, notes } = await lookAtStreams(session, connection, runs, polled);
  const lags = streams.flatMap(({ lagMs }) => lagMs ?? []);
  return {
    connection: connection.id,
    platform: connection.platform,
    tenant: connection.tenant,
    workflow: workflowOf(connection),
    state: stateOf(run, streams, polled),
    run,
    others: more.filter(({ status }) => status === 'RUNNING'),
    outcome: run && run.status !== 'RUNNING' ? await ending(client, run) : null,
    streams,
    notes,
    lagMs: lags.length > 0 ? Math.max(...lags) : null,
    schedule,
  };
}

function workflowOf({ platform }: Pick<StoredConnection, 'platform'>): PlatformStatus['workflow'] {
  return workflowsOf(platform).includes('segmentSync') ? 'segmentSync' : 'platformSync';
}

function stateOf(run: Run | null, streams: readonly StreamStatus[], polled: boolean): string {
  if (run === null) return 'none';
  if (run.status !== 'RUNNING') return run.status.toLowerCase();
  if (!polled) return 'waiting';
  return streams.some(({ state }) => state === 'paused') ? 'paused' : 'running';
}

/** `whole`, `partial`, `doubtful` or `replayed`, or why the run failed. */
async function ending(client: Asked['client'], run: Run): Promise<string> {
  const outcome = await outcomeOf<Partial<PlatformSyncResult>>(client, run);
  return 'failure' in outcome ? outcome.failure : (outcome.result.outcome ?? 'replayed');
}

export function showPlatform(one: PlatformStatus): string[] {
  const { connection, others, streams } = one;
  const silent = streams.every(({ progress }) => progress === null);
  const facts: [string, string][] = [
    ['run', describeRun(one, one.workflow, silent)],
    ...others.map((run): [string, string] => ['also', `${run.type}, since ${ago(run.startedAt)}, ${run.workflowId}`]),
    ...[...one.notes, ...streams.flatMap(describeWaits)].map(waitFact),
    ['next', describeNext(one.schedule)],
  ];
  const body = [
    ...columns(facts),
    ...describeStreams(streams),
    ...cutLines(streams),
    ...streams.flatMap((s) => advise(connection, s, one.workflow)),
  ];
  return [`${connection} (${one.platform}, tenant ${one.tenant})`, ...body.map((line) => `  ${line}`), ''];
}
