import { eq, isNotNull, isNull } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { Client, Pool } from './client.ts';
import { connections } from './schema/syncline.ts';
import { seal, unseal } from './seal.ts';

/** A connection as activities use it: options as stored (validate them), credential opened. */
export interface Connection {
  id: string;
  no: number;
  tenant: string;
  platform: string;
  baseUrl: string;
  options: Record<string, unknown>;
  credential: string | null;
}

/** A connection without its credential: what can be shown, and read without the key. */
export interface StoredConnection extends Omit<Connection, 'credential'> {
  hasCredential: boolean;
  updatedAt: Date;
}

export type ConnectionInput = Omit<Connection, 'no'>;

/** No row of that name: the message lists the names there are. */
export class ConnectionUnknown extends Error {
  override name = 'ConnectionUnknown';

  /** The same for who wants a connection of another platform than a directory. */
  of(platform: string): ConnectionUnknown {
    const mapping = platform === 'hubspot' ? ' --mapping FILE' : '';
    return new ConnectionUnknown(
      this.message.replace(usual, `--platform ${platform}${mapping} --credential-env VARIABLE`),
    );
  }
}

/** `disconnect` has begun to take it away. */
export class ConnectionLeaving extends ConnectionUnknown {
  constructor(id: string) {
    super(`Connection "${id}" is being disconnected. Finish that with: npx syncline disconnect ${id}`);
  }
}

const usual = '--platform scim --url https://…';

/** Writes a connection whole; the same name again replaces address, options and credential. @throws ConnectionLeaving */
export async function saveConnection(pool: Pool, key: Buffer, input: ConnectionInput): Promise<void> {
  const { credential, ...rest } = input;
  const row = {
    ...rest,
    credential: credential === null ? null : seal(key, input.id, credential),
    updatedAt: new Date(),
  };
  const written = await drizzle({ client: pool })
    .insert(connections)
    .values(row)
    .onConflictDoUpdate({ target: connections.id, set: row, setWhere: isNull(connections.leaving) })
    .returning({ id: connections.id });
  if (written.length === 0) throw new ConnectionLeaving(input.id);
}

/** Loads a connection and opens its credential. Throws ConnectionUnknown, SealBroken. */
export async function loadConnection(pool: Pool, key: Buffer, id: string): Promise<Connection> {
  const row = await findRow(pool, id);
  if (!row) throw await connectionUnknown(pool, id);
  const credential = row.credential === null ? null : unseal(key, row.id, row.credential);
  return { ...open(row), credential };
}

/** A connection without its credential. Throws ConnectionUnknown. */
export async function storedConnection(pool: Pool, id: string): Promise<StoredConnection> {
  const row = await findRow(pool, id);
  if (!row) throw await connectionUnknown(pool, id);
  return { ...open(row), hasCredential: row.credential !== null, updatedAt: row.updatedAt };
}

type Row = typeof connections.$inferSelect;

async function findRow(pool: Pool, id: string): Promise<Row | undefined> {
  const [row] = await drizzle({ client: pool }).select().from(connections).where(eq(connections.id, id));
  if (row?.leaving) throw new ConnectionLeaving(id);
  return row;
}

/** The error that says so, with the names there are. */
export async function connectionUnknown(pool: Pool | Client, id: string): Promise<ConnectionUnknown> {
  if ((await leavingConnections(pool)).some((one) => one.id === id)) return new ConnectionLeaving(id);
  const known = await drizzle({ client: pool })
    .select({ id: connections.id })
    .from(connections)
    .where(isNull(connections.leaving))
    .orderBy(connections.id)
    .limit(20);
  const names = known.map((r) => r.id).join(', ') || 'none yet';
  return new ConnectionUnknown(
    `Connection "${id.slice(0, 64)}" does not exist. Known connections: ${names}. Make it with: npx syncline connect ${id.slice(0, 64)} ${usual}`,
  );
}

function open(row: Row): Omit<Connection, 'credential'> {
  const { id, no, tenant, platform, baseUrl } = row;
  return { id, no, tenant, platform, baseUrl, options: row.options as Record<string, unknown> };
}

/** Names, platforms and tenants of all connections, by name. */
export async function listConnections(
  pool: Pool,
): Promise<Pick<Connection, 'id' | 'platform' | 'tenant' | 'baseUrl'>[]> {
  return drizzle({ client: pool })
    .select({
      id: connections.id,
      platform: connections.platform,
      tenant: connections.tenant,
      baseUrl: connections.baseUrl,
    })
    .from(connections)
    .where(isNull(connections.leaving))
    .orderBy(connections.id);
}

/** Connections that `disconnect` has begun to take away and not finished. */
export async function leavingConnections(
  pool: Pool | Client,
): Promise<(Pick<Connection, 'id' | 'no' | 'platform'> & { leaving: string | null })[]> {
  return drizzle({ client: pool })
    .select({ id: connections.id, no: connections.no, platform: connections.platform, leaving: connections.leaving })
    .from(connections)
    .where(isNotNull(connections.leaving))
    .orderBy(connections.id);
}

/**
 * SQL that is true while a connection stands, and makes `disconnect` wait for the end of the statement's transaction. Whoever
 * makes the first row of a kind for a connection asks it: what is written under it is seen by `disconnect`, and
 * nothing is written behind that.
 */
export const stands = (id: string) =>
  `EXISTS (SELECT 1 FROM syncline.connections WHERE id = ${id} AND leaving IS NULL FOR KEY SHARE)`;

/** The same as a statement of its own; in a transaction it holds to its end. */
export async function isStanding(pool: Pool | Client, id: string): Promise<boolean> {
  const { rows } = await pool.query(`SELECT ${stands('$1')} AS stands`, [id]);
  return rows[0].stands;
}

/** @throws ConnectionUnknown */
export async function proveStanding(client: Client, id: string): Promise<void> {
  if (!(await isStanding(client, id))) throw await connectionUnknown(client, id);
}
