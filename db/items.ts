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
  await client.query(
    `UPDATE ${sqlName(items)} t SET deleted_at = p.deleted_at, generation = $2 FROM ${sqlName(parents)} p
     WHERE t.connection_id = $1 AND t.deleted_at IS NULL AND p.connection_id = $1 AND p.id = t.parent_id AND p.deleted_at IS NOT NULL
       AND ($3::text[] IS NULL OR t.parent_id = ANY($3))`,
    [connection, generation, ids],
  );
}
