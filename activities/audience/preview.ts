import { fill, variablesOf } from '../../connectors/campaign.ts';
import type { Message } from '../../connectors/channel.ts';
import { emptySegments } from '../../db/audience/filter.ts';
import { countRefusable, type Source } from '../../db/audience/preview.ts';
import type { Pool } from '../../db/client.ts';
import { type OpenCampaign, perSecondOf } from './begin.ts';
import type { CheckedCampaign } from './open.ts';
import { quietUntil } from './quiet.ts';

/** What a start would meet, besides who is left out. */
export interface Foreseen {
  /** Messages a second within all limits; null without one. */
  perSecond: number | null;
  /** Why a start would fail at once; null when it would not. */
  fails: string | null;
  /** What would go otherwise than a person may expect. */
  warnings: string[];
}

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
  const until = quiet ? quietUntil(quiet, Date.now()) : null;
  const whose = checked.zoneColumn === null ? '' : ' for those without a time zone of their own';
  if (until !== null) warnings.push(`quiet hours: nothing leaves before ${new Date(until).toISOString()}${whose}`);
  const leftMs = deadline === undefined ? Infinity : Date.parse(deadline) - Date.now();
  const inTime = perSecond === null ? recipients : Math.floor((leftMs / 1_000) * perSecond);
  if (leftMs > 0 && inTime < recipients)
    warnings.push(`the deadline ${deadline} leaves time for ${inTime} of ${recipients}: the others are left out`);
  return { perSecond, warnings, fails: failsOf() };

  function failsOf(): string | null {
    if (leftMs <= 0) return `the deadline ${deadline} is over`;
    return recipients === 0 && !stored.frozen ? 'nobody is to be sent to' : null;
  }
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
