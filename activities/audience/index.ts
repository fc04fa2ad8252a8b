import { type Frozen, loadCampaign } from '../../db/audience/campaigns.ts';
import { freezeAudience } from '../../db/audience/freeze.ts';
import { finishCampaign, type Report, reportCampaign } from '../../db/audience/report.ts';
import type { Claim } from '../../db/claims.ts';
import type { Deps } from '../deps.ts';
import { step } from '../step.ts';
import { beginCampaign, type CampaignBegin, closingOf, openCampaign } from './begin.ts';
import { type ShardInput, sendShard } from './shard.ts';
import { type TestInput, testSend } from './trial.ts';

interface OfRun {
  campaign: string;
  claim: Claim;
}

/** Parts that campaign and campaignTest are made of. */
export function audienceActivities(deps: Deps) {
  return {
    beginCampaign: step('beginCampaign', (input: CampaignBegin) => beginCampaign(deps, input)),
    freezeAudience: step('freezeAudience', async ({ campaign, claim }: OfRun): Promise<Frozen> => {
      const { stored, checked } = await openCampaign(deps, campaign);
      const perMessageId = checked.channel.callbacks?.by === 'provider';
      return freezeAudience(deps.pool, claim, stored, checked.people, perMessageId);
    }),
    sendShard: step('sendShard', (input: ShardInput, call) => sendShard(deps, input, call)),
    countCampaign: step('countCampaign', async ({ campaign }: { campaign: string }): Promise<Report> => {
      return reportCampaign(deps.pool, (await loadCampaign(deps.pool, campaign)).no);
    }),
    finishCampaign: step(
      'finishCampaign',
      async ({ campaign, claim, late }: OfRun & { late: boolean }): Promise<Report> => {
        const { no, again, grants } = await closingOf(deps, campaign);
        return finishCampaign(deps.pool, claim, no, { late, again, grants });
      },
    ),
    testSend: step('testSend', (input: TestInput) => testSend(deps, input)),
  };
}
