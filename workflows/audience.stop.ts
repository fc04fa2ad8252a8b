import { ApplicationFailure } from '@temporalio/workflow';
import type { ShardResult } from '../activities/audience/shard.ts';

/** The failure of a campaign whose next recipient would fare like those before. */
export function stoppedBy(stop: NonNullable<ShardResult['stop']>, campaign: string): ApplicationFailure {
  const { own, code, hint } = stop;
  return ApplicationFailure.nonRetryable(
    own
      ? ownSentence(code, campaign)
      : `The channel refuses the campaign (${code}): ${hint}. Who was not sent to stays planned; start it again when that is repaired: npx syncline campaign start ${campaign}`,
    'CampaignStopped',
  );
}

/** The frozen template stands: what can be repaired under this name are the values. */
const ownSentence = (code: string, campaign: string) =>
  `No message can be made (${code}): the first recipients were refused alike before anything was sent, and stay refused; everybody else stays planned. The template is frozen: correct it under another name: npx syncline campaign create NAME FILE. If the values are wrong, correct and copy them, then go on with: npx syncline campaign start ${campaign}`;
