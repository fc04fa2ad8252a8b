import { cutLines } from '../../activities/platform/catalog.ts';
import type { Execution } from '../../db/claims.ts';
import type { StoredConnection } from '../../db/connections.ts';
import type { StreamResult } from '../../workflows/platform.stream.ts';
import type { PlatformSyncResult, StreamOutcome } from '../../workflows/platform.ts';
import { workflowsOf } from '../pipelines.ts';
import { ended, type Sight } from './follow.ts';
import { toldTrouble } from './pending.ts';
import { describeRun, isPolled, outcomeOf, type Run } from './runs.ts';
import type { Session } from './session.ts';
import { lookAtStreams, type StreamStatus } from './streams.ts';
import { advise, describeStreams, describeWaits } from './streams.words.ts';
import { CommandError } from './trouble.ts';
import { columns, count, counted, duration } from './words.ts';

type Replayed = StreamResult | { stream: string; tried: number; landed: number };

/**
 * Sees runs of platformSync or replayWindow to their ends. Exit code 1 when a run failed or a stream of it was not read,
 * 4 when all were read and one may lack rows.
 */
export async function watchStreams(
  session: Session,
  connection: StoredConnection,
  started: readonly Execution[],
): Promise<() => Promise<Sight>> {
  const client = await session.client();
  return async () => {
    const runs = await Promise.all(
      started.map(async (one) => {
        const run = await describeRun(client, one);
        if (run) return run;
        throw new CommandError(`Temporal no longer knows the run ${one.workflowId}: somebody deleted it`);
      }),
    );
    const polled = await isPolled(client, session.config.taskQueue);
    const seen = await lookAtStreams(session, connection, runs, polled);
    const streams = seen.streams.filter(({ state }) => state !== 'idle' && state !== 'interrupted');
    const open = runs.some(({ status }) => status === 'RUNNING');
    return {
      picture: [...describeStreams(streams), ...seen.notes, ...streams.flatMap(describeWaits)],
      events: [...streams.flatMap(eventOf), ...streams.flatMap(notesOf)],
      end: open ? null : await endOf(session, connection, runs),
    };
  };
}

/** A stream that is read, or how it ended: once each. */
function eventOf({ stream, state, progress, rows, reason }: StreamStatus): string[] {
  if (state === 'waiting' || state === 'unattended') return [];
  if (state === 'paused') return [`${stream} is paused`];
  if (state === 'running') return progress?.kind ? [`${stream} is read (${progress.kind})`] : [];
  if (reason !== null) return [`${stream} ${state}: ${reason}`];
  return [`${stream} ${state}${rows === null ? '' : ` (${counted(rows, 'row')})`}`];
}

/** Like describeWaits, without what changes from look to look. */
function notesOf({ stream, progress, run }: StreamStatus): string[] {
  const again = (run?.pending ?? []).flatMap(toldTrouble);
  return [...(progress?.notes ?? []), ...again].map((note) => `${stream}: ${note}`);
}

async function endOf(session: Session, connection: StoredConnection, runs: readonly Run[]): Promise<Sight['end']> {
  const client = await session.client();
  const outcomes = await Promise.all(
    runs.map(async (run) => ({ run, ...(await outcomeOf<PlatformSyncResult | Replayed>(client, run)) })),
  );
  const [only, other] = outcomes;
  if (only && !other && 'failure' in only) throw new CommandError(`The run ${ended(only.run.status)}: ${only.failure}`);
  const failures = outcomes.flatMap((one) =>
    'failure' in one ? [`${one.run.workflowId} ${ended(one.run.status)}: ${one.failure}`] : [],
  );
  const results = outcomes.flatMap((one) => ('failure' in one ? [] : [one.result]));
  const read = results.flatMap((one) => ('streams' in one ? one.streams : 'tried' in one ? [] : [one]));
  const named = [...read, ...results].flatMap((one) => ('stream' in one ? [one.stream] : []));
  const { streams } = await lookAtStreams(session, connection, runs, false);
  const advice = streams
    .filter(({ stream }) => named.includes(stream))
    .flatMap((one) => advise(connection.id, one, workflowsOf(connection.platform)[0]));
  const unread = read.some(({ outcome }) => outcome === 'parked' || outcome === 'failed');
  return {
    lines: [...failures, ...describeResults(results), ...advice],
    exitCode: failures.length > 0 || unread ? 1 : read.some(({ outcome }) => outcome === 'doubtful') ? 4 : 0,
  };
}

const outcomes = { whole: 'Whole', doubtful: 'Doubtful', partial: 'Partial' };

/** The results of runs for people: of a run over many streams, or of replays of one each. */
function describeResults(results: readonly (PlatformSyncResult | Replayed)[]): string[] {
  const retried = results.flatMap((one) =>
    'tried' in one
      ? [`${one.stream}: ${count(one.landed)} of ${counted(one.tried, 'record')} that stood aside landed`]
      : [],
  );
  const replayed = results.flatMap((one) => ('streams' in one || 'tried' in one ? [] : [one]));
  const lines = replayed.length > 0 ? [`Read again: ${share(replayed)}`, ...table(replayed)] : [];
  // A replay leaves what is known of the stream as it is, so that nothing else tells its doubt.
  for (const { stream, doubt } of replayed) if (doubt !== null) lines.push(`${stream}: may lack rows: ${doubt}`);
  const whole = results.flatMap((one) =>
    'streams' in one
      ? [
          `${outcomes[one.outcome]}: ${share(one.streams)}, ${duration(one.durationMs)}`,
          ...table(one.streams),
          ...cutLines(one.streams.map((read) => ({ stream: read.stream, cut: ('cut' in read && read.cut) || null }))),
        ]
      : [],
  );
  return [...retried, ...lines, ...whole];
}

function share(streams: readonly StreamOutcome[]): string {
  const whole = streams.filter(({ outcome }) => outcome === 'whole').length;
  return `${count(whole)} of ${counted(streams.length, 'stream')} whole`;
}

function table(streams: readonly StreamOutcome[]): string[] {
  return columns(
    streams.map((one) => [
      one.stream,
      one.outcome,
      ...('reason' in one
        ? []
        : [
            one.kind ?? '',
            counted(one.rows, 'row'),
            `${count(one.written)} written`,
            `${count(one.deleted)} deleted`,
            `${count(one.rejected)} set aside`,
            counted(one.requests, 'request'),
          ]),
    ]),
  );
}
