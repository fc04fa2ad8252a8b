import pg from 'pg';
import { logTable, sameTexts } from '../capture/functions.ts';
import { type CaptureMapping, type Probe, quoted } from '../capture/probe.ts';
import type { Client, Pool } from '../client.ts';
import { askMark } from './mark.ts';
import { type Turn, writeInTurn } from './turns.ts';

export interface Drained {
  /** Log rows that were moved. */
  moved: number;
  /** Block to go on from; null at the end of the log. */
  next: number | null;
  /** Somebody emptied a table, or capture is new: everybody is to be marked. */
  everybody: boolean;
}

/** A log with what its links mean. */
export interface Log {
  /** Number of the connection. */
  no: number;
  /** Query for the users behind links, by the table that logged them: key and since, of $2 links and $3 their times. */
  links: Readonly<Record<string, string>>;
}

/** About 3,000 log rows: 25 to 60 ms, within which no outcome is confirmed. */
const blocksAtOnce = 16;
/** A walk begins with about 1,500, enough for the first calls of all lanes: they wait for it, and for the next as many. */
const firstBlocks = 8;
/** Users behind the links of one part, about 1 s; beyond them everybody is looked at, in parts of 10,000. */
const linkedMost = 100_000;

export function logOf(no: number, mapping: CaptureMapping, { tables }: Pick<Probe, 'tables'>): Log {
  const id = pg.escapeIdentifier;
  // Compared in the type of the table that logged it, as the expressions do. The user's own key is marked: a link of a
  // deleted one marks nobody, who is marked by his own row.
  const query = (user: string, type: string) =>
    `SELECT u.${id(mapping.key)}::text AS key, min(l.at) AS at FROM unnest($2::text[], $3::timestamptz[]) AS l(link, at)
     JOIN ${quoted(mapping.from)} u ON u.${id(user)} = l.link::${type} GROUP BY u.${id(mapping.key)} LIMIT ${linkedMost + 1}`;
  return {
    no,
    links: Object.fromEntries(
      tables.flatMap(({ name, key: type }) => {
        const related = mapping.tables[name];
        return related ? [[name, query(related.user ?? mapping.key, type)]] : [];
      }),
    ),
  };
}

/**
 * Moves a part of the log into the dirty set, in one transaction. The log is walked by blocks, since it has no index;
 * rows of open transactions are not seen yet and stay for the next walk. One turn at a time deletes here, so that nobody
 * waits for its locks. A lost commit costs nothing: the log rows are there again.
 */
export async function drainLog(pool: Pool, turn: Turn, log: Log, fromBlock: number): Promise<Drained> {
  try {
    return await drainPart(pool, turn, log, fromBlock);
  } catch (error) {
    // A column that changed its type has links that are none of today's, and one may not compare with the other at all.
    if (Object.keys(log.links).length === 0 || !/^(22|42)/.test(String((error as { code?: unknown }).code)))
      throw error;
    return drainPart(pool, turn, { ...log, links: {} }, fromBlock);
  }
}

async function drainPart(pool: Pool, turn: Turn, { no, links }: Log, fromBlock: number): Promise<Drained> {
  const log = logTable(no);
  const { connection } = turn.claim;
  return writeInTurn(pool, turn, { name: 'drain', durable: false, settings: sameTexts }, async (client) => {
    // What was drained stays as empty blocks until a vacuum: 22 parts without a row were the last 75 ms of each run.
    const ahead = await client.query(
      `SELECT (pg_relation_size('${log}') / current_setting('block_size')::int)::int AS blocks,
         (SELECT (ctid::text::point)[0]::int FROM ${log} WHERE ctid >= '(${fromBlock},0)'::tid LIMIT 1) AS first`,
    );
    const { blocks, first } = ahead.rows[0];
    if (first === null) return { moved: 0, everybody: false, next: null };
    const to = first + Math.min(Math.max(fromBlock, firstBlocks), blocksAtOnce);
    const { rows } = await client.query(
      `WITH gone AS (DELETE FROM ${log} WHERE ctid >= '(${first},0)'::tid AND ctid < '(${to},0)'::tid RETURNING key, at, link),
         marked AS (${put('SELECT key, min(at) AS at FROM gone WHERE key IS NOT NULL AND link IS NULL GROUP BY key')}),
         linked AS (SELECT link, array_agg(key) AS keys, array_agg(at) AS at
           FROM (SELECT link, key, min(at)::text AS at FROM gone WHERE link IS NOT NULL GROUP BY 1, 2) g GROUP BY 1)
       SELECT (SELECT count(*)::int FROM gone) AS moved, EXISTS (SELECT 1 FROM gone WHERE key IS NULL) AS everybody,
         (SELECT coalesce(json_agg(linked), '[]') FROM linked) AS linked`,
      [connection],
    );
    const { moved, linked } = rows[0];
    let { everybody } = rows[0];
    for (const { link, keys, at } of linked)
      everybody ||= !links[link] || !(await markLinked(client, links[link], [connection, keys, at]));
    if (everybody) await askMark(client, connection, 'all');
    return { moved, everybody, next: to < blocks ? to : null };
  });
}

const put = (users: string) => `INSERT INTO syncline.hubspot_dirty AS d (connection_id, key, version, since)
  SELECT $1, key, (SELECT nextval('syncline.hubspot_versions')), at FROM (${users}) users ORDER BY key
  ON CONFLICT (connection_id, key) DO UPDATE SET version = excluded.version, since = least(d.since, excluded.since), tries = 0`;

/**
 * Marks the users behind links whose change is committed. This statement began after the log rows were seen, and sees
 * whoever was at the link by then. Who comes to it by a transaction that commits later is marked by his own log row, which
 * is seen later still, and his values are read behind that: with the changed company.
 * @returns false: there are too many, and nobody was marked
 */
async function markLinked(client: Client, users: string, values: unknown[]): Promise<boolean> {
  // A policy that hides users is an error, as it is where they are read.
  await client.query('SET LOCAL row_security = off');
  const { rows } = await client.query(
    `WITH touched AS MATERIALIZED (${users}), told AS (SELECT count(*) <= ${linkedMost} AS few FROM touched),
       marked AS (${put('SELECT key, at FROM touched, told WHERE few')}) SELECT few FROM told`,
    values,
  );
  return rows[0].few;
}
