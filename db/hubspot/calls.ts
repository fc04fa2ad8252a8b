import type { Pool } from '../client.ts';
import { type Turn, writeInTurn } from './turns.ts';

/** Rows of a call: keys and, where these are no keys of ours, the ids that it gives them. */
export interface Flying {
  keys: readonly string[];
  ids: readonly (string | null)[] | null;
}

/**
 * Commits, flushed to disk, that calls with these keys are about to leave, and until when they may land. Only then may the
 * first byte go: whatever is killed after it, the rows of the calls are known.
 * @param landMs from now on; bounds the wait before the call leaves, the call itself, and what the platform does after it
 * @returns a number for each call
 */
export async function openCalls(pool: Pool, turn: Turn, calls: readonly Flying[], landMs: number): Promise<number[]> {
  if (calls.length === 0) return [];
  return writeInTurn(pool, turn, { name: 'open calls' }, async (client) => {
    const { rows } = await client.query(
      `INSERT INTO syncline.hubspot_calls (connection_id, keys, ids, lands_until)
       SELECT $1, ARRAY(SELECT jsonb_array_elements_text(one->'keys')),
         CASE jsonb_typeof(one->'ids') WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(one->'ids')) END, now() + $3 * interval '1 ms'
       FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS t(one, place) ORDER BY place RETURNING id`,
      [turn.claim.connection, JSON.stringify(calls), landMs],
    );
    return rows.map(({ id }) => Number(id));
  });
}
