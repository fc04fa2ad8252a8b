import { type Claim, writeUnderClaim } from '../claims.ts';
import type { Pool } from '../client.ts';
import { addSlices } from '../slices.ts';

/**
 * Takes the lower part of an open slice away and cuts it into slices of their own: the reader of the slice goes on down to
 * the uppermost bound.
 * @param bounds ascending, all inside of the slice; the first is its own beginning
 * @returns number of the first new slice; null when the slice has moved on or ended
 */
export async function cutBelow(
  pool: Pool,
  claim: Claim,
  passId: number,
  no: number,
  bounds: readonly number[],
  clock: string | null,
): Promise<number | null> {
  const top = bounds.at(-1) as number;
  return writeUnderClaim(pool, claim, { name: 'cut', durable: false }, async (client) => {
    const { rowCount } = await client.query(
      'UPDATE syncline.slices SET from_ms = $3 WHERE pass_id = $1 AND no = $2 AND NOT done AND from_ms = $4',
      [passId, no, top, bounds[0]],
    );
    if (rowCount === 0) return null;
    const ranges = bounds.slice(1).map((toMs, i) => ({ fromMs: bounds[i] as number, toMs, afterId: clock }));
    return addSlices(client, passId, ranges);
  });
}
