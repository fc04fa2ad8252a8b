import { logTable } from '../capture/functions.ts';
import type { Pool } from '../client.ts';
import { type Turn, writeInTurn } from './turns.ts';

export interface Drained {
  /** Log rows that were moved. */
  moved: number;
  /** Block to go on from; null at the end of the log. */
  next: number | null;
  /** Somebody emptied a table, or capture is new: everybody is to be marked. */
  everybody: boolean;
}

/** About 10,000 log rows: 100 ms, within which no outcome is confirmed. */
const blocksAtOnce = 64;
/** A walk begins with about 1,000, enough for the first calls of all lanes: they wait for it. */
const firstBlocks = 8;

/**
 * Moves a part of the log into the dirty set, in one transaction. The log is walked by blocks, since it has no index;
 * rows of open transactions are not seen yet and stay for the next walk. One turn at a time deletes here, so that nobody
 * waits for its locks. A lost commit costs nothing: the log rows are there again.
 */
export async function drainLog(pool: Pool, turn: Turn, no: number, fromBlock: number): Promise<Drained> {
  const log = logTable(no);
  const { connection } = turn.claim;
  return writeInTurn(pool, turn, { name: 'drain', durable: false }, async (client) => {
    const size = await client.query(`SELECT pg_relation_size('${log}') / current_setting('block_size')::int AS blocks`);
    const blocks = Number(size.rows[0].blocks);
    const to = fromBlock + (fromBlock === 0 ? firstBlocks : blocksAtOnce);
    const { rows } = await client.query(
      `WITH gone AS (DELETE FROM ${log} WHERE ctid >= '(${fromBlock},0)'::tid AND ctid < '(${to},0)'::tid RETURNING key, at),
         marked AS (
           INSERT INTO syncline.hubspot_dirty AS d (connection_id, key, version, since)
           SELECT $1, key, (SELECT nextval('syncline.hubspot_versions')), min(at) FROM gone WHERE key IS NOT NULL GROUP BY key ORDER BY key
           ON CONFLICT (connection_id, key) DO UPDATE SET version = excluded.version, since = least(d.since, excluded.since)),
         everybody AS (
           UPDATE syncline.hubspot_syncs SET mark = coalesce(mark, 'all'), mark_list = 'contacts', mark_after = ''
           WHERE connection_id = $1 AND EXISTS (SELECT 1 FROM gone WHERE key IS NULL) RETURNING 1)
       SELECT (SELECT count(*)::int FROM gone) AS moved, EXISTS (SELECT 1 FROM everybody) AS everybody`,
      [connection],
    );
    return { ...rows[0], next: to < blocks ? to : null };
  });
}

/** True while the log holds a change that is committed. */
export async function logHasRows(pool: Pool, no: number): Promise<boolean> {
  const { rows } = await pool.query(`SELECT EXISTS (SELECT 1 FROM ${logTable(no)}) AS any`);
  return rows[0].any;
}
