import pg from 'pg';
import { capturedTables, dropCapture } from './capture.ts';
import type { Execution } from './claims.ts';
import { type Client, type Pool, transaction } from './client.ts';
import { ConnectionLeaving, connectionUnknown } from './connections.ts';
import { type Reference, referencesTo } from './disconnect/references.ts';
import { budgetTable, connectionTable, type OwnedTable, parents, whose } from './disconnect/tables.ts';
import { dropStages } from './org/stage.ts';
import { type Holder, readHolders } from './report.ts';
import { sqlName } from './streams.ts';

/*
 * A connection goes in three steps.
 * 1. It leaves (`leave`), in one small transaction: its row is locked, what stands in the way is looked for, its claims are
 *    deleted, its credential is forgotten and the row is marked. From the commit on nobody finds the connection
 *    (ConnectionUnknown), and no activity writes: each writes under a claim (db/claims.ts), whose row it holds FOR SHARE, so
 *    that the deletion waits for the write in hand and the next one finds no claim. Who makes a first row takes the row of
 *    the connection FOR KEY SHARE (`stands`), so that a run that begins in that moment either has its claim before, and is
 *    seen, or gets none. Requests that are on their way may still move the counters of budgets, which die within a day.
 * 2. Its rows go, 10,000 a statement: each a transaction of its own, so that a kill loses one, and the next call goes on.
 * 3. The row itself goes, and the name is free.
 */

/** Rows of one statement. */
export const pageRows = 10_000;
/** Somebody writes for longer than this: an activity whose run was terminated. */
const lockWait = '5s';

/** The connection as it goes: by its number, since its name may be given again. */
export interface Leaving {
  id: string;
  no: number;
  /** True: rows for others to read stay. */
  keepRows: boolean;
}

/** Tables whose rows go: all, or those that hold nothing for others. */
export const going = <T extends OwnedTable>(tables: readonly T[], keepRows: boolean): T[] =>
  tables.filter(({ kept }) => !keepRows || !kept);

/** What keeps a connection from leaving. */
export interface InUse {
  /** Claims that open runs hold. */
  holders: Holder[];
  /** Tables with its capture triggers. */
  captured: string[];
  /** Names of campaigns that are not purged. */
  campaigns: string[];
  /** Rows of tables that are not ours, which point at rows that would go. */
  references: Reference[];
}

/** Looks for what stands in the way; schedules and runs without a claim Temporal alone knows. */
export async function readUses(
  pool: Pool,
  leaving: Leaving,
  tables: readonly OwnedTable[],
  isOpen: (execution: Execution) => Promise<boolean>,
): Promise<InUse> {
  return transaction(pool, inOne(leaving), (client) => usesOf(client, leaving, tables, isOpen));
}

/** References are looked up among all rows of tables that may be larger than ours. */
const inOne = ({ id }: Leaving) => ({ name: `disconnect ${id}`, heavy: true });

async function usesOf(
  client: Client,
  { id, no, keepRows }: Leaving,
  tables: readonly OwnedTable[],
  isOpen: (execution: Execution) => Promise<boolean>,
): Promise<InUse> {
  const holders: Holder[] = [];
  for (const holder of await readHolders(client, id)) if (await isOpen(holder)) holders.push(holder);
  const { rows } = await client.query(
    'SELECT id FROM audience.campaigns WHERE $1 IN (connection_id, channel_id) ORDER BY no',
    [id],
  );
  return {
    holders,
    captured: await capturedTables(client, { id, no }),
    campaigns: rows.map((row) => row.id),
    references: await referencesTo(client, id, [...going(tables, keepRows), budgetTable, connectionTable], tables),
  };
}

const isUsed = (uses: InUse) => Object.values(uses).some(({ length }) => length > 0);

/** The first step; see above. @returns null when done, else what stands in the way: then nothing was changed. @throws ConnectionUnknown, ConnectionLeaving */
export async function leave(
  pool: Pool,
  leaving: Leaving,
  tables: readonly OwnedTable[],
  isOpen: (execution: Execution) => Promise<boolean>,
): Promise<InUse | null> {
  const { id, no, keepRows } = leaving;
  return transaction(pool, inOne(leaving), async (client) => {
    await client.query(`SET LOCAL lock_timeout = '${lockWait}'`);
    const { rows } = await client.query(
      'SELECT leaving FROM syncline.connections WHERE id = $1 AND no = $2 FOR UPDATE',
      [id, no],
    );
    if (!rows[0]) throw await connectionUnknown(client, id);
    const way = keepRows ? 'kept' : 'all';
    if (rows[0].leaving === way) return null;
    // Somebody else began, and said otherwise what stays.
    if (rows[0].leaving !== null) throw new ConnectionLeaving(id);
    // Nobody gets a claim while the row is locked: what is open now is all.
    const uses = await usesOf(client, leaving, tables, isOpen);
    if (isUsed(uses)) return uses;
    await client.query('DELETE FROM syncline.claims WHERE connection_id = $1', [id]);
    await client.query('DELETE FROM syncline.tokens WHERE connection_id = $1', [id]);
    await dropCapture(client, { id, no });
    await client.query(
      'UPDATE syncline.connections SET leaving = $2, credential = NULL, updated_at = now() WHERE id = $1',
      [id, way],
    );
    return null;
  });
}

export interface Counted extends OwnedTable {
  rows: number;
}

const column = ({ owner }: OwnedTable) => pg.escapeIdentifier(owner);

