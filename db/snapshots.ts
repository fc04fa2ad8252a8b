import pg from 'pg';
import { type Client, type Pool, transaction } from './client.ts';
import type { Pass } from './passes.ts';
import {
  ColumnConflict,
  columnsOf,
  dropsColumn,
  lockTable,
  type StreamTable,
  snapshotsOf,
  sqlName,
} from './streams.ts';

/**
 * A snapshot is taken when everything is read: what would keep it from being taken is told before.
 * @throws ColumnConflict with the command that frees the column
 */
export async function checkSnapshots(pool: Pool, table: StreamTable): Promise<void> {
  const kept = snapshotsOf(table);
  const known = await columnsOf(pool, kept);
  for (const { name, type } of table.columns) {
    const found = known.get(name)?.type;
    if (found === undefined || found === type) continue;
    throw new ColumnConflict(
      `Column ${kept.schema}.${kept.name}.${name} is ${found}, the connector says ${type}. It is made anew for the snapshots to come (those that are there have the value in data) after: ${dropsColumn(kept, name)}`,
    );
  }
}

/**
 * Makes the table of snapshots, or adds the columns it lacks, before the transaction that copies: what changes a table keeps
 * others from it until its transaction ends. One that has all is left alone, since even a column that is there is waited for.
 */
export async function ensureSnapshots(pool: Pool, table: StreamTable): Promise<void> {
  const kept = snapshotsOf(table);
  const target = sqlName(kept);
  await transaction(pool, { name: `snapshots ${table.schema}` }, async (client) => {
    await lockTable(client, kept);
    const known = await columnsOf(client, kept);
    const column = (c: StreamTable['columns'][number]) => `${pg.escapeIdentifier(c.name)} ${c.type}`;
    if (known.size === 0)
      await client.query(
        `CREATE TABLE ${target} (connection_id text NOT NULL, generation bigint NOT NULL, id text COLLATE "C" NOT NULL, data jsonb NOT NULL,
         source_time timestamptz, ${table.columns.map((c) => `${column(c)},`).join(' ')} PRIMARY KEY (connection_id, generation, id))`,
      );
    else
      for (const c of table.columns)
        if (!known.has(c.name)) await client.query(`ALTER TABLE ${target} ADD COLUMN ${column(c)}`);
  });
}

/**
 * Copies the living rows under the pass's generation. Of the others the newest stay, `keep` in all, and the one of the last
 * pass that was proven whole: rows of a doubtful one are no substitute for it.
 */
export async function takeSnapshot(client: Client, pass: Pass, table: StreamTable, keep: number): Promise<void> {
  const target = sqlName(snapshotsOf(table));
  const columns = ['id', 'data', 'source_time', ...table.columns.map((c) => pg.escapeIdentifier(c.name))].join(', ');
  await client.query(
    `INSERT INTO ${target} (connection_id, generation, ${columns})
     SELECT connection_id, $2, ${columns} FROM ${sqlName(table)} WHERE connection_id = $1 AND deleted_at IS NULL`,
    [pass.claim.connection, pass.id],
  );
  await client.query(
    `DELETE FROM ${target} WHERE connection_id = $1 AND generation NOT IN (
       SELECT * FROM (SELECT DISTINCT generation FROM ${target} WHERE connection_id = $1 ORDER BY generation DESC LIMIT $2) newest
       UNION SELECT full_pass FROM syncline.streams WHERE connection_id = $1 AND stream = $3 AND full_pass IS NOT NULL)`,
    [pass.claim.connection, keep, pass.stream],
  );
}
