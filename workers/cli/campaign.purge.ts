import { loadCampaign } from '../../db/audience/campaigns.ts';
import { type PastCampaign, pastCampaigns, purgeCampaign } from '../../db/audience/purge.ts';
import { claimHolder, type Execution } from '../../db/claims.ts';
import { describeRun } from './runs.ts';
import type { Session } from './session.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { count, counted, instant } from './words.ts';

interface PurgeOptions {
  before?: string;
  dryRun?: boolean;
}

/** Deletes campaigns that ended before a moment, or one, with their deliveries. */
export async function purge(
  session: Session,
  name: string | undefined,
  { before: typed, dryRun }: PurgeOptions,
): Promise<undefined> {
  if ((name === undefined) === (typed === undefined))
    throw wrongUse('Say which: the name of a campaign, or --before 2026-01-31 for all that ended before; one of both');
  const pool = await session.pool();
  const client = await session.client();
  const isOpen = async (held: Execution) => (await describeRun(client, held))?.status === 'RUNNING';
  if (typed === undefined) return purgeOne(session, name as string, { dryRun, isOpen });
  const before = momentOf(typed);
  const goes = async (past: PastCampaign) => {
    if (!dryRun) return purgeCampaign(pool, past, before, isOpen).catch((error) => inUse(error, past, typed));
    const holder = await claimHolder(pool, `campaign ${past.id}`, 'campaign');
    return holder === null || !(await isOpen(holder));
  };
  const { print } = session.terminal;
  let [campaigns, deliveries] = [0, 0];
  for (const past of await pastCampaigns(pool, before)) {
    const what = `${past.id}: ${counted(past.total, 'row')}, ended ${instant(past.endedAt)}`;
    if (past.cappedBy !== null)
      print(`Kept ${what}: a cap of the campaigns to ${past.connection} counts ${counted(past.cappedBy, 'day')}`);
    else if (!(await goes(past))) print(`Kept ${what}: a run of it is at work`);
    else {
      campaigns++;
      deliveries += past.total;
      print(`${dryRun ? 'Would delete' : 'Deleted'} ${what}`);
    }
  }
  const verb = dryRun ? 'Would delete' : 'Deleted';
  const ended = `that ended before ${instant(before)}`;
  print(
    campaigns === 0
      ? `${verb} nothing: no campaign ${ended} may go.`
      : `${verb} ${counted(campaigns, 'campaign')} ${ended}, ${count(deliveries)} rows of deliveries. Unsubscribes and grants stay.`,
  );
  return undefined;
}

/** Whoever names a campaign has decided: a cap no longer counts it. */
async function purgeOne(
  session: Session,
  name: string,
  { dryRun, isOpen }: { dryRun: boolean | undefined; isOpen: (held: Execution) => Promise<boolean> },
): Promise<undefined> {
  const pool = await session.pool();
  const { no, frozen } = await loadCampaign(pool, name);
  const holder = await claimHolder(pool, `campaign ${name}`, 'campaign');
  const atWork = holder !== null && (await isOpen(holder));
  const gone = !atWork && (dryRun || (await purgeCampaign(pool, { id: name, no }, null, isOpen).catch(inUseOne(name))));
  if (!gone)
    throw new CommandError(
      `A run of campaign ${name} is at work; nothing was deleted. End it with: npx syncline campaign cancel ${name}`,
    );
  session.terminal.print(
    `${dryRun ? 'Would delete' : 'Deleted'} campaign ${name}: ${counted(frozen?.total ?? 0, 'row')} of deliveries. Unsubscribes and grants stay.`,
  );
  return undefined;
}

function momentOf(typed: string): Date {
  const moment = new Date(/^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2}))?$/.test(typed) ? typed : Number.NaN);
  if (moment.getTime() < Date.now()) return moment;
  throw wrongUse(
    `--before: got "${typed.slice(0, 40)}", accepted a day that is over, such as 2026-01-31, or a moment such as 2026-01-31T08:00:00Z`,
  );
}

const lockNotAvailable = '55P03';

function inUse(error: unknown, { id }: PastCampaign, typed: string): never {
  if ((error as { code?: string }).code !== lockNotAvailable) throw error;
  throw new CommandError(
    `Campaign ${id} stays, with those behind it: deliveries are in use, as while an audience is frozen. Go on with: npx syncline campaign purge --before ${typed}`,
  );
}

const inUseOne = (id: string) => (error: unknown) => {
  if ((error as { code?: string }).code !== lockNotAvailable) throw error;
  throw new CommandError(
    `Campaign ${id} stays: deliveries are in use, as while an audience is frozen. Try again: npx syncline campaign purge ${id}`,
  );
};