/** How many rows of a connection stand in each table; only those that have some. */
export async function countRows(pool: Pool, connection: string, tables: readonly OwnedTable[]): Promise<Counted[]> {
  const counted: Counted[] = [];
  for (const table of [...tables, budgetTable]) {
    const { rows } = await pool.query(`SELECT count(*)::float8 AS n FROM ${sqlName(table)} WHERE ${whose(table)}`, [
      connection,
    ]);
    if (rows[0].n > 0) counted.push({ ...table, rows: rows[0].n });
  }
  return counted;
}

/** The second and the third step. `told` hears of each page. Asked again after a kill, or by two at once, it deletes what is left. */
export async function deleteRows(
  pool: Pool,
  leaving: Leaving,
  tables: readonly OwnedTable[],
  told: (table: OwnedTable, rows: number) => void,
): Promise<void> {
  if (!(await dropUnlogged(pool, leaving))) return;
  for (const table of going(tables, leaving.keepRows)) {
    const key = await keyOf(pool, table);
    for (const owner of await ownersWith(pool, leaving, table))
      for (let after: string[] | null = null; ; ) {
        const page: Page = await deletePage(pool, leaving, table, { owner, key, after });
        if (page.rows > 0) told(table, page.rows);
        if (page.rows < pageRows) break;
        after = page.last;
      }
  }
  const { rowCount } = await pool.query(
    `DELETE FROM syncline.budgets WHERE ${whose(budgetTable)} AND ${stillLeaving('$1', '$2')}`,
    [leaving.id, leaving.no],
  );
  if (rowCount) told(budgetTable, rowCount);
  await pool.query('DELETE FROM syncline.connections WHERE id = $1 AND no = $2 AND leaving IS NOT NULL', [
    leaving.id,
    leaving.no,
  ]);
}

/** Tables of single runs that were cut off: dropped whole. @returns false where the connection is gone already */
async function dropUnlogged(pool: Pool, { id, no }: Leaving): Promise<boolean> {
  return transaction(pool, { name: `disconnect ${id}` }, async (client) => {
    const standing = await client.query(
      'SELECT 1 FROM syncline.connections WHERE id = $1 AND no = $2 AND leaving IS NOT NULL FOR KEY SHARE',
      [id, no],
    );
    if (standing.rowCount === 0) return false;
    await dropStages(client, id);
    const { rows } = await client.query(
      `SELECT format('%I.%I', t.schemaname, t.tablename) AS name
       FROM pg_tables t JOIN syncline.passes p ON p.id = substring(t.tablename FROM '^p([0-9]+)$')::bigint
       WHERE t.schemaname = 'syncline_pass' AND p.connection_id = $1`,
      [id],
    );
    for (const { name } of rows) await client.query(`DROP TABLE IF EXISTS ${name}`);
    return true;
  });
}

/** The connection, or those of its plans or passes that have rows in the table. */
async function ownersWith(pool: Pool, { id }: Leaving, table: OwnedTable): Promise<string[]> {
  if (table.by === 'connection') return [id];
  const { rows } = await pool.query(
    `SELECT id::text FROM ${parents[table.by]} p WHERE connection_id = $1
       AND EXISTS (SELECT 1 FROM ${sqlName(table)} t WHERE t.${column(table)} = p.id) ORDER BY p.id`,
    [id],
  );
  return rows.map((row) => row.id);
}

/** Columns of the primary key but for the owner, in its order. */
async function keyOf(pool: Pool, table: OwnedTable): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT a.attname::text AS name FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(no, place)
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.no
     WHERE i.indrelid = $1::regclass AND i.indisprimary AND a.attname <> $2 ORDER BY k.place`,
    [sqlName(table), table.owner],
  );
  return rows.map(({ name }) => pg.escapeIdentifier(name));
}

/** Proves in the statement itself that the name was not given again: its snapshot shows no row of a later connection. */
const stillLeaving = (id: string, no: string) =>
  `EXISTS (SELECT 1 FROM syncline.connections WHERE id = ${id} AND no = ${no} AND leaving IS NOT NULL)`;

interface Page {
  rows: number;
  /** Key of the last row. */
  last: string[];
}

/**
 * Goes along the key: a page that looked from the beginning each time would walk over all that is deleted already. Rows are
 * taken by their place, which no estimate turns into a reading of the whole table.
 */
async function deletePage(
  pool: Pool,
  { id, no }: Leaving,
  table: OwnedTable,
  { owner, key, after }: { owner: string; key: readonly string[]; after: string[] | null },
): Promise<Page> {
  const behind =
    after && key.length > 0 ? `AND (${key.join(', ')}) > (${key.map((_, i) => `$${i + 4}`).join(', ')})` : '';
  const last = key.length > 0 ? `ARRAY[${key.map((one) => `${one}::text`).join(', ')}]` : `'{}'::text[]`;
  const { rows } = await pool.query(
    `WITH page AS MATERIALIZED (
       SELECT ctid AS at, ${last} AS last, row_number() OVER (${key.length > 0 ? `ORDER BY ${key.join(', ')}` : ''}) AS n FROM ${sqlName(table)}
       WHERE ${column(table)} = $1 AND ${stillLeaving('$2', '$3')} ${behind} ${key.length > 0 ? `ORDER BY ${key.join(', ')}` : ''} LIMIT ${pageRows}),
     gone AS (DELETE FROM ${sqlName(table)} WHERE ctid = ANY (ARRAY(SELECT at FROM page)))
     SELECT n::int AS rows, last FROM page ORDER BY page.n DESC LIMIT 1`,
    [owner, id, no, ...(behind ? (after ?? []) : [])],
  );
  return rows[0] ?? { rows: 0, last: [] };
}
