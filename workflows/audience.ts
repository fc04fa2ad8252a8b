import { allHandlersFinished, condition, continueAsNew, proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { Tested } from '../activities/audience/trial.ts';
import type { Activities } from '../activities/index.ts';
import { campaignInput, campaignTestInput } from './audience.input.ts';
import { CampaignRun, type Carried } from './audience.run.ts';
import type { CampaignResult } from './audience.view.ts';
import { once } from './options.ts';
import { readInput } from './org.input.ts';

export type { CampaignResult } from './audience.view.ts';

/** Workflow id of a campaign's run started by CLI and client. Other ids work too: the claim keeps runs apart. */
export const campaignId = (campaign: string) => `campaign-${campaign}`;
export const campaignTestId = (campaign: string) => `campaignTest-${campaign}`;

/** One message to each member of an audience. Input: {@link campaignInput}; result: {@link CampaignResult}. */
export async function campaign(input: unknown, handed?: Carried): Promise<CampaignResult> {
  const request = readInput(campaignInput, input, '{"campaign":"spring"}');
  const carried = workflowInfo().continuedFromExecutionRunId ? handed : undefined;
  const run = new CampaignRun(request.campaign, carried);
  if (!carried) await run.begin(request.define ?? null);
  const ended = await run.sendAll();
  if (ended) return ended;
  await condition(allHandlersFinished);
  return continueAsNew<typeof campaign>({ campaign: request.campaign }, run.carry());
}

/** A campaign's message to named users, once each, at once; nothing is written down. Input: {@link campaignTestInput}. */
export async function campaignTest(input: unknown): Promise<{ campaign: string; users: Tested[] }> {
  const request = readInput(campaignTestInput, input, '{"campaign":"spring","users":["u1"]}');
  const { testSend } = proxyActivities<Activities>(once);
  return { campaign: request.campaign, users: await testSend(request) };
}
