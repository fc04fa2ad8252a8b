import { type PastCampaign, pastCampaigns, purgeCampaign } from '../../db/audience/purge.ts';
import { claimHolder, type Execution } from '../../db/claims.ts';
import { describeRun } from './runs.ts';
import type { Session } from './session.ts';
import { CommandError, wrongUse } from './trouble.ts';
import { count, counted, instant } from './words.ts';

interface PurgeOptions {
  before: string;
  dryRun?: boolean;
}

/** Deletes campaigns that ended before a moment, with their deliveries. */
export async function purge(session: Session, { before: typed, dryRun }: PurgeOptions): Promise<undefined> {
  const before = momentOf(typed);
  const pool = await session.pool();
  const client = await session.client();
  const isOpen = async (held: Execution) => (await describeRun(client, held))?.status === 'RUNNING';
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
