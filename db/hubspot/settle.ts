import type { Client, Pool } from '../client.ts';
import { setAside, settle } from '../rejects.ts';
import { onDoubt, type Turn, writeInTurn } from './turns.ts';

/** Name under which rows of this pipeline stand in syncline.rejects. */
export const rejectStream = 'contacts';

/** What became of a user's mark. */
export interface Settled {
  key: string;
  /** Version that was read: a newer mark stays. */
  version: number;
  hash: string | null;
  /** The user's row was parked before: its reject is settled with it. */
  wasParked: boolean;
  outcome: /** HubSpot has it, or (`update`, `insert`) needs nothing of it. */
    | { kind: 'confirmed'; hubspotId: string | null; remoteId: string | null; left: boolean }
    | { kind: 'archived' }
    /** Nothing was to be sent. */
    | { kind: 'clear' }
    | { kind: 'parked'; code: string; property: string | null; contact?: string; record: string; reject: boolean }
    /** Sent again in `holdMs`. `counts`: others were answered meanwhile. */
    | {
        kind: 'held';
        holdMs: number;
        counts: boolean;
        /** No answer, or none about this row: HubSpot may have taken it, under this id where it is no key of ours. Null: it did not. */
        doubt: { id: string | null } | null;
      }
    /** Looked for: HubSpot has its contact under this record id, or has none. It stays marked. */
    | { kind: 'located'; hubspotId: string | null };
}

export interface Settlement {
  rows: readonly Settled[];
  /** Calls that are over: nothing of them can land any more, or their rows are held here. */
  calls: readonly number[];
  /** `hubspot_syncs.judged` of today. */
  judged: string;
}

/**
 * Writes the outcomes of many calls in one transaction: hash saved and mark cleared only where the mark is still the one
 * that was read. Not flushed: a lost commit leaves the calls open and the marks standing, and they are sent again.
 */
export async function settleRows(pool: Pool, turn: Turn, { rows, calls, judged }: Settlement): Promise<void> {
  await writeInTurn(pool, turn, { name: 'settle', durable: false }, async (client) => {
    const { connection } = turn.claim;
    const of = (kind: Settled['outcome']['kind']) => rows.filter(({ outcome }) => outcome.kind === kind);
    const [held, located] = [of('held'), of('located')];
    const over = rows.filter(({ outcome }) => outcome.kind !== 'held' && outcome.kind !== 'located');
    if (over.length > 0 || calls.length > 0) await clear(client, connection, over, calls, judged);
    if (held.length > 0) await hold(client, connection, held);
    if (located.length > 0) await locate(client, connection, located);
    const parked = rows.flatMap(({ key, outcome }) =>
      outcome.kind === 'parked' && outcome.reject ? [{ key, outcome }] : [],
    );
    await setAside(
      client,
      turn.claim,
      rejectStream,
      parked.map(({ key, outcome }) => ({
        id: key,
        reason: outcome.code,
        field: outcome.property,
        record: outcome.record,
        position: outcome.contact === undefined ? null : `contact ${outcome.contact}`,
      })),
    );
    const repaired = rows.filter(
      ({ wasParked, outcome }) => wasParked && !['parked', 'held', 'located'].includes(outcome.kind),
    );
    if (repaired.length > 0)
      await unpark(
        client,
        connection,
        repaired.map(({ key }) => key),
      );
  });
}

const nothingTold = { hubspotId: null, remoteId: null, left: false };

/** The common case in one statement: contacts are written, marks of the same version and the calls' rows go. */
async function clear(
  client: Client,
  connection: string,
  rows: readonly Settled[],
  calls: readonly number[],
  judged: string,
) {
  const told = rows.map(({ key, version, hash, outcome }) => {
    const { hubspotId, remoteId, left } = outcome.kind === 'confirmed' ? outcome : nothingTold;
    return [key, version, hash, outcome.kind, hubspotId, remoteId, left];
  });
  await client.query({
    name: 'settleRows',
    text: `WITH told AS MATERIALIZED (
        SELECT r->>0 AS key, (r->>1)::bigint AS version, decode(r->>2, 'hex') AS hash, r->>3 AS kind, r->>4 AS hubspot_id, r->>5 AS remote_id, (r->6)::boolean AS told_left
        FROM jsonb_array_elements($2::jsonb) r),
      closed AS (DELETE FROM syncline.hubspot_calls WHERE id = ANY ($3::bigint[])),
      cleared AS (
        DELETE FROM syncline.hubspot_dirty d USING told t WHERE d.connection_id = $1 AND d.key = t.key AND d.version = t.version),
      forgotten AS (
        DELETE FROM syncline.hubspot_contacts c USING told t WHERE c.connection_id = $1 AND c.key = t.key AND t.kind = 'archived')
      INSERT INTO syncline.hubspot_contacts AS c (connection_id, key, sent_hash, sent_at, hubspot_id, remote_id, told_left, parked_hash, parked_under)
      SELECT $1, key, CASE kind WHEN 'confirmed' THEN hash END, CASE WHEN kind <> 'parked' THEN now() END, hubspot_id, remote_id, told_left,
        CASE kind WHEN 'parked' THEN coalesce(hash, '') END, CASE kind WHEN 'parked' THEN $4 END
      FROM told WHERE kind IN ('confirmed', 'parked') ORDER BY key
      ON CONFLICT (connection_id, key) DO UPDATE SET
        sent_hash = CASE WHEN excluded.parked_hash IS NULL THEN excluded.sent_hash ELSE c.sent_hash END,
        sent_at = coalesce(excluded.sent_at, c.sent_at),
        hubspot_id = coalesce(excluded.hubspot_id, c.hubspot_id),
        remote_id = coalesce(excluded.remote_id, c.remote_id),
        told_left = CASE WHEN excluded.parked_hash IS NULL THEN excluded.told_left ELSE c.told_left END,
        doubt_id = CASE WHEN excluded.parked_hash IS NULL THEN NULL ELSE c.doubt_id END,
        parked_hash = excluded.parked_hash, parked_under = excluded.parked_under`,
    values: [connection, JSON.stringify(told), calls, judged],
  });
  const taken = told.filter(([, , , , , remoteId]) => remoteId !== null);
  if (taken.length > 0) await release(client, connection, taken);
}

