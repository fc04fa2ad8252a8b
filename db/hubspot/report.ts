import { logTable } from '../capture/functions.ts';
import type { Pool } from '../client.ts';

/** What people ask of a connection's contacts. */
export interface ContactsStanding {
  /** Users whose contact HubSpot confirmed. */
  confirmed: number;
  /** Users that are to be sent, and those of them that wait for a call that may still land. */
  dirty: number;
  held: number;
  /** When the oldest change that is not sent was made. */
  since: Date | null;
  /** Users that were refused. */
  parked: number;
  /** Whether the log holds more; null when nothing is captured. */
  logged: boolean | null;
}

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
  const log = await pool.query(`SELECT EXISTS (SELECT 1 FROM ${logTable(no)}) AS any`);
  return { ...standing, logged: log.rows[0].any };
}
