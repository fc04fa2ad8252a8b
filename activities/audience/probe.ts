import { channelOf } from '../../connectors/channel.index.ts';
import type { Stream } from '../../connectors/shape.ts';
import type { Connection } from '../../db/connections.ts';
import type { ClientDeps } from '../http/client.ts';
import { settingsOf } from '../http/settings.ts';
import { extract } from '../platform/extract.ts';
import { openDatabase } from '../platform/open.ts';
import type { StreamProbe } from '../platform/probe.ts';
import { readFirst } from '../platform/sql.ts';
import { accountOf } from './account.ts';

/** Reads one page of each list that a database's mapping names. @throws SyncError for what cannot be read */
export async function probeDatabase(connection: Connection): Promise<StreamProbe[]> {
  const opened = openDatabase(connection);
  const found: StreamProbe[] = [];
  for (const [name, stream] of Object.entries(opened.connector.streams)) {
    const rows = await readFirst(opened, stream);
    found.push({ stream: name, rows: rows.length, total: null, faults: faultsOf(stream, rows), trouble: null });
  }
  return found;
}

function faultsOf(stream: Stream, rows: readonly unknown[]): number {
  return rows.filter((row) => 'fault' in extract(stream, row, { readMs: Date.now(), position: 'probe' })).length;
}

/** Whether a channel's account can be used, as far as that can be told without a message. @returns what was seen */
export async function probeChannel(deps: ClientDeps, connection: Connection, signal: AbortSignal): Promise<string> {
  const channel = channelOf(connection.platform);
  const account = accountOf(channel);
  const settings = settingsOf(connection, account);
  if (channel.auth.kind === 'token') {
    await deps.tokens.current({ connection, connector: account, settings, budget: async () => undefined }, signal);
    return `${channel.title} gave a token.`;
  }
  if (channel.transport.kind === 'smtp') {
    const { openSmtpProbe } = await import('./transport.smtp.ts');
    await openSmtpProbe(channel, connection);
    return 'The server answered and let us in.';
  }
  return 'Nothing was sent: a webhook is tried with npx syncline campaign test.';
}