/**
 * A contact that its owner left as it is belongs to the next one with its id: he would take it back by its record id, or by
 * an id that a call without an answer may have brought it. Where HubSpot keeps that id with another record the call did not
 * land, and he keeps his own.
 */
async function release(client: Client, connection: string, taken: readonly unknown[]): Promise<void> {
  const owners = (id: string, keeps: string) =>
    `SELECT o.key, ${keeps} AS keeps FROM heirs h JOIN syncline.hubspot_contacts o ON o.connection_id = $1 AND o.${id} = h.id AND o.key <> h.key`;
  await client.query(
    `WITH heirs AS MATERIALIZED (SELECT r->>0 AS key, r->>4 AS hubspot_id, r->>5 AS id FROM jsonb_array_elements($2::jsonb) r),
       owners AS (${owners('remote_id', 'false')} UNION ALL ${owners('doubt_id', 'coalesce(o.hubspot_id <> h.hubspot_id, false)')})
     UPDATE syncline.hubspot_contacts c SET doubt_id = NULL, remote_id = CASE WHEN o.keeps THEN c.remote_id END,
       hubspot_id = CASE WHEN o.keeps THEN c.hubspot_id END, sent_hash = CASE WHEN o.keeps THEN c.sent_hash END
     FROM (SELECT key, bool_and(keeps) AS keeps FROM owners GROUP BY key) o WHERE c.connection_id = $1 AND c.key = o.key`,
    [connection, JSON.stringify(taken)],
  );
}

async function locate(client: Client, connection: string, rows: readonly Settled[]): Promise<void> {
  const told = rows.map(({ key, outcome }) => [key, outcome.kind === 'located' ? outcome.hubspotId : null]);
  await client.query(
    `UPDATE syncline.hubspot_contacts c SET hubspot_id = r->>1, remote_id = CASE WHEN r->>1 IS NOT NULL THEN c.remote_id END,
       doubt_id = CASE WHEN r->>1 IS NOT NULL THEN c.doubt_id END, sent_hash = CASE WHEN r->>1 IS NOT NULL THEN c.sent_hash END
     FROM jsonb_array_elements($2::jsonb) r WHERE c.connection_id = $1 AND c.key = r->>0`,
    [connection, JSON.stringify(told)],
  );
}

async function hold(client: Client, connection: string, rows: readonly Settled[]): Promise<void> {
  const told = rows.flatMap(({ key, outcome }) =>
    outcome.kind === 'held'
      ? [[key, outcome.holdMs, outcome.counts ? 1 : 0, outcome.doubt !== null, outcome.doubt?.id ?? null]]
      : [],
  );
  // It may be there from now on, whatever becomes of the user.
  await client.query(
    `INSERT INTO syncline.hubspot_contacts AS c (connection_id, key, doubt_id)
     SELECT $1, r->>0, r->>4 FROM jsonb_array_elements($2::jsonb) r WHERE (r->3)::boolean ORDER BY 2 ${onDoubt}`,
    [connection, JSON.stringify(told)],
  );
  // A person may have sent one who was not marked.
  await client.query(
    `INSERT INTO syncline.hubspot_dirty AS d (connection_id, key, version, held_until, tries)
     SELECT $1, t.key, nextval('syncline.hubspot_versions'), now() + t.ms * interval '1 ms', t.counts
     FROM (SELECT r->>0 AS key, (r->>1)::float8 AS ms, (r->>2)::int AS counts FROM jsonb_array_elements($2::jsonb) r) t ORDER BY t.key
     ON CONFLICT (connection_id, key) DO UPDATE SET held_until = excluded.held_until, tries = least(1000, d.tries + excluded.tries)`,
    [connection, JSON.stringify(told)],
  );
}

async function unpark(client: Client, connection: string, keys: readonly string[]): Promise<void> {
  await client.query(
    `UPDATE syncline.hubspot_contacts SET parked_hash = NULL, parked_under = NULL WHERE connection_id = $1 AND key = ANY ($2)`,
    [connection, keys],
  );
  await settle(client, { connection, pipeline: 'hubspot', stream: rejectStream }, keys);
}
