import * as v from 'valibot';
import {
  brokenVariable,
  type CampaignDefinition,
  campaignDefinition,
  fill,
  variablesOf,
} from '../../connectors/campaign.ts';
import { channelOf, channels } from '../../connectors/channel.index.ts';
import type { Channel, Message } from '../../connectors/channel.ts';
import { type DatabaseOptions, databaseOptions, databasePlatform } from '../../connectors/database.ts';
import { explain } from '../../connectors/explain.ts';
import type { Planned } from '../../db/audience/deliveries.ts';
import { parseExpression } from '../../db/audience/expression.ts';
import type { People } from '../../db/audience/people.ts';
import type { StoredConnection } from '../../db/connections.ts';
import { SyncError } from '../errors.ts';

/** A definition whose names all point somewhere. */
export interface CheckedCampaign {
  definition: CampaignDefinition;
  channel: Channel;
  people: People;
  /** Variables of the template and where their values stand. */
  fields: Readonly<Record<string, string>>;
  /** Column of the user's own zone; null: none, or not asked for. */
  zoneColumn: string | null;
  /** What grants are counted for; null where the channel wants none. */
  grantTemplate: string | null;
}

/** Variables that every audience has. */
const ownVariables = ['user_id', 'orders', 'order_id'] as const;

type Described = Pick<StoredConnection, 'id' | 'platform' | 'options'>;

/** Reads a definition that may be anything. @throws SyncError InvalidInput naming field, value and what is accepted */
export function readDefinition(given: unknown, name: string): CampaignDefinition {
  const result = v.safeParse(campaignDefinition, given);
  if (result.success) return result.output;
  const problems = result.issues.slice(0, 5).map((issue) => explain(campaignDefinition, issue));
  throw wrong(name, problems.join('; '));
}

/**
 * Checks a definition against the connections it names: platforms, filter, the channel's template, and its variables.
 * `frozen`: its audience is, so only what sending needs is proven.
 * @throws SyncError InvalidInput, FilterError, ChannelUnknown
 */
export function checkCampaign(
  name: string,
  definition: CampaignDefinition,
  source: Described,
  account: Described,
  frozen = false,
): CheckedCampaign {
  const { audience, template } = definition;
  const mapping = mappingOf(source);
  const channel = channelOf(account.platform);
  if (!frozen) provePurpose(name, definition, channel, mapping);
  if (!frozen && audience.filter !== undefined) parseExpression(audience.filter);
  if (audience.orders && !mapping.orders)
    throw wrong(
      name,
      `audience.orders: connection "${source.id}" maps no orders. Map them: npx syncline connect ${source.id} --option orders=…`,
    );
  const checked = v.safeParse(channel.template, template);
  if (!checked.success) throw wrong(name, `template.${explain(channel.template, checked.issues[0])}`);
  const known = [...Object.keys(mapping.users.fields), ...ownVariables];
  const broken = brokenVariable(template);
  if (broken !== null)
    throw wrong(name, `template: got ${broken}, accepted {{name}} or {{name|a text for those without}}`);
  for (const variable of variablesOf(template))
    if (!known.includes(variable))
      throw wrong(
        name,
        `template: got the variable {{${variable}}}, accepted ${known.join(', ')} (fields of connection "${source.id}")`,
      );
  const { kind } = channel.address;
  const chosen = account.options.address ?? kind;
  const column = chosen === 'id' ? null : mapping.users.addresses[String(chosen)];
  if (column === undefined)
    throw wrong(
      name,
      `channel: ${channel.title} sends to "${chosen}", and connection "${source.id}" maps ${Object.keys(mapping.users.addresses).join(', ') || 'no addresses'}. Map it: npx syncline connect ${source.id} --option users.addresses.${chosen}=COLUMN`,
    );
  const message = checked.output as Message;
  return {
    definition: { ...definition, template: message },
    channel,
    people: {
      connection: source.id,
      ...(audience.filter !== undefined && { filter: audience.filter }),
      ...(audience.orders && { orders: audience.orders }),
      ...(audience.exclude && { exclude: audience.exclude }),
      ...(definition.cap && { cap: definition.cap }),
      addressColumn: column,
      addressPattern: channel.address.pattern.source,
      fold: folds(String(chosen)),
      channel: channel.channel,
    },
    fields: mapping.users.fields,
    zoneColumn: definition.quiet?.zoneOf === 'user' ? (mapping.users.timeZone ?? null) : null,
    grantTemplate: channel.grantOf?.(message) ?? null,
  };
}

