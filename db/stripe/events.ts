import type { Client, Pool } from '../client.ts';

/** An event as the ledger keeps it. */
export interface LedgerEvent {
  id: string;
  /** ms since 1970, whole seconds. */
  createdMs: number;
  requestId: string | null;
  idempotencyKey: string | null;
}

/** Those of the ids that were not applied yet. */
export async function unappliedEvents(pool: Pool, connection: string, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  const { rows } = await pool.query({
    name: 'stripe unapplied',
    text: `SELECT i.id FROM unnest($2::text[]) AS i(id)
           LEFT JOIN syncline.stripe_events e ON e.connection_id = $1 AND e.id = i.id WHERE e.id IS NULL`,
    values: [connection, ids],
  });
  return new Set(rows.map((r) => r.id));
}

/** Notes events as applied, in the transaction that writes what they brought: never what they hold, which may be a text that Postgres refuses. */
export async function keepEvents(client: Client, connection: string, events: readonly LedgerEvent[]): Promise<void> {
  if (events.length === 0) return;
  const told = events.map(({ id, createdMs, requestId, idempotencyKey }) => [id, createdMs, requestId, idempotencyKey]);
  await client.query({
    name: 'stripe keep events',
    text: `INSERT INTO syncline.stripe_events (connection_id, id, created, request_id, idempotency_key)
           SELECT $1, e->>0, to_timestamp((e->>1)::float8 / 1000), e->>2, e->>3
           FROM jsonb_array_elements($2::jsonb) e ORDER BY 2 ON CONFLICT DO NOTHING`,
    values: [connection, JSON.stringify(told)],
  });
}

/** Forgets events that no reader will meet again; returns how many. */
export async function dropEvents(pool: Pool, connection: string, beforeMs: number): Promise<number> {
  const { rowCount } = await pool.query(
    `DELETE FROM syncline.stripe_events WHERE connection_id = $1 AND created < to_timestamp($2::float8 / 1000)`,
    [connection, beforeMs],
  );
  return rowCount ?? 0;
}

/**
 * Of those who wait: when the first event of a request or idempotency key was applied, by `connection request`; ms by the
 * database's clock.
 */
export async function appliedRequests(
  pool: Pool,
  asked: readonly { connection: string; request: string }[],
): Promise<Map<string, number>> {
  if (asked.length === 0) return new Map();
  const { rows } = await pool.query(
    `SELECT a.c, a.r, extract(epoch FROM least(
         (SELECT min(e.applied_at) FROM syncline.stripe_events e WHERE e.connection_id = a.c AND e.request_id = a.r),
         (SELECT min(e.applied_at) FROM syncline.stripe_events e WHERE e.connection_id = a.c AND e.idempotency_key = a.r)
       ))::float8 * 1000 AS ms
     FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS u(c, r)) a`,
    [asked.map((one) => one.connection), asked.map((one) => one.request)],
  );
  return new Map(rows.flatMap((r) => (r.ms === null ? [] : [[`${r.c} ${r.r}`, r.ms] as const])));
}
