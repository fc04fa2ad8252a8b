import type { Client } from '@temporalio/client';
import { loadCampaign } from '../../db/audience/campaigns.ts';
import { ConnectionLeaving, ConnectionUnknown, leavingConnections, listConnections } from '../../db/connections.ts';
import { readHolders } from '../../db/report.ts';
import { workflowsOf } from '../pipelines.ts';
import { findSchedule, otherSchedules, type ScheduleView, scheduleId } from '../schedules.ts';
import { findConnection } from './choose.ts';
import { findRuns } from './find.ts';
import { isPolled, nobodyPolls } from './runs.ts';
import type { Session } from './session.ts';
import { campaignStatuses, showCampaign } from './status.campaign.ts';
import { type HubspotStatus, hubspotStatus, showHubspot } from './status.hubspot.ts';
import { type OrgStatus, orgStatus, showOrg } from './status.org.ts';
import { type PlatformStatus, platformStatus, showPlatform } from './status.platform.ts';
import { type StripeStatus, showStripe, stripeStatus } from './status.stripe.ts';
import { wrongUse } from './trouble.ts';

type AnyStatus = OrgStatus | PlatformStatus | HubspotStatus | StripeStatus;

/** Connections asked at once. */
const together = 8;

/** Says of each connection what it does, why it waits, how far behind it is and when it runs next; and of each open campaign how far it is. Works without a worker. */
export async function status(
  session: Session,
  name: string | undefined,
  options: { json?: boolean },
): Promise<undefined> {
  const { terminal, config } = session;
  if (name !== undefined) await session.connection(name).catch((error: unknown) => orCampaign(session, name, error));
  const connections = await listConnections(await session.pool());
  const all = connections.filter(({ id }) => name === undefined || id === name);
  const client = await session.client();
  const ours = connections.flatMap(({ id, platform }) => workflowsOf(platform).map((one) => scheduleId(one, id)));
  const others = await otherSchedules(client, new Set(ours));
  const polled = await isPolled(client, config.taskQueue);
  const found: AnyStatus[] = [];
  for (let i = 0; i < all.length; i += together) {
    const some = all.slice(i, i + together).map(({ id }) => statusesOf(session, client, { name: id, polled, others }));
    found.push(...(await Promise.all(some)).flat());
  }
  const campaigns = await campaignStatuses(session, { name, polled });
  if (options.json) {
    terminal.print(JSON.stringify({ taskQueue: config.taskQueue, polled, connections: found, campaigns }, null, 2));
    return undefined;
  }
  if (!polled) terminal.print(nobodyPolls(config.taskQueue));
  if (connections.length === 0)
    terminal.print('No connections yet. Make one with: npx syncline connect acme --platform scim --url https://…');
  else if (found.length === 0 && campaigns.length === 0)
    terminal.print('No campaign is open. All of them: npx syncline campaign list');
  for (const one of found) for (const line of show(one)) terminal.print(line);
  for (const one of campaigns) for (const line of showCampaign(one)) terminal.print(line);
  const leaving = name === undefined ? await leavingConnections(await session.pool()) : [];
  for (const { id } of leaving) terminal.print(new ConnectionLeaving(id).message);
  return undefined;
}

/** @throws CommandError for the name of a campaign, else the failure as it is */
export async function orCampaign(session: Session, name: string, error: unknown): Promise<never> {
  if (!(error instanceof ConnectionUnknown)) throw error;
  const campaign = await loadCampaign(await session.pool(), name).catch(() => null);
  if (campaign === null) throw error;
  throw wrongUse(`"${name}" is a campaign, no connection. Look at it with: npx syncline campaign report ${name}`);
}

function show(one: AnyStatus): string[] {
  if (one.workflow === 'hubspotSync') return showHubspot(one);
  if (one.workflow === 'stripeSync') return showStripe(one);
  return one.workflow === 'orgSync' ? showOrg(one) : showPlatform(one);
}

/** Of several schedules the one that is due first; one without a next time only where there is no other. */
function nextOf(schedules: (ScheduleView | null)[]): ScheduleView | null {
  const due = ({ next }: ScheduleView) => next?.getTime() ?? Number.POSITIVE_INFINITY;
  return schedules.reduce((a, b) => (a === null || (b !== null && due(b) < due(a)) ? b : a), null);
}

/** An entry for each workflow that reads the platform; of two the one that was never used says nothing. */
async function statusesOf(
  session: Session,
  client: Client,
  { name, polled, others }: { name: string; polled: boolean; others: readonly ScheduleView[] },
): Promise<AnyStatus[]> {
  const [connection, holders] = await Promise.all([
    findConnection(session, name),
    readHolders(await session.pool(), name),
  ]);
  const statuses = await Promise.all(
    connection.workflows.map(async (workflow): Promise<AnyStatus> => {
      const elsewhere = others.filter((one) => one.connection === name && one.workflow === workflow);
      const schedule = nextOf([await findSchedule(client, workflow, name), ...elsewhere]);
      const runs = await findRuns(client, { connection: name, workflow, holders, scheduled: schedule?.last ?? null });
      const asked = { session, client, connection, runs, schedule, polled };
      if (workflow === 'hubspotSync') return hubspotStatus(asked);
      if (workflow === 'stripeSync') return stripeStatus(asked);
      return workflow === 'orgSync' ? orgStatus(asked) : platformStatus(asked);
    }),
  );
  const used = statuses.filter(({ run, schedule }) => run !== null || schedule !== null);
  return used.length > 0 ? used : statuses;
}
