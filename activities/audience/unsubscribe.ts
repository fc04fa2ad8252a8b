import { channels } from '../../connectors/channel.index.ts';
import { type Unsubscribe, unsubscribe as write } from '../../db/audience/unsubscribes.ts';
import type { Pool } from '../../db/client.ts';
import { ConnectionUnknown, storedConnection } from '../../db/connections.ts';
import { SyncError } from '../errors.ts';

/**
 * Writes down that somebody wants no more messages, or takes it back. `channel`: a channel's name, a connection that is an
 * account of one, or '' for all; anything else would be kept and never looked at.
 * @returns whether that changed anything, and the channel's name @throws SyncError InvalidInput
 */
export async function unsubscribe(
  pool: Pool,
  what: Unsubscribe,
  undo: boolean,
): Promise<{ changed: boolean; channel: string }> {
  const channel = await channelName(pool, what.channel);
  return { changed: await write(pool, { ...what, channel }, undo), channel };
}

async function channelName(pool: Pool, given: string): Promise<string> {
  if (given === '' || Object.hasOwn(channels, given)) return given;
  const account = await storedConnection(pool, given).catch((error: unknown) => {
    if (error instanceof ConnectionUnknown) return null;
    throw error;
  });
  if (account && Object.hasOwn(channels, account.platform)) return account.platform;
  const known = Object.keys(channels).join(', ');
  throw new SyncError(
    'InvalidInput',
    `channel: got "${given.slice(0, 64)}", accepted ${known}, or a connection to one of them. For all channels: npx syncline audience unsubscribe CONNECTION --user ID`,
  );
}
