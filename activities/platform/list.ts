import { databasePlatform } from '../../connectors/database.ts';
import type { Connector } from '../../connectors/shape.ts';
import { type Connection, ConnectionUnknown } from '../../db/connections.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { openPlatform, streamOf } from './open.ts';
import { hasDatabase } from './sql.ts';

export { cutAhead, cutLines } from '../../connectors/history.ts';

export interface StreamsInput {
  connection: string;
  /** Null: those of the connection's option `streams`, else all of the connector. */
  streams: string[] | null;
  /** The one platform that the run reads; absent: every one but databases. */
  platform?: string;
}

/** A stream and the streams of the same run that are read before it. */
export interface ListedStream {
  name: string;
  after: string[];
}

/** Streams of a run in an order in which each stands behind those whose rows it needs. @throws InvalidInput for an unknown one */
export async function listStreams(
  deps: Deps,
  { connection, streams, platform }: StreamsInput,
): Promise<ListedStream[]> {
  const {
    connector,
    options,
    connection: opened,
  } = await openPlatform(deps, connection).catch((error: unknown) => {
    throw error instanceof ConnectionUnknown ? error.of(platform ?? 'NAME') : error;
  });
  requirePlatform(connection, connector.platform, platform);
  const wanted = streams ?? options.streams ?? usualStreams(connector, opened);
  for (const name of wanted) streamOf(connector, name);
  return inOrder(connector, new Set(wanted));
}

/** Streams of a database that the connection does not name are left out unless somebody asks for them. */
export function usualStreams(connector: Connector, connection: Pick<Connection, 'credential'>): string[] {
  return Object.keys(connector.streams).filter((name) => !streamOf(connector, name).sql || hasDatabase(connection));
}

function requirePlatform(connection: string, got: string, wanted: string | undefined): void {
  if (wanted === undefined ? got !== databasePlatform : got === wanted) return;
  const right = got === databasePlatform ? 'segmentSync' : 'platformSync';
  throw new SyncError(
    'InvalidInput',
    `Connection "${connection}" is of platform ${got}, which this workflow does not read. The one for it: npx syncline start ${right} ${connection}`,
  );
}

function inOrder(connector: Connector, wanted: ReadonlySet<string>): ListedStream[] {
  const listed: ListedStream[] = [];
  const placed = new Set<string>();
  const place = (name: string) => {
    if (placed.has(name) || !wanted.has(name)) return;
    placed.add(name);
    const needs = needsOf(connector, name).filter((need) => wanted.has(need));
    for (const need of needs) place(need);
    listed.push({ name, after: needs });
  };
  for (const name of wanted) place(name);
  return listed;
}

function needsOf(connector: Connector, name: string): string[] {
  const { over, deletes } = streamOf(connector, name);
  return [...(over?.kind === 'each' ? [over.stream] : []), ...(deletes.kind === 'listed' ? [deletes.by] : [])];
}
