import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { identify, isRunning, type ProcessIdentity } from './process.ts';

/**
 * What a start leaves beside its data, so that a later start of any process knows what runs there, and on which ports it
 * ran last. Only a start writes it; that a server was stopped shows in its process, which is gone.
 */
export interface ServerRecord {
  server: ProcessIdentity;
  /** The process that started the server and stops it at its end. */
  owner: ProcessIdentity;
  /** Ports by name. */
  ports: Record<string, number>;
  /** What two starts must agree on to share one server. */
  settings: string;
}

/**
 * What runs at a place: nothing (`none`), a server whose owner lives and which can be shared (`shared`), or one that
 * outlived its owner (`leftover`).
 */
export type Found = { state: 'none' } | { state: 'shared' | 'leftover'; record: ServerRecord };

/** Ports that the latest server had; none before the first start. */
export function lastPorts(file: string): Record<string, number> {
  return read(file)?.ports ?? {};
}

/** Looks a record up and checks it against the processes that really run. */
export function findServer(file: string): Found {
  const record = read(file);
  if (!record || !isRunning(record.server)) return { state: 'none' };
  return { state: isRunning(record.owner) ? 'shared' : 'leftover', record };
}

/** Writes the record of a server that this process owns. */
export function writeRecord(file: string, record: Omit<ServerRecord, 'owner'>): void {
  const owner = identify(process.pid);
  if (!owner) throw new Error(`The operating system does not tell about process ${process.pid}, this one`);
  writeFileSync(`${file}.new`, JSON.stringify({ ...record, owner }, null, 2), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Throws unless a running server that another process owns has the settings wanted here, and the port where one is. */
export function assertShareable(
  name: string,
  place: string,
  record: ServerRecord,
  wanted: { settings: string; port?: number },
): void {
  const { port, settings } = wanted;
  const there = `${name} runs in ${place} already, started by process ${record.owner.pid}`;
  if (record.settings !== settings) {
    throw new Error(
      `${there} with other settings (there: ${record.settings}; wanted: ${settings}). ` +
        'Stop that process, or set SYNCLINE_DATA_DIR to another folder',
    );
  }
  if (port !== undefined && record.ports.port !== port)
    throw new Error(`${there} on port ${record.ports.port}; this process knows it on port ${port}`);
}

function read(file: string): ServerRecord | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ServerRecord;
  } catch (error) {
    // A record that cannot be parsed was cut by a full disk; it names nothing that could be shared or stopped.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
