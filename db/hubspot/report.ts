import pg from 'pg';
import { logTable } from '../capture/functions.ts';
import type { Pool } from '../client.ts';

/** What people ask of a connection's contacts. */
export interface ContactsStanding {
  /** Users whose contact HubSpot confirmed. */
  confirmed: number;
  /** Users that are to be sent, and those of them that wait for a call that may still land. */
  dirty: number;
  held: number;
  /** When the oldest change that is not sent was made, in the log or taken from it. */
  since: Date | null;
  /** Users that were refused. */
  parked: number;
  /** Everybody is to be looked at by a run, or (`resend`) sent again, beside those who are dirty. */
  mark: 'all' | 'resend' | null;
  /** Changes in the log that no run has taken yet; null when nothing is captured. */
  logged: number | null;
}

/** Contacts that HubSpot has of a connection, or may have. */
export async function knownContacts(pool: Pool, connection: string): Promise<number> {
  const { rows } = await pool.query(
    'SELECT count(*)::int AS known FROM syncline.hubspot_contacts WHERE connection_id = $1 AND (sent_hash IS NOT NULL OR hubspot_id IS NOT NULL OR doubt_id IS NOT NULL)',
    [connection],
  );
  return rows[0].known;
}

/** Users of a connection that are set aside. */
export async function parkedContacts(pool: Pool, connection: string): Promise<number> {
  const { rows } = await pool.query(
    'SELECT count(*)::int AS parked FROM syncline.hubspot_contacts WHERE connection_id = $1 AND parked_hash IS NOT NULL',
    [connection],
  );
  return rows[0].parked;
}

/** What the log of a connection holds that no run has taken yet. */
export interface Logged {
  connection: string;
  changes: number;
  oldest: Date | null;
}

/** The logs of all connections, by one statement. They have no index, so they are read whole: 0.17 s for a million rows. */
async function readLogs(pool: Pool): Promise<Logged[]> {
  const { rows } = await pool.query(
    `SELECT k.id, k.no FROM syncline.connections k JOIN pg_class c ON c.relname = 'log_' || k.no
     WHERE c.relnamespace = 'syncline_capture'::regnamespace ORDER BY k.id`,
  );
  if (rows.length === 0) return [];
  const logs = rows.map(({ id, no }) => `SELECT ${pg.escapeLiteral(id)} AS connection, ${ofLog} FROM ${logTable(no)}`);
  return (await pool.query(logs.join(' UNION ALL '))).rows;
}

/**
 * Reads the logs for whoever asks every few seconds. Who asks meanwhile gets the same answer, and one that took long (by
 * default half a second: a log that nobody has drained for long) stands twenty times as long: so it costs a twentieth of one
 * core at most, and is never an estimate.
 */
export function logsGlance(pool: Pool, { longMs = 500, times = 20 } = {}): () => Promise<Logged[]> {
  let glance: Promise<Logged[]> | null = null;
  const forget = () => {
    glance = null;
  };
  return () => {
    if (glance) return glance;
    const began = performance.now();
    glance = readLogs(pool);
    glance.then(() => {
      const tookMs = performance.now() - began;
      if (tookMs < longMs) forget();
      else setTimeout(forget, tookMs * times).unref();
    }, forget);
    return glance;
  };
}

const ofLog = 'count(*)::int AS changes, min(at) AS oldest';

/** Read-only; works while a run is at work. */
export async function contactsStanding(pool: Pool, { id, no }: { id: string; no: number }): Promise<ContactsStanding> {
  const { rows } = await pool.query(
    `SELECT (SELECT count(*)::int FROM syncline.hubspot_contacts WHERE connection_id = $1 AND octet_length(sent_hash) > 0) AS confirmed,
       (SELECT count(*)::int FROM syncline.hubspot_contacts WHERE connection_id = $1 AND parked_hash IS NOT NULL) AS parked,
       count(*)::int AS dirty, count(*) FILTER (WHERE held_until > now())::int AS held, min(since) AS since,
       (SELECT mark FROM syncline.hubspot_syncs WHERE connection_id = $1) AS mark, to_regclass($2) IS NOT NULL AS captured
     FROM syncline.hubspot_dirty WHERE connection_id = $1`,
    [id, logTable(no)],
  );
  const { captured, ...standing } = rows[0];
  if (!captured) return { ...standing, logged: null };
  const log = await pool.query(`SELECT count(*)::int AS changes, least(min(at), $1) AS since FROM ${logTable(no)}`, [
    standing.since,
  ]);
  const { changes, since } = log.rows[0];
  return { ...standing, since, logged: changes };
}
