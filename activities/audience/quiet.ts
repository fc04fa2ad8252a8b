import { DateTime } from 'luxon';
import type { CampaignDefinition } from '../../connectors/campaign.ts';

/** Quiet hours of one zone. */
export type Quiet = Pick<NonNullable<CampaignDefinition['quiet']>, 'from' | 'to' | 'timeZone'>;

/**
 * When the quiet hours that are on at a moment end, ms since 1970; null when none are on. `from` later than `to` goes over
 * midnight; equal ones are no quiet hours. An hour that the clocks skip or repeat follows the zone's own rules.
 */
export function quietUntil({ from, to, timeZone }: Quiet, nowMs: number): number | null {
  const now = DateTime.fromMillis(nowMs, { zone: timeZone });
  if (!now.isValid || from === to) return null;
  const time = now.toFormat('HH:mm');
  const over = from > to;
  const on = over ? time >= from || time < to : time >= from && time < to;
  if (!on) return null;
  return at(over && time >= from ? now.plus({ days: 1 }) : now, to);
}

/** When quiet hours begin next, ms since 1970. */
export function quietFrom({ from, timeZone }: Quiet, nowMs: number): number {
  const now = DateTime.fromMillis(nowMs, { zone: timeZone });
  const today = at(now, from);
  return today > nowMs ? today : at(now.plus({ days: 1 }), from);
}

function at(day: DateTime, clock: string): number {
  const [hour, minute] = clock.split(':').map(Number) as [number, number];
  return day.set({ hour, minute, second: 0, millisecond: 0 }).toMillis();
}

const zones = new Map<string, boolean>();

/** Whether that names a time zone. What does not falls back to the campaign's. */
export function isZone(zone: unknown): zone is string {
  if (typeof zone !== 'string') return false;
  let known = zones.get(zone);
  if (known === undefined) {
    try {
      new Intl.DateTimeFormat('en', { timeZone: zone });
      known = true;
    } catch {
      known = false;
    }
    if (zones.size < 1_000) zones.set(zone, known);
  }
  return known;
}
