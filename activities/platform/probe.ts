import type { Connector, Stream } from '../../connectors/shape.ts';
import type { Connection } from '../../db/connections.ts';
import { forConnection, SyncError } from '../errors.ts';
import { type ClientDeps, openClient } from '../http/client.ts';
import { paginate } from '../http/paginate.ts';
import { settingsOf } from '../http/settings.ts';
import { extract } from './extract.ts';
import { usualStreams } from './list.ts';
import { streamOf } from './open.ts';
import { hasDatabase, readFirst } from './sql.ts';
import { stepMs, windowParams } from './windows.ts';

/** What one page of a stream showed. */
export interface StreamProbe {
  stream: string;
  /** Null: it could not be read; see `trouble`. */
  rows: number | null;
  total: number | null;
  /** Records of the page that would be set aside. */
  faults: number;
  /** Why it cannot be read by this credential. */
  trouble: string | null;
  /** The credential has not the right to it. */
  forbidden?: boolean;
  /** Why nobody looked at it. */
  skipped?: string;
}

const dayMs = 86_400_000;

/**
 * Reads one page of each stream that needs no other one, the latest day of those with windows.
 * @throws when none can be read, or a server does not answer
 */
export async function probePlatform(
  deps: ClientDeps,
  connection: Connection,
  connector: Connector,
  signal: AbortSignal,
): Promise<StreamProbe[]> {
  const found: StreamProbe[] = [];
  let last: unknown;
  for (const [name, stream] of Object.entries(connector.streams)) {
    const skipped = whySkipped(connection, stream);
    if (skipped !== null) {
      found.push({ stream: name, rows: null, total: null, faults: 0, trouble: null, skipped });
      continue;
    }
    try {
      found.push(await readPage(deps, connection, connector, name, stream, signal));
    } catch (error) {
      if (!(error instanceof SyncError) || error.type === 'Unavailable') throw error;
      last = error;
      found.push({
        stream: name,
        rows: null,
        total: null,
        faults: 0,
        trouble: forConnection(error.message, connection.id),
        forbidden: error.type === 'Forbidden',
      });
    }
  }
  if (last !== undefined && found.every(({ rows }) => rows === null)) throw last;
  return found;
}

/** Streams that the connection's runs would read less those that its credential has no right to; null where it has all. */
export function allowedStreams(connector: Connector, connection: Connection, found: readonly StreamProbe[]) {
  const wanted = (connection.options.streams as string[] | undefined) ?? usualStreams(connector, connection);
  const isForbidden = (name: string): boolean => {
    const { over } = streamOf(connector, name);
    return (
      found.some(({ stream, forbidden }) => stream === name && forbidden) ||
      (over?.kind === 'each' && isForbidden(over.stream))
    );
  };
  const allowed = wanted.filter((name) => !isForbidden(name));
  return allowed.length < wanted.length ? { allowed, forbidden: wanted.filter(isForbidden) } : null;
}

function whySkipped(connection: Connection, { over, sql, paging }: Stream): string | null {
  if (over?.kind === 'each') return `read for each row of ${over.stream}`;
  if (over) return 'read node by node of a tree';
  if (paging.kind === 'export') return 'a file that is made on order';
  return sql && !hasDatabase(connection) ? 'the credential names no databaseUrl' : null;
}

async function readPage(
  deps: ClientDeps,
  connection: Connection,
  connector: Connector,
  name: string,
  stream: Stream,
  signal: AbortSignal,
): Promise<StreamProbe> {
  if (stream.sql) {
    const rows = await readFirst({ connection }, stream, settingsOf(connection, connector).options);
    return { stream: name, rows: rows.length, total: null, faults: faultsOf(stream, rows, 'probe'), trouble: null };
  }
  const client = openClient(deps, connection, connector);
  const params = stream.window ? windowParams(stream, latest(stream)) : {};
  for await (const page of paginate(client, name, stream, { params, cursor: null, signal, shouldEnd: () => true })) {
    const rows = page.ahead ?? page.rows;
    const faults = faultsOf(stream, rows, page.position);
    return { stream: name, rows: rows.length, total: page.total, faults, trouble: null };
  }
  return { stream: name, rows: 0, total: null, faults: 0, trouble: null };
}

function faultsOf(stream: Stream, rows: readonly unknown[], position: string): number {
  return rows.filter((row) => 'fault' in extract(stream, row, { readMs: Date.now(), position })).length;
}

function latest({ window }: Stream) {
  if (!window) return {};
  const step = stepMs(window);
  const toMs = Math.floor((Date.now() - window.lagMs) / step) * step;
  return { fromMs: toMs - Math.max(step, Math.min(window.capMs, dayMs)), toMs };
}
