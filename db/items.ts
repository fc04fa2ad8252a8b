import type { Client } from './client.ts';
import { type StreamTable, sqlName } from './streams.ts';

/**
 * Items of deleted parents go with them, at the moment of their parents: a living item of a dead parent would be counted
 * by every sum over the items.
 * @param ids parents that are looked at; null: all of the connection
 */
export async function buryItems(
  client: Client,
  { items, parents }: { items: StreamTable; parents: StreamTable },
  connection: string,
  generation: number,
  ids: readonly string[] | null,
): Promise<void> {
  if (ids?.length === 0) return;
  if (ids !== null) return buryItemsOf(client, { items, parents }, connection, generation, ids);
  await client.query(
    `UPDATE ${sqlName(items)} t SET deleted_at = p.deleted_at, generation = $2 FROM ${sqlName(parents)} p
     WHERE t.connection_id = $1 AND t.deleted_at IS NULL AND p.connection_id = $1 AND p.id = t.parent_id AND p.deleted_at IS NOT NULL`,
    [connection, generation],
  );
}

/**
 * OFFSET 0 keeps each parent's look-ups by index their own: where the tables were analysed before the connection had rows,
 * the planner walks all of its items, and all of its parents for each of them.
 */
async function buryItemsOf(
  client: Client,
  { items, parents }: { items: StreamTable; parents: StreamTable },
  connection: string,
  generation: number,
  ids: readonly string[],
): Promise<void> {
  await client.query(
    `UPDATE ${sqlName(items)} t SET deleted_at = g.deleted_at, generation = $2
     FROM (SELECT p.deleted_at, i.place FROM (SELECT DISTINCT id FROM unnest($3::text[]) AS id) a
       CROSS JOIN LATERAL (SELECT deleted_at FROM ${sqlName(parents)}
         WHERE connection_id = $1 AND id = a.id COLLATE "C" AND deleted_at IS NOT NULL OFFSET 0) p
       CROSS JOIN LATERAL (SELECT ctid AS place FROM ${sqlName(items)}
         WHERE connection_id = $1 AND parent_id = a.id AND deleted_at IS NULL OFFSET 0) i) g
     WHERE t.ctid = g.place AND t.deleted_at IS NULL`,
    [connection, generation, ids],
  );
}
