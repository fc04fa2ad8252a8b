import type { Client } from './client.ts';
import type { Pass } from './passes.ts';

/*
 * The ids that a pass has seen: for a sweep, or to prove a list whose rows move. Unlogged: empty after a crash of the server,
 * which the pass finds out by its size. A full pass has a table of its own, since it may hold millions and is dropped whole;
 * the small sets of other passes share one, so that a run every minute does not make a table every minute.
 *
 * Each window of a list has its own ids, told apart by the slice's number before them: those that another one brought prove
 * nothing about it, and those of its first reading nothing about the next.
 */

type Owner = Pick<Pass, 'id' | 'kind'>;

const ownTable = (id: number) => `syncline_pass.p${Number(id)}`;
const sharedTable = 'syncline_pass.seen';

/** The set as a relation with the column `id`. */
export const seenOf = ({ id, kind }: Owner) =>
  kind === 'full' ? ownTable(id) : `(SELECT id FROM ${sharedTable} WHERE pass_id = ${Number(id)})`;

/** Makes room for the set of a pass. */
export async function makeSeen(client: Client, { id, kind }: Owner): Promise<void> {
  if (kind === 'full') await client.query(`CREATE UNLOGGED TABLE ${ownTable(id)} (id text COLLATE "C" PRIMARY KEY)`);
  else await makeShared(client);
}

async function makeShared(client: Client): Promise<void> {
  const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS there', [sharedTable]);
  if (rows[0].there) return;
  // Two that make it at once would meet in the catalog.
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('${sharedTable}', 0))`);
  await client.query(
    `CREATE UNLOGGED TABLE IF NOT EXISTS ${sharedTable} (pass_id bigint NOT NULL, id text COLLATE "C" NOT NULL, PRIMARY KEY (pass_id, id))`,
  );
}

/** What stands before the ids of a window. */
export const windowSeen = (no: number) => `${no}/`;

/** Takes ids in; returns how many were new. @param before what stands before each, nothing without windows */
export async function keepSeen(client: Client, pass: Pass, came: readonly string[], before = ''): Promise<number> {
  if (!pass.keepsSeen || came.length === 0) return 0;
  const ids = before === '' ? came : came.map((id) => before + id);
  const found = 'SELECT DISTINCT id FROM unnest($1::text[]) AS id ORDER BY 1';
  const { rowCount } =
    pass.kind === 'full'
      ? await client.query(`INSERT INTO ${ownTable(pass.id)} ${found} ON CONFLICT DO NOTHING`, [ids])
      : await client.query(
          `INSERT INTO ${sharedTable} (pass_id, id) SELECT $2::bigint, id FROM (${found}) f ON CONFLICT DO NOTHING`,
          [ids, pass.id],
        );
  return rowCount ?? 0;
}

/** Empties the set, or what a window has in it: its list is read anew. */
export async function clearSeen(client: Client, { id, kind }: Owner, before = ''): Promise<void> {
  // Numbers and slashes alone: nothing in it that LIKE would take for any other character.
  const these = `id LIKE '${before}%'`;
  if (kind === 'full') await client.query(`DELETE FROM ${ownTable(id)} WHERE ${these}`);
  else await client.query(`DELETE FROM ${sharedTable} WHERE pass_id = $1 AND ${these}`, [id]);
}

/** Drops the set of a pass that has ended. */
export async function dropSeen(client: Client, { id, kind }: Owner): Promise<void> {
  if (kind === 'full') await client.query(`DROP TABLE IF EXISTS ${ownTable(id)}`);
  else {
    const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS there', [sharedTable]);
    if (rows[0].there) await client.query(`DELETE FROM ${sharedTable} WHERE pass_id = $1`, [id]);
  }
}
