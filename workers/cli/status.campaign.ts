import { listCampaigns, type StoredCampaign } from '../../db/audience/campaigns.ts';
import type { StateCounts } from '../../db/audience/deliveries.ts';
import { reportCampaign } from '../../db/audience/report.ts';
import type { CampaignProgress } from '../../workflows/audience.view.ts';
import { findRun } from './campaign.find.ts';
import { waitOf } from './pending.ts';
import { askProgress } from './runs.ts';
import type { Session } from './session.ts';
import { ago, columns, count } from './words.ts';

/** A campaign that is sent at the moment. `--json` prints it. */
export interface CampaignStatus {
  campaign: string;
  connection: string;
  channel: string;
  /** waiting (no worker) | running | paused. */
  state: string;
  workflowId: string;
  startedAt: Date;
  /** Null before the audience is frozen. */
  recipients: number | null;
  /** Recipients by state, from the database. */
  states: StateCounts;
  waits: string[];
}

/** Campaigns that are looked at, the newest first, and how many of them at once. */
const most = 200;
const together = 8;

/** Open campaigns, or those that one connection has to do with: as the source of people or as the channel. */
export async function campaignStatuses(
  session: Session,
  { name, polled }: { name: string | undefined; polled: boolean },
): Promise<CampaignStatus[]> {
  const stored = await listCampaigns(await session.pool(), most);
  const all = stored.filter((one) => name === undefined || one.connection === name || one.channel === name);
  const found: (CampaignStatus | null)[] = [];
  for (let i = 0; i < all.length; i += together)
    found.push(...(await Promise.all(all.slice(i, i + together).map((one) => statusOf(session, one, polled)))));
  return found.filter((one) => one !== null);
}

async function statusOf(session: Session, stored: StoredCampaign, polled: boolean): Promise<CampaignStatus | null> {
  const { id, no, connection, channel, frozen } = stored;
  const run = await findRun(session, id);
  if (run?.status !== 'RUNNING') return null;
  const progress = polled ? await askProgress<CampaignProgress>(await session.client(), run) : null;
  const failures = run.pending.map(waitOf).filter((line) => line !== null);
  return {
    ...{ campaign: id, connection, channel, workflowId: run.workflowId, startedAt: run.startedAt },
    state: polled ? (progress?.state ?? 'running') : 'waiting',
    recipients: frozen?.recipients ?? null,
    states: frozen ? (await reportCampaign(await session.pool(), no)).states : {},
    waits: [...(progress?.notes ?? []), ...failures],
  };
}

export function showCampaign(one: CampaignStatus): string[] {
  const { campaign, connection, channel, recipients, states, workflowId, startedAt } = one;
  const what = one.state === 'waiting' ? 'open, but no worker takes it on' : one.state;
  const sent = (states.sent ?? 0) + (states.delivered ?? 0);
  const others = (['planned', 'refused', 'failed', 'unknown'] as const).flatMap((state) =>
    states[state] ? [`${state} ${count(states[state])}`] : [],
  );
  const people =
    recipients === null
      ? 'not frozen yet'
      : [`sent ${count(sent)} of ${count(recipients)} recipients`, ...others].join(', ');
  const facts = [
    ['run', `${what}, since ${ago(startedAt)}, ${workflowId}`],
    ['people', people],
    ...one.waits.map((line) => ['waits for', line]),
    ...(one.state === 'paused' ? [['next', `npx syncline campaign resume ${campaign}`]] : []),
  ];
  return [`campaign ${campaign} (${connection} by ${channel})`, ...columns(facts).map((line) => `  ${line}`), ''];
}
