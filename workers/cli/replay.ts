import type { StoredConnection } from '../../db/connections.ts';
import { coverages } from '../../db/coverage.ts';
import { releaseParked } from '../../db/hubspot/syncs.ts';
import { readHolders } from '../../db/report.ts';
import { replayWindowInput } from '../../workflows/platform.input.ts';
import { replayWindowId } from '../../workflows/platform.ts';
import { requireWorkflow } from './choose.ts';
import { streamOf } from './find.ts';
import { watchStreams } from './follow.platform.ts';
import { follow } from './follow.ts';
import { describeRun } from './runs.ts';
import type { Session } from './session.ts';
import { checked } from './start.input.ts';
import { alreadyRunning, launch, start } from './start.ts';
import { checkStreams, streamsOf } from './streams.ts';
import { wrongUse } from './trouble.ts';
import { counted } from './words.ts';

interface ReplayOptions {
  from?: string;
  to?: string;
  rejects?: boolean;
  wait?: boolean;
}

/** Reads a range again, or tries the records that stand aside; a run a stream. Moves no watermark. */
export async function replay(
  session: Session,
  name: string,
  stream: string | undefined,
  options: ReplayOptions,
): Promise<number | undefined> {
  const { platform } = await session.connection(name);
  if (platform === 'hubspot') return replayContacts(session, name, stream, options);
  const what = whatOf(options);
  const connection = await requireWorkflow(session, name, 'platformSync');
  checkStreams(connection, 'stream', stream === undefined ? [] : [stream]);
  const streams = await concerned(session, connection, stream, options);
  const inputs = streams.map((one) => checked(replayWindowInput, { connection: name, stream: one, ...what }, example));
  const { print } = session.terminal;
  if (streams.length === 0) {
    print(`No record of ${stream ?? name} stands aside: nothing to replay.`);
    return undefined;
  }
  await refuseBusy(session, name, streams);
  const runs = [];
  for (const [i, input] of inputs.entries()) {
    const workflowId = replayWindowId(name, streams[i] as string);
    runs.push(await launch(session, { workflow: 'replayWindow', name, workflowId, input }));
  }
  if (options.wait) return follow(session, await watchStreams(session, connection, runs));
  print(`Follow it with: npx syncline status ${name}`);
  return undefined;
}

/** Parked users are tried again although nothing changed. */
async function replayContacts(
  session: Session,
  name: string,
  stream: string | undefined,
  { from, to, rejects, wait }: ReplayOptions,
): Promise<number | undefined> {
  if (!rejects || from !== undefined || to !== undefined || stream !== undefined)
    throw wrongUse(
      `Contacts of HubSpot are written, not read: accepted: --rejects (users that were set aside). Everybody again: npx syncline start hubspotSync ${name} --mode full`,
    );
  const count = await releaseParked(await session.pool(), name);
  session.terminal.print(
    count === 0
      ? `No user of ${name} is set aside: nothing to replay.`
      : `Tried again: ${counted(count, 'user')} set aside before.`,
  );
  return count === 0 ? undefined : start(session, 'hubspotSync', name, { wait });
}

const example = '{"connection":"shop","stream":"orders","from":"2026-11-01","to":"2026-11-02"}';

function whatOf({ from, to, rejects }: ReplayOptions): { rejects: true } | { from: string; to: string } {
  if (rejects && from === undefined && to === undefined) return { rejects: true };
  if (rejects || from === undefined || to === undefined)
    throw wrongUse(
      'Say what to replay: --from 2026-11-01 --to 2026-11-02 (a range, read again), or --rejects (the records that stand aside)',
    );
  if (Date.parse(from) >= Date.parse(to))
    throw wrongUse(`--from: got "${from.slice(0, 40)}", accepted a moment before --to (${to.slice(0, 40)})`);
  return { from, to };
}

/** The stream that was named, else all that the request is about. */
async function concerned(
  session: Session,
  connection: StoredConnection,
  stream: string | undefined,
  { rejects }: ReplayOptions,
): Promise<string[]> {
  if (!rejects) return stream === undefined ? streamsOf(connection) : [stream];
  const known = await coverages(await session.pool(), connection.id);
  const waiting = known.flatMap((one) => (one.rejects > 0 ? [one.stream] : []));
  return stream === undefined ? waiting : waiting.filter((one) => one === stream);
}

/** Before anything is started: a stream that another run reads would end its replay at once. */
async function refuseBusy(session: Session, name: string, streams: readonly string[]): Promise<void> {
  const client = await session.client();
  for (const holder of await readHolders(await session.pool(), name)) {
    const stream = streamOf(holder.pipeline);
    if (stream === null || !streams.includes(stream)) continue;
    const run = await describeRun(client, holder);
    if (run?.status === 'RUNNING') throw alreadyRunning(`${run.type} of ${stream}`, name, run);
  }
}
