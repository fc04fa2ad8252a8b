import { fill, variablesOf } from '../../connectors/campaign.ts';
import type { Message } from '../../connectors/channel.ts';
import { emptySegments } from '../../db/audience/filter.ts';
import { countRefusable, countZones, type Source } from '../../db/audience/preview.ts';
import type { Pool } from '../../db/client.ts';
import { type OpenCampaign, perSecondOf } from './begin.ts';
import { forecast, type Group } from './forecast.ts';
import type { CheckedCampaign } from './open.ts';
import { isZone, quietUntil } from './quiet.ts';

/** What a start would meet, besides who is left out. */
export interface Foreseen {
  /** Messages a second within all limits; null without one. */
  perSecond: number | null;
  /** What the pace is guessed from where no limit is set: messages on their way at once, and how long an answer takes. */
  assumed: { inFlight: number; answerMs: number } | null;
  /** How long sending takes at that pace, without quiet hours. */
  seconds: number;
  /** When the last one is sent to where quiet hours come between, ISO 8601; null without any, and where that is more than a year off. */
  ends: string | null;
  /** Why a start would fail at once; null when it would not. */
  fails: string | null;
  /** What would go otherwise than a person may expect. */
  warnings: string[];
}

/** What an answer takes of receivers over the internet, about. */
const answerMs = 100;

/** Looks ahead, at an audience of so many recipients. Writes and sends nothing. */
export async function foresee(pool: Pool, opened: OpenCampaign, recipients: number): Promise<Foreseen> {
  const { checked, account, stored } = opened;
  const { definition, people, grantTemplate } = checked;
  const { deadline, quiet } = definition;
  const perSecond = perSecondOf(opened);
  const warnings: string[] = [];
  const grants = grantTemplate === null ? null : { channelId: account.id, template: grantTemplate };
  const { noGrant, missing } = await countRefusable(pool, people, requiredOf(checked), grants);
  if (noGrant > 0) warnings.push(`${noGrant} without a grant of template ${grantTemplate}: refused with no_grant`);
  for (const [name, n] of Object.entries(missing))
    warnings.push(`${n} without a value of {{${name}}}: refused with missing_value:${name}`);
  for (const id of await emptySegments(pool, people.connection, people.filter))
    warnings.push(`segment:${id.slice(0, 64)} has no members; is its id spelt so?`);
  const inFlight = Number(account.options.inFlight ?? checked.channel.inFlight);
  const pace = perSecond ?? (inFlight * 1_000) / answerMs;
  const now = Date.now();
  const until = quiet ? quietUntil(quiet, now) : null;
  const whose = checked.zoneColumn === null ? '' : ' for those without a time zone of their own';
  if (until !== null) warnings.push(`quiet hours: nothing leaves before ${new Date(until).toISOString()}${whose}`);
  const deadlineMs = deadline === undefined ? Number.POSITIVE_INFINITY : Date.parse(deadline);
  const groups = await groupsOf(pool, checked, recipients);
  const { reached } = forecast(groups, pace, now, deadlineMs);
  if (deadlineMs > now && reached < recipients) {
    const asleep = groups.filter(({ quiet }) => quiet && (quietUntil(quiet, now) ?? 0) >= deadlineMs);
    const never = asleep.reduce((sum, { people }) => sum + people, 0);
    warnings.push(
      never === recipients
        ? `the deadline ${deadline} comes before the quiet hours end: nobody of ${recipients} is sent to`
        : `the deadline ${deadline} leaves time for ${perSecond === null ? 'about ' : ''}${reached} of ${recipients}: the others are left out${never > 0 ? `, among them ${never} whose quiet hours last until then` : ''}`,
    );
  }
  const seconds = Math.ceil(recipients / pace);
  const { endMs } = forecast(groups, pace, now, Number.POSITIVE_INFINITY);
  const held = endMs !== null && endMs > now + (seconds + 1) * 1_000;
  return {
    ...{ perSecond, seconds, warnings, fails: failsOf() },
    assumed: perSecond === null ? { inFlight, answerMs } : null,
    ends: held ? new Date(endMs).toISOString() : null,
  };

  function failsOf(): string | null {
    if (deadlineMs <= now) return `the deadline ${deadline} is over`;
    return recipients === 0 && !stored.frozen ? 'nobody is to be sent to' : null;
  }
}

/** Recipients by their quiet hours. */
async function groupsOf(pool: Pool, checked: CheckedCampaign, recipients: number): Promise<Group[]> {
  const { definition, people, zoneColumn } = checked;
  const { quiet = null } = definition;
  if (quiet === null || zoneColumn === null) return [{ quiet, people: recipients }];
  const counts = new Map<string, number>();
  for (const { zone, people: n } of await countZones(pool, people, zoneColumn)) {
    const timeZone = isZone(zone) ? zone : quiet.timeZone;
    counts.set(timeZone, (counts.get(timeZone) ?? 0) + n);
  }
  return [...counts].map(([timeZone, n]) => ({ quiet: { ...quiet, timeZone }, people: n }));
}

/** Variables without a text for those who lack them: a template that has all others filled tells which. */
function requiredOf({ definition, fields }: CheckedCampaign): Record<string, Source> {
  const all = variablesOf(definition.template);
  const required = all.filter((one) => {
    const others = Object.fromEntries(all.map((name) => [name, name === one ? undefined : 'x']));
    return one !== 'user_id' && 'missing' in fill(definition.template as Message, others);
  });
  const sourceOf = (name: string): Source =>
    Object.hasOwn(fields, name) ? { column: fields[name] as string } : (name as Source);
  return Object.fromEntries(required.map((name) => [name, sourceOf(name)]));
}
