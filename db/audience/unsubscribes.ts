import type { Pool } from '../client.ts';

export interface Unsubscribe {
  /** Connection of the people. */
  connection: string;
  kind: 'user' | 'address';
  value: string;
  /** Name of a channel; '' stands for all. */
  channel: string;
}

/** Writes it down, or takes it back. @returns whether that changed anything */
export async function unsubscribe(
  pool: Pool,
  { connection, kind, value, channel }: Unsubscribe,
  undo: boolean,
): Promise<boolean> {
  const values = [connection, kind, kind === 'address' ? value.trim() : value, channel];
  const { rowCount } = undo
    ? await pool.query(
        'DELETE FROM audience.unsubscribes WHERE connection_id = $1 AND kind = $2 AND value = $3 AND channel = $4',
        values,
      )
    : await pool.query(
        'INSERT INTO audience.unsubscribes (connection_id, kind, value, channel) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
        values,
      );
  return rowCount === 1;
}
