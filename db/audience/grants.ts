import type { Pool } from '../client.ts';
import type { GrantScope } from './deliveries.ts';

/** Takes one grant of a person for a message that stands in no campaign. @returns false when there was none */
export async function takeGrant(pool: Pool, { channelId, template }: GrantScope, address: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    'UPDATE audience.grants SET remaining = remaining - 1 WHERE connection_id = $1 AND template = $2 AND address = $3 AND remaining > 0',
    [channelId, template, address],
  );
  return rowCount === 1;
}

/** A grant that was taken goes back, for certainly no message used it; or the channel says there are none left. */
export async function settleGrant(
  pool: Pool,
  { channelId, template }: GrantScope,
  address: string,
  what: 'back' | 'none-left',
): Promise<void> {
  await pool.query(
    `UPDATE audience.grants SET remaining = CASE WHEN $4 THEN remaining + 1 ELSE 0 END WHERE connection_id = $1 AND template = $2 AND address = $3`,
    [channelId, template, address, what === 'back'],
  );
}
