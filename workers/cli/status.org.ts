import { readStanding, type Standing } from '../../db/org/report.ts';
import type { OrgSyncResult } from '../../workflows/org.result.ts';
import type { OrgSyncProgress } from '../../workflows/org.view.ts';
import { describeParked, describeProgress } from './follow.org.ts';
import { describeTrouble, waitFact, withBeats } from './pending.ts';
import { look, outcomeOf, type Run } from './runs.ts';
import { type Asked, describeNext, describeRun, type RunStatus } from './status.words.ts';
import { columns, counted, duration, instant } from './words.ts';

/** What `--json` prints for a directory. */
export interface OrgStatus extends RunStatus, Standing {
  workflow: 'orgSync';
  /** Null without a worker, and for runs that ended. */
  progress: OrgSyncProgress | null;
  /** Milliseconds since the reading of the last applied plan began; null before the first. */
  lagMs: number | null;
}

export async function orgStatus({ session, client, connection, runs, schedule, polled }: Asked): Promise<OrgStatus> {
  const { id, platform, tenant } = connection;
  const standing = await readStanding(await session.pool(), id);
  const found = runs[0] ?? null;
  const asked =
    found?.status === 'RUNNING' && polled
      ? await look<OrgSyncProgress>(client, found, withBeats)
      : { run: found, progress: null };
  const { run } = asked;
  const closed = run && run.status !== 'RUNNING' ? await outcomeOf<OrgSyncResult>(client, run) : null;
  const progress = closed ? null : asked.progress;
  return {
    connection: id,
    platform,
    tenant,
    workflow: 'orgSync',
    state: stateOf(run, progress, polled),
    run,
    progress,
    outcome: closed && ('result' in closed ? closed.result.outcome : closed.failure),
    lagMs: standing.applied && Date.now() - standing.applied.readAt.getTime(),
    schedule,
    ...standing,
  };
}

function stateOf(run: Run | null, progress: OrgSyncProgress | null, polled: boolean): string {
  if (run === null) return 'none';
  if (run.status !== 'RUNNING') return run.status.toLowerCase();
  if (!polled) return 'waiting';
  return progress === null || progress.state === 'done' ? 'running' : progress.state;
}

export function showOrg(one: OrgStatus): string[] {
  const { living, open, applied, progress } = one;
  const facts: [string, string][] = [
    ['run', describeRun(one, 'orgSync', progress === null)],
    ...(one.run?.pending ?? []).flatMap(describeTrouble).map(waitFact),
    ...(progress?.waitsForResume
      ? [['waits for', `resume; the plan is approved: npx syncline resume ${one.connection}`] as [string, string]]
      : []),
    ...(progress ? describeParked(one.connection, progress) : []).map((line): [string, string] => ['asks', line]),
    [
      'lag',
      applied && one.lagMs !== null
        ? `${duration(one.lagMs)} (plan ${applied.plan}, read from ${instant(applied.readAt)})`
        : 'never applied',
    ],
    [
      'holds',
      [counted(living.users, 'user'), counted(living.groups, 'group'), counted(living.memberships, 'membership')].join(
        ', ',
      ),
    ],
    ...one.doubts.map((doubt): [string, string] => ['doubt', doubt]),
    ['open', describeOpen(one.connection, open)],
    ['next', describeNext(one.schedule)],
  ];
  // What a run asks comes with its notes already.
  const shown = progress?.parked ? { ...progress, notes: [] } : progress;
  const body = [...columns(facts), ...(shown ? describeProgress(shown) : [])];
  return [`${one.connection} (${one.platform}, tenant ${one.tenant})`, ...body.map((line) => `  ${line}`), ''];
}

function describeOpen(connection: string, { rejects, conflicts }: Standing['open']): string {
  if (rejects + conflicts === 0) return 'nothing handed back';
  return `${counted(rejects, 'reject')}, ${counted(conflicts, 'conflict')}: npx syncline rejects ${connection}`;
}
