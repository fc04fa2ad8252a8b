import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { databaseConnector, databaseOptions, databasePlatform } from '../../connectors/database.ts';
import { orgMaps } from '../../connectors/directories.ts';
import { explain } from '../../connectors/explain.ts';
import { connectorOf } from '../../connectors/index.ts';
import { orgOptions } from '../../connectors/org.ts';
import { optionsSchema, type PlatformOptions } from '../../connectors/platform.ts';
import type { Connector, Stream } from '../../connectors/shape.ts';
import type { Connection } from '../../db/connections.ts';
import type { StreamTable } from '../../db/streams.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { appRates } from '../http/settings.ts';

/** A connection with its connector and its checked options. */
export interface OpenPlatform {
  connection: Connection;
  connector: Connector;
  options: PlatformOptions & Record<string, unknown>;
}

export interface OpenStream extends OpenPlatform {
  name: string;
  stream: Stream;
  table: StreamTable;
}

/** @throws SyncError InvalidInput for a platform without connector and for options that do not fit */
export async function openPlatform(deps: Deps, id: string): Promise<OpenPlatform> {
  const stored = await deps.connection(id);
  if (stored.platform === databasePlatform) return openDatabase(stored);
  const connector = connectorOf(stored.platform);
  const schema = schemaOf(connector);
  const result = v.safeParse(schema, stored.options);
  if (result.success) {
    const options = result.output as OpenPlatform['options'];
    return { connection: { ...stored, options }, connector, options };
  }
  throw new SyncError(
    'InvalidInput',
    `Connection "${id}", options: ${explain(schema, result.issues[0])}. Correct it with: npx syncline connect ${id} --option key=value`,
  );
}

const databases = new Map<string, Connector>();
const mostDatabases = 100;

/** A database's connector comes from its own options; one object for the same options, so that statements made for it are kept. */
export function openDatabase(stored: Connection): OpenPlatform {
  const result = v.safeParse(databaseOptions, stored.options);
  if (!result.success)
    throw new SyncError(
      'InvalidInput',
      `Connection "${stored.id}", options: ${explain(databaseOptions, result.issues[0])}. Correct it with: npx syncline connect ${stored.id} --option key=value`,
    );
  const options = result.output as OpenPlatform['options'] & typeof result.output;
  const key = JSON.stringify(options);
  const connector = databases.get(key) ?? databaseConnector(options);
  if (databases.size >= mostDatabases) databases.clear();
  databases.set(key, connector);
  return { connection: { ...stored, options }, connector, options };
}

/** A platform that orgSync reads too has the options of both. */
function schemaOf(connector: Connector): v.GenericSchema {
  const { platform } = connector;
  const isDirectory = platform in orgMaps;
  return isDirectory ? orgOptions(orgMaps[platform as keyof typeof orgMaps]) : optionsSchema(connector);
}

export async function openStream(deps: Deps, id: string, name: string): Promise<OpenStream> {
  const platform = await openPlatform(deps, id);
  return { ...platform, name, stream: streamOf(platform.connector, name), table: tableOf(platform.connector, name) };
}

export function streamOf(connector: Connector, name: string): Stream {
  const stream = Object.hasOwn(connector.streams, name) ? connector.streams[name] : undefined;
  if (stream) return stream;
  throw new SyncError(
    'InvalidInput',
    `${connector.platform} has no stream "${name.slice(0, 64)}". Streams: ${Object.keys(connector.streams).join(', ')}`,
  );
}

const tables = new WeakMap<Stream, StreamTable>();

/** One object a stream, so that statements made for it are kept. */
export function tableOf(connector: Connector, name: string): StreamTable {
  const stream = streamOf(connector, name);
  let table = tables.get(stream);
  if (table === undefined) {
    const columns = Object.entries(stream.columns).map(([column, { type }]) => ({ name: column, type }));
    table = { schema: connector.schema ?? connector.platform, name, columns };
    tables.set(stream, table);
  }
  return table;
}

/** What the limits of connection, stream and app leave to a stream; null where none is known. */
export function perSecondOf({ connection, connector, options, stream }: OpenStream): number | null {
  const own = options.requestsPerSecond;
  const rates = [
    ...(own === undefined ? (connector.limits.connection ?? []) : [{ requests: own, perMs: 1_000 }]),
    ...(stream.limits ?? []),
    ...(stream.appLimits ? appRates(connection, stream.appLimits) : []),
  ];
  const least = Math.min(...rates.map(({ requests, perMs }) => (requests * 1_000) / perMs));
  return Number.isFinite(least) ? least : null;
}

/** Digest of what is read: another one means another source, which is read anew. Columns and limits are no part of it. */
export function scopeOf({ connection, connector, options, stream }: OpenStream): string {
  const chosen = ['since', ...Object.keys(connector.settings)].sort().map((name) => [name, options[name]]);
  const read = {
    call: stream.call,
    sql: stream.sql,
    rows: stream.rows,
    key: stream.key,
    window: stream.window?.format,
    // Versions of another field say nothing of these.
    version: stream.paging.kind === 'version' ? stream.paging.path : undefined,
  };
  const text = JSON.stringify([connection.platform, connection.baseUrl, chosen, read]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
