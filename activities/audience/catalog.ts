import * as v from 'valibot';
import { channels } from '../../connectors/channel.index.ts';
import { databaseConnector, databaseOptions, databasePlatform } from '../../connectors/database.ts';
import { platformOptions } from '../../connectors/platform.ts';
import type { Connector } from '../../connectors/shape.ts';
import { accountOf } from './account.ts';

/*
 * What the command line shows and checks of databases and channels: workers reach connectors through here.
 */
export { campaignDefinition } from '../../connectors/campaign.ts';
export { channels } from '../../connectors/channel.index.ts';
export { databasePlatform } from '../../connectors/database.ts';
export { type CheckedCampaign, checkCampaign, readDefinition, render } from './open.ts';
export { type Foreseen, foresee } from './preview.ts';

export { unsubscribe } from './unsubscribe.ts';

/** Lists that segmentSync can read. */
export const segmentStreams = ['users', 'segments', 'memberships', 'orders'] as const;

/** A connection that no platform pipeline reads: what it must say, and how its options are checked. */
export interface AudienceReader {
  kind: 'database' | 'channel';
  connector: Connector;
  schema: v.GenericSchema;
}

/** Null for a platform of another pipeline. */
export function audienceReader(platform: string): AudienceReader | null {
  if (platform === databasePlatform) return { kind: 'database', connector: emptyDatabase, schema: databaseOptions };
  const channel = Object.hasOwn(channels, platform) ? channels[platform] : undefined;
  if (!channel) return null;
  const own = Object.entries(channel.settings).flatMap(([name, { secret, default: fallback }]) =>
    secret ? [] : [[name, fallback === undefined ? v.string() : v.optional(v.string(), fallback)] as const],
  );
  const schema = v.strictObject({
    ...Object.fromEntries(own),
    ...channel.options,
    requestsPerSecond: platformOptions.requestsPerSecond,
    /** Messages on their way at once, 1-1000. Default: the channel's. */
    inFlight: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1_000)), channel.inFlight),
  });
  return { kind: 'channel', connector: accountOf(channel), schema };
}

/** Settings of a database are known before its mapping is. */
const emptyDatabase = databaseConnector(v.parse(databaseOptions, { users: { from: 'users', id: 'id' } }));
