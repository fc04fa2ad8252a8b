import type { Pool } from './client.ts';
import type { Logged } from './hubspot/report.ts';

interface Question {
  help: string;
  labels: readonly string[];
  /** A column a label, and `value`. Counts of whole tables are left out: it is asked every few seconds. `LOGS` is what was seen of the logs of change capture. */
  sql: string;
}

/** What an operator is woken for, over all connections and from the tables alone; what runs do, Temporal tells. */
export const gauges: Record<string, Question> = {
  syncline_lag_seconds: {
    help: 'Age of the data: since the watermark of a stream (else its last full pass), the last applied plan of a directory, the settled second of a feed (it stands for all lists of a Stripe account), the oldest change that was not sent, in the capture log or taken from it',
    labels: ['connection', 'platform', 'stream'],
    sql: `SELECT k.connection, c.platform, k.stream, extract(epoch FROM now() - k.at)::float8 AS value
          FROM (SELECT connection_id AS connection, stream, coalesce(watermark, full_at) AS at FROM syncline.streams
                UNION ALL SELECT connection_id, 'directory', max(created_at) FROM org.plans WHERE verdict = 'applied' AND NOT partial GROUP BY 1
                UNION ALL SELECT connection_id, 'feed', settled_at FROM syncline.stripe_feeds
                UNION ALL SELECT connection, 'contacts', min(at)
                  FROM (SELECT connection_id AS connection, since AS at FROM syncline.hubspot_dirty UNION ALL SELECT connection, oldest FROM LOGS) c GROUP BY 1) k
          JOIN syncline.connections c ON c.id = k.connection
          -- Lists of a followed account are as old as its feed, whenever they were read whole.
          WHERE k.at IS NOT NULL AND c.leaving IS NULL AND (c.platform <> 'stripe' OR k.stream = 'feed')`,
  },
  syncline_doubtful: {
    help: '1 while the last pass of a stream could not prove that it missed no row',
    labels: ['connection', 'stream'],
    sql: 'SELECT connection_id AS connection, stream, (doubt IS NOT NULL)::int AS value FROM syncline.streams',
  },
  syncline_withheld_deletions: {
    help: 'Rows of a stream that are gone from the source and stay until a person accepts that',
    labels: ['connection', 'stream'],
    sql: 'SELECT connection_id AS connection, stream, withheld AS value FROM syncline.streams',
  },
  syncline_rejects: {
    help: 'Records that stand aside (syncline.rejects)',
    labels: ['connection', 'pipeline', 'stream'],
    sql: `SELECT connection_id AS connection, pipeline, stream, count(*)::int AS value FROM syncline.rejects
          WHERE resolved_at IS NULL GROUP BY 1, 2, 3`,
  },
  syncline_conflicts: {
    help: 'People whose user name somebody else in their tenant holds',
    labels: ['connection'],
    sql: 'SELECT connection_id AS connection, count(*)::int AS value FROM org.conflicts WHERE resolved_at IS NULL GROUP BY 1',
  },
  syncline_dirty_contacts: {
    help: 'Users that may differ from their contact at HubSpot, as far as a run has taken them from the capture log',
    labels: ['connection'],
    sql: 'SELECT connection_id AS connection, count(*)::int AS value FROM syncline.hubspot_dirty GROUP BY 1',
  },
  syncline_marked_connections: {
    help: '1 while everybody of a connection to HubSpot is to be looked at or sent again, and no run has marked them one by one',
    labels: ['connection'],
    sql: 'SELECT connection_id AS connection, (mark IS NOT NULL)::int AS value FROM syncline.hubspot_syncs',
  },
  syncline_logged_changes: {
    help: 'Changes in the capture log that no run to HubSpot has taken yet; one may be a user, or everybody',
    labels: ['connection'],
    sql: 'SELECT connection, changes AS value FROM LOGS',
  },
  syncline_campaign_recipients: {
    help: 'Recipients that are still to be sent to (planned) or without an answer (unknown), of campaigns that have some and were frozen in the last 7 days',
    labels: ['campaign', 'channel', 'state'],
    // A count of these alone: no index can stand on a state that each message changes three times.
    sql: `SELECT c.id AS campaign, c.channel_id AS channel, s.state, s.value FROM audience.campaigns c
          CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE state IN ('planned', 'claimed', 'sending'))::int AS planned,
            count(*) FILTER (WHERE state = 'unknown')::int AS unknown FROM audience.deliveries WHERE campaign_no = c.no) d
          CROSS JOIN LATERAL (VALUES ('planned', d.planned), ('unknown', d.unknown)) s(state, value)
          WHERE c.frozen_at > now() - interval '7 days' AND d.planned + d.unknown > 0`,
  },
};

export interface Reading {
  labels: Record<string, string>;
  value: number;
}

const logsTable = 'jsonb_to_recordset($1::jsonb) AS l(connection text, changes int, oldest timestamptz)';

/** Answers one question. `glance` is asked only by those about the logs. */
export async function readGauge(
  pool: Pool,
  { sql }: Question,
  glance: () => Promise<readonly Logged[]>,
): Promise<Reading[]> {
  const { rows } = await (sql.includes('LOGS')
    ? pool.query(sql.replace('LOGS', logsTable), [JSON.stringify(await glance())])
    : pool.query(sql));
  return rows.map(({ value, ...labels }) => ({ labels, value }));
}
