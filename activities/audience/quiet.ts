import { DateTime } from 'luxon';
import type { CampaignDefinition } from '../../connectors/campaign.ts';

type Quiet = NonNullable<CampaignDefinition['quiet']>;

/**
 * When the quiet hours that are on at a moment end, ms since 1970; null when none are on. `from` later than `to` goes over
 * midnight; equal ones are no quiet hours. An hour that the clocks skip or repeat follows the zone's own rules.
 */
export function quietUntil(
  { from, to, timeZone }: Pick<Quiet, 'from' | 'to' | 'timeZone'>,
  nowMs: number,
): number | null {
  const now = DateTime.fromMillis(nowMs, { zone: timeZone });
  if (!now.isValid || from === to) return null;
  const time = now.toFormat('HH:mm');
  const over = from > to;
  const on = over ? time >= from || time < to : time >= from && time < to;
  if (!on) return null;
  const [hour, minute] = to.split(':').map(Number) as [number, number];
  const day = over && time >= from ? now.plus({ days: 1 }) : now;
  return day.set({ hour, minute, second: 0, millisecond: 0 }).toMillis();
}