/** Mail addresses count alike whatever their case also where a webhook gets them: a kind is compared as by the channel it belongs to. */
const folds = (kind: string) => Object.values(channels).some(({ address }) => address.kind === kind && address.fold);

/**
 * What a definition says without effect, or against what it means. Not asked of a campaign that is frozen: its definition stands.
 */
function provePurpose(name: string, definition: CampaignDefinition, channel: Channel, mapping: DatabaseOptions): void {
  const { audience, quiet, policy } = definition;
  if (audience.filter?.trim() === '')
    throw wrong(
      name,
      'audience.filter: got an empty text, accepted a filter such as "1 AND vip"; for everybody leave the field out',
    );
  if (policy === 'reconcile' && !channel.callbacks)
    throw wrong(
      name,
      `policy: got "reconcile", accepted "at-most-once" or "at-least-once": ${channel.title} has no callbacks that could tell what became of a message`,
    );
  if (quiet && quiet.from === quiet.to)
    throw wrong(
      name,
      `quiet: got from and to ${quiet.from}, accepted two different times, or no quiet where there are no quiet hours`,
    );
  if (quiet?.zoneOf === 'user' && mapping.users.timeZone === undefined)
    throw wrong(
      name,
      `quiet.zoneOf: got "user", and connection "${definition.audience.connection}" maps no timeZone. Map it: npx syncline connect ${definition.audience.connection} --option users.timeZone=COLUMN, or leave zoneOf out`,
    );
}

function mappingOf(source: Described): DatabaseOptions {
  if (source.platform !== databasePlatform)
    throw new SyncError(
      'InvalidInput',
      `audience.connection: "${source.id}" is of platform ${source.platform}, accepted one of platform ${databasePlatform}: npx syncline connect OTHER --platform ${databasePlatform}`,
    );
  const result = v.safeParse(databaseOptions, source.options);
  if (result.success) return result.output;
  throw new SyncError(
    'InvalidInput',
    `Connection "${source.id}", options: ${explain(databaseOptions, result.issues[0])}`,
  );
}

const wrong = (name: string, what: string) =>
  new SyncError(
    'InvalidInput',
    `Campaign "${name}": ${what}. Correct it with: npx syncline campaign create ${name} FILE`,
  );

/** A recipient's message, or why there can be none: `missing_value:name`, `too_long:thing1`, `user_gone`. */
export function render(
  { definition, channel, fields }: CheckedCampaign,
  row: Pick<Planned, 'user' | 'records' | 'orderId' | 'data'>,
): { message: Message } | { reason: string } {
  if (row.data === null) return { reason: 'user_gone' };
  const values: Record<string, string | undefined> = {
    user_id: row.user,
    orders: row.records === null ? undefined : String(row.records),
    order_id: row.orderId ?? undefined,
  };
  for (const [name, column] of Object.entries(fields)) {
    const value = row.data[column];
    if (value !== undefined && value !== null)
      values[name] = typeof value === 'object' ? JSON.stringify(value) : String(value);
  }
  const filled = fill(definition.template as Message, values, channel.html);
  if ('missing' in filled) return { reason: `missing_value:${filled.missing}` };
  const fault = channel.check(filled.message);
  return fault === null ? filled : { reason: fault };
}
