import { channels } from '../connectors/channel.index.ts';
import { databasePlatform } from '../connectors/database.ts';
import { directoryPlatforms } from '../connectors/directories.ts';
import { connectors } from '../connectors/index.ts';
import { resources } from '../connectors/stripe/catalog.ts';
import { segmentStreams } from './audience/catalog.ts';
import { tableOf } from './platform/open.ts';
import { stripePlatform } from './stripe/catalog.ts';
import { nestedTableOf, tableOf as stripeTableOf } from './stripe/tables.ts';
import { upcoming } from './stripe/upcoming.ts';

/** Tables in which rows of connections land, by schema and name: of every connector's streams, of Stripe, of databases. */
export function streamTables(): { schema: string; name: string }[] {
  return [
    ...Object.values(connectors).flatMap((one) => Object.keys(one.streams).map((name) => tableOf(one, name))),
    ...[...resources, upcoming].flatMap((one) => [
      stripeTableOf(one),
      ...one.nested.map((nested) => nestedTableOf(one, nested)),
    ]),
    ...segmentStreams.map((name) => ({ schema: 'audience', name })),
  ];
}

/** Schema in which streams of a platform land; null where its tables are those of a pipeline, undefined where nobody here knows the platform. */
export function schemaOf(platform: string): string | null | undefined {
  const connector = Object.hasOwn(connectors, platform) ? connectors[platform] : undefined;
  if (connector) return connector.schema ?? connector.platform;
  if (platform === stripePlatform) return stripePlatform;
  const known = [...directoryPlatforms, 'hubspot', databasePlatform, ...Object.keys(channels)];
  return known.includes(platform) ? null : undefined;
}
