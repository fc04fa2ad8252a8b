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
  /** Changes in the log that no run has taken yet; null when nothing is captured. */
  logged: number | null;
}

/**
 * Query for the changes in the logs of all connections that no run has taken yet: `connection`, `changes`, `oldest`. The
 * log has no index, so it is read whole: 0.17 s for a million rows, a log that nobody has drained for long.
 */
export async function logsQuery(pool: Pool): Promise<string> {
  const { rows } = await pool.query(
    `SELECT k.id, k.no FROM syncline.connections k JOIN pg_class c ON c.relname = 'log_' || k.no
     WHERE c.relnamespace = 'syncline_capture'::regnamespace ORDER BY k.id`,
  );
  const logs = rows.map(({ id, no }) => `SELECT ${pg.escapeLiteral(id)} AS connection, ${ofLog} FROM ${logTable(no)}`);
  return logs.length > 0
    ? logs.join(' UNION ALL ')
    : `SELECT '' AS connection, 0 AS changes, now() AS oldest WHERE false`;
}

const ofLog = 'count(*)::int AS changes, min(at) AS oldest';

/** Read-only; works while a run is at work. */
export async function contactsStanding(pool: Pool, { id, no }: { id: string; no: number }): Promise<ContactsStanding> {
  const { rows } = await pool.query(
    `SELECT (SELECT count(*)::int FROM syncline.hubspot_contacts WHERE connection_id = $1 AND sent_hash IS NOT NULL) AS confirmed,
       (SELECT count(*)::int FROM syncline.hubspot_contacts WHERE connection_id = $1 AND parked_hash IS NOT NULL) AS parked,
       count(*)::int AS dirty, count(*) FILTER (WHERE held_until > now())::int AS held, min(since) AS since,
       to_regclass($2) IS NOT NULL AS captured
     FROM syncline.hubspot_dirty WHERE connection_id = $1`,
    [id, logTable(no)],
  );
  const { captured, ...standing } = rows[0];
  if (!captured) return { ...standing, logged: null };
  const log = await pool.query(`SELECT ${ofLog}, least(min(at), $1) AS since FROM ${logTable(no)}`, [standing.since]);
  const { changes, since } = log.rows[0];
  return { ...standing, since, logged: changes };
}
