import { type BatchVerdict, untilMidnight } from '../../connectors/hubspot/answers.ts';
import type { HubspotClient } from './client.ts';
import type { Tally } from './tally.ts';

export interface WaitOptions {
  client: Pick<HubspotClient, 'refused'>;
  tally: Tally;
  /** Zone in whose midnight the daily limit ends. */
  timeZone: string;
}

/** An answer that asks to wait: all workers do, whatever the call was, and the daily limit ends the slice. */
export async function heedWait(
  { why, waitMs }: Extract<BatchVerdict, { kind: 'wait' }>,
  { client, tally, timeZone }: WaitOptions,
): Promise<void> {
  tally.counts.waits += 1;
  const ms = waitMs ?? untilMidnight(timeZone, Date.now());
  await client.refused(ms);
  if (why === 'daily') tally.end({ kind: 'wait', ms, daily: true });
}
