import { eq } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { Pool } from './client.ts';
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

const usual = '--platform scim --url https://…';

/** Writes a connection whole; the same name again replaces address, options and credential. */
export async function saveConnection(pool: Pool, key: Buffer, input: ConnectionInput): Promise<void> {
  const { credential, ...rest } = input;
  const row = {
    ...rest,
    credential: credential === null ? null : seal(key, input.id, credential),
    updatedAt: new Date(),
  };
  await drizzle({ client: pool })
    .insert(connections)
    .values(row)
    .onConflictDoUpdate({ target: connections.id, set: row });
}

/** Loads a connection and opens its credential. Throws ConnectionUnknown, SealBroken. */
export async function loadConnection(pool: Pool, key: Buffer, id: string): Promise<Connection> {
  const row = await findRow(pool, id);
  if (!row) throw await unknown(pool, id);
  const credential = row.credential === null ? null : unseal(key, row.id, row.credential);
  return { ...open(row), credential };
}

/** A connection without its credential. Throws ConnectionUnknown. */
export async function storedConnection(pool: Pool, id: string): Promise<StoredConnection> {
  const row = await findRow(pool, id);
  if (!row) throw await unknown(pool, id);
  return { ...open(row), hasCredential: row.credential !== null, updatedAt: row.updatedAt };
}

type Row = typeof connections.$inferSelect;

async function findRow(pool: Pool, id: string): Promise<Row | undefined> {
  const [row] = await drizzle({ client: pool }).select().from(connections).where(eq(connections.id, id));
  return row;
}

async function unknown(pool: Pool, id: string): Promise<ConnectionUnknown> {
  const known = await drizzle({ client: pool })
    .select({ id: connections.id })
    .from(connections)
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
    .orderBy(connections.id);
}
