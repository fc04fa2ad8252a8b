import type { Execution } from '../db/claims.ts';
import type { Pool } from '../db/client.ts';
import type { Connection } from '../db/connections.ts';
import type { Listener } from '../db/listen.ts';
import type { ClientDeps } from './http/client.ts';

/** Tools the activities get from the worker. Workflows see none of it. */
export interface Deps extends ClientDeps {
  pool: Pool;
  /** Notifications of the database, over one connection for the whole process. */
  listener: Listener;
  /** Loads a connection with its credential opened; throws ConnectionUnknown, SealBroken. */
  connection(id: string): Promise<Connection>;
  /** Asks Temporal whether an execution is still open. */
  isOpen(execution: Execution): Promise<boolean>;
}
