import pg from 'pg';
import { sameTexts } from '../capture/functions.ts';
import { type CaptureMapping, quoted } from '../capture/probe.ts';
import type { Client, Pool } from '../client.ts';
import { type Turn, writeInTurn } from './turns.ts';

const keysAtOnce = 10_000;

const put = `INSERT INTO syncline.hubspot_dirty AS d (connection_id, key, version)
  SELECT $1, key, (SELECT nextval('syncline.hubspot_versions')) FROM chunk ORDER BY key
  ON CONFLICT (connection_id, key) DO UPDATE SET version = excluded.version, tries = 0`;

/** What `hubspot_syncs` says is still to be marked. */
export interface OpenMark {
  mark: 'all' | 'resend' | null;
}

export async function openMark(pool: Pool, connection: string): Promise<OpenMark> {
  const { rows } = await pool.query('SELECT mark FROM syncline.hubspot_syncs WHERE connection_id = $1', [connection]);
  return rows[0] ?? { mark: null };
}

/**
 * Marks the next 10,000 of everybody: first the contacts we know (who was deleted is among them), then the users. The
 * place stands beside the marks, so that a killed worker's successor goes on there. `resend` also forgets what was
 * confirmed, so that everything is sent though nothing changed.
 * @returns rows marked, and whether it was the last part
 */
export async function markEverybody(
  pool: Pool,
  turn: Turn,
  mapping: Pick<CaptureMapping, 'from' | 'key'>,
  keyType: string,
): Promise<{ marked: number; done: boolean }> {
  const { connection } = turn.claim;
  return writeInTurn(pool, turn, { name: 'mark', durable: false }, async (client) => {
    const { rows } = await client.query(
      // Locked, so that a mark that is asked for meanwhile (`check --create`) is not taken for this one.
      'SELECT mark, mark_list AS list, mark_after AS after FROM syncline.hubspot_syncs WHERE connection_id = $1 FOR UPDATE',
      [connection],
    );
    const { mark, list, after } = rows[0] as { mark: string | null; list: string | null; after: string };
    if (mark === null) return { marked: 0, done: true };
    const chunk =
      list === 'contacts'
        ? await markContacts(client, connection, after, mark === 'resend')
        : await markUsers(client, connection, mapping, keyType, after);
    const over = chunk.marked < keysAtOnce;
    const done = over && list !== 'contacts';
    await client.query(
      `UPDATE syncline.hubspot_syncs SET mark = CASE WHEN $2 THEN NULL ELSE mark END, mark_list = $3, mark_after = $4 WHERE connection_id = $1`,
      [connection, done, done ? null : over ? 'users' : list, done ? null : over ? '' : chunk.last],
    );
    return { marked: chunk.marked, done };
  });
}

interface Chunk {
  marked: number;
  last: string;
}

async function markContacts(client: Client, connection: string, after: string, resend: boolean): Promise<Chunk> {
  const { rows } = await client.query(
    `WITH chunk AS MATERIALIZED (SELECT key FROM syncline.hubspot_contacts WHERE connection_id = $1 AND ($2 = '' OR key > $2) ORDER BY key LIMIT ${keysAtOnce}),
       put AS (${put}),
       forgotten AS (UPDATE syncline.hubspot_contacts c SET sent_hash = NULL, parked_under = '' FROM chunk
         WHERE $3 AND c.connection_id = $1 AND c.key = chunk.key)
     SELECT count(*)::int AS marked, max(key) AS last FROM chunk`,
    [connection, after, resend],
  );
  return rows[0];
}

/** Users go by the order of their own key, which its index has; `ORDER BY own` alone would sort the text that is put out. */
async function markUsers(
  client: Client,
  connection: string,
  { from, key }: Pick<CaptureMapping, 'from' | 'key'>,
  keyType: string,
  after: string,
): Promise<Chunk> {
  await client.query(`SET LOCAL row_security = off; ${sameTexts}`);
  const own = `u.${pg.escapeIdentifier(key)}`;
  const { rows } = await client.query(
    `WITH page AS MATERIALIZED (SELECT ${own} AS own FROM ${quoted(from)} u WHERE $2 = '' OR ${own} > (nullif($2, ''))::${keyType} ORDER BY ${own} LIMIT ${keysAtOnce}),
       chunk AS MATERIALIZED (SELECT own::text AS key FROM page), put AS (${put})
     SELECT count(*)::int AS marked, (SELECT p.own::text FROM page p ORDER BY p.own DESC LIMIT 1) AS last FROM page`,
    [connection, after],
  );
  return rows[0];
}

/** Asks for everybody to be marked by the next writing step. `resend` outranks `all`. */
export async function askMark(client: Client | Pool, connection: string, mark: 'all' | 'resend'): Promise<void> {
  await client.query(
    `UPDATE syncline.hubspot_syncs SET mark = CASE WHEN mark = 'resend' THEN mark ELSE $2 END, mark_list = 'contacts', mark_after = ''
     WHERE connection_id = $1`,
    [connection, mark],
  );
}
