import { Client, Connection } from '@temporalio/client';
import type { Servers } from './embedded/servers.ts';

/** A client for the server in use; says plainly when nobody answers there. */
export async function connectClient(temporal: Servers['temporal']): Promise<Client> {
  try {
    const connection = await Connection.connect(temporal.connectionOptions);
    return new Client({ connection, namespace: temporal.namespace });
  } catch (cause) {
    throw new Error(
      `Temporal at ${temporal.address} (namespace ${temporal.namespace}) does not answer. Is it running? TEMPORAL_ADDRESS names another one.`,
      { cause },
    );
  }
}
