import { type ContactsStanding, contactsStanding } from '../../db/hubspot/report.ts';
import type { HubspotSyncResult } from '../../workflows/hubspot.ts';
import type { HubspotProgress } from '../../workflows/hubspot.view.ts';
import { describeProgress, describeResult, withBeats } from './follow.hubspot.ts';
import { describeTrouble, waitFact } from './pending.ts';
import { look, outcomeOf } from './runs.ts';
import { type Asked, describeNext, describeRun, type RunStatus } from './status.words.ts';
import { ago, columns, count, counted } from './words.ts';

/** What `--json` prints for a connection to HubSpot. */
export interface HubspotStatus extends RunStatus {
  workflow: 'hubspotSync';
  /** Null without a worker, and while nothing runs. */
  progress: HubspotProgress | null;
  standing: ContactsStanding;
  /** Milliseconds since the oldest change that is not sent; null when nothing is dirty and the log is empty. */
  lagMs: number | null;
}

export async function hubspotStatus(asked: Asked): Promise<HubspotStatus> {
  const { session, client, connection, schedule, polled } = asked;
  const [seen = null] = asked.runs;
  const open = seen?.status === 'RUNNING' && polled;
  const { run, progress } =
    seen && open ? await look<HubspotProgress>(client, seen, withBeats) : { run: seen, progress: null };
  const standing = await contactsStanding(await session.pool(), connection);
  const state =
    run === null
      ? 'none'
      : run.status !== 'RUNNING'
        ? run.status.toLowerCase()
        : !polled
          ? 'waiting'
          : (progress?.state ?? 'running');
  return {
    connection: connection.id,
    platform: connection.platform,
    tenant: connection.tenant,
    workflow: 'hubspotSync',
    state,
    run,
    outcome: run && run.status !== 'RUNNING' ? await ending(asked, run) : null,
    progress,
    standing,
    lagMs: standing.since && Date.now() - standing.since.getTime(),
    schedule,
  };
}

async function ending({ client, connection }: Asked, run: NonNullable<RunStatus['run']>): Promise<string> {
  const outcome = await outcomeOf<HubspotSyncResult>(client, run);
  return 'failure' in outcome ? outcome.failure : describeResult(connection.id, outcome.result).join('. ');
}

/** A note of what the run does, and not of what it waits for. */
const isNews = (note: string) => /^everybody is |^\d+ parked rows are tried again/.test(note);

export function showHubspot(one: HubspotStatus): string[] {
  const { connection, progress, standing } = one;
  const { confirmed, dirty, held, since, parked, logged, mark } = standing;
  const open = [
    ...(mark ? [mark === 'resend' ? 'everybody is to be sent again' : 'everybody is to be looked at'] : []),
    ...(dirty > 0 ? [`${counted(dirty, 'user')} to send`] : logged || mark ? [] : ['nothing to send']),
    ...(logged ? [`${counted(logged, 'change')} in the log, to be taken by a run`] : []),
    ...(since ? [`the oldest change ${ago(since)}`] : []),
    ...(held > 0 ? [`${count(held)} wait for calls without an answer`] : []),
    ...(logged === null ? ['changes are not captured'] : []),
  ];
  const facts: [string, string][] = [
    ['run', describeRun(one, 'hubspotSync', progress === null)],
    ...(progress ? [['sends', describeProgress(progress)] as [string, string]] : []),
    ...(progress?.notes ?? []).map((line): [string, string] => (isNews(line) ? ['note', line] : waitFact(line))),
    ...(one.run?.pending ?? []).flatMap(describeTrouble).map(waitFact),
    ['contacts', `${count(confirmed)} confirmed; ${open.join('; ')}`],
    ...(parked > 0
      ? [['parked', `${counted(parked, 'user')}; why: npx syncline rejects ${connection}`] as [string, string]]
      : []),
    ['next', describeNext(one.schedule)],
  ];
  return [`${connection} (${one.platform}, tenant ${one.tenant})`, ...columns(facts).map((line) => `  ${line}`), ''];
}
