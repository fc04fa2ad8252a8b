import type { Pool } from '../client.ts';
import { stands } from '../connections.ts';

export interface Unsubscribe {
  /** Connection of the people. */
  connection: string;
  kind: 'user' | 'address';
  value: string;
  /** Name of a channel; '' stands for all. */
  channel: string;
}

/**
 * Writes it down, or takes it back. An address is kept as it was typed and in small letters: channels that fold addresses compare
 * with the latter when they send, others (an openid) with the former. @returns whether that changed anything
 */
export async function unsubscribe(
  pool: Pool,
  { connection, kind, value, channel }: Unsubscribe,
  undo: boolean,
): Promise<boolean> {
  const trimmed = value.trim();
  const forms = kind === 'address' ? [...new Set([trimmed, trimmed.toLowerCase()])] : [value];
  const values = [connection, kind, forms, channel];
  const { rowCount } = undo
    ? await pool.query(
        `DELETE FROM audience.unsubscribes WHERE connection_id = $1 AND kind = $2 AND channel = $4
           AND (value = ANY($3) OR kind = 'address' AND lower(value) = ANY($3))`,
        values,
      )
    : await pool.query(
        `INSERT INTO audience.unsubscribes (connection_id, kind, value, channel)
         SELECT $1, $2, unnest($3::text[]), $4 WHERE ${stands('$1')} ON CONFLICT DO NOTHING`,
        values,
      );
  return (rowCount ?? 0) > 0;
}
