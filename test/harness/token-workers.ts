import { expect } from 'vitest';
import { openTokens, type Tokens, type TokensOptions } from '../../activities/http/auth.ts';
import { type Answer, openClient, type PlatformClient } from '../../activities/http/client.ts';
import { settingsOf } from '../../activities/http/settings.ts';
import type { Throttle } from '../../activities/http/throttle.ts';
import { createPool } from '../../db/client.ts';
import type { Connection } from '../../db/connections.ts';
import { byConsent, startVendor, type Vendor } from './token-vendor.ts';
import { openWorld } from './world.ts';

export const signal = () => new AbortController().signal;

/** A world of workers that ask vendors for tokens. */
export async function openTokenWorld() {
  const world = await openWorld({ worker: false });
  return {
    world,
    startVendor: () => startVendor(world),
    /** A worker's own pool and tokens. */
    worker(options: Partial<TokensOptions> = {}) {
      const pool = createPool({ url: world.servers.databaseUrl, size: 3, name: 'syncline test worker' });
      const tokens = openTokens({ pool, key: world.key, ...options });
      const close = async () => {
        await tokens.close();
        await pool.end();
      };
      world.onClose(async () => (pool.ended ? undefined : close()));
      return { pool, tokens, close };
    },
    async rowsOf(connection: Connection) {
      const { rows } = await world.pool.query(
        'SELECT version, holder, pair, refused, open_since AS "openSince" FROM syncline.tokens WHERE connection_id = $1 ORDER BY asked_at',
        [connection.id],
      );
      return rows as {
        version: number;
        holder: string | null;
        pair: Buffer;
        refused: string | null;
        openSince: Date | null;
      }[];
    },
  };
}

let made = 0;
export function connectionTo(
  vendor: Vendor,
  credential: Record<string, string> = { refreshToken: vendor.refreshToken },
): Connection {
  const id = `v${++made}`;
  const text = JSON.stringify(credential);
  return { id, no: 0, tenant: id, platform: 'vendor', baseUrl: vendor.url, options: {}, credential: text };
}

interface Calls {
  taken: number;
  refused: unknown[][];
}

export function clientOf(
  tokens: Tokens,
  connection: Connection,
  connector = byConsent,
  calls: Calls = { taken: 0, refused: [] },
) {
  const throttle: Throttle = {
    take: async () => void calls.taken++,
    refused: async (...args) => void calls.refused.push(args),
    close: async () => undefined,
  };
  const client = openClient({ tokens, throttle }, connection, connector);
  return { client, calls };
}

export function list(client: PlatformClient, aborted = signal()): Promise<Answer> {
  return client.call({
    call: { api: 'list', params: { q: 'query-value' } },
    params: {},
    stream: 'orders',
    signal: aborted,
  });
}

export const ask = (connection: Connection, connector = byConsent) => ({
  connection,
  connector,
  settings: settingsOf(connection, connector),
  budget: async () => undefined,
});

export async function failureOf(
  work: Promise<unknown>,
): Promise<Error & { type?: string; waitMs?: number; code?: string }> {
  return work.then(
    () => expect.fail('it should have failed'),
    (error: Error) => error,
  );
}

/** A promise that is kept from outside. */
export function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}
