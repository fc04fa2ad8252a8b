import type { Mapping } from '../../connectors/hubspot/mapping.ts';
import type { Probe } from '../../db/capture.ts';
import type { Pool } from '../../db/client.ts';
import { ownKey } from '../../db/hubspot/mapped.ts';
import { SyncError } from '../errors.ts';

/** Longer keys are cut in a sentence. */
const shownMost = 40;

/**
 * What a person typed, as the users' own key is written.
 * @throws SyncError InvalidInput naming what a key is
 */
export async function requireKey(
  pool: Pool,
  { from, key }: Mapping,
  { keyType, keyCast }: Pick<Probe, 'keyType' | 'keyCast'>,
  user: string,
): Promise<string> {
  const own = await ownKey(pool, { from, key }, keyCast, user);
  if (own !== null) return own;
  throw new SyncError(
    'InvalidInput',
    `User: got "${user.slice(0, shownMost)}", accepted a key of the users, which is a value of ${from}.${key} (${keyType})`,
  );
}

/** Nobody has the key that a person typed. */
export function noSuchUser({ from, key }: Pick<Mapping, 'from' | 'key'>, user: string): SyncError {
  return new SyncError(
    'InvalidInput',
    `No such user: no row of ${from} has "${user.slice(0, shownMost)}" as its ${key}`,
  );
}

/** The expressions of the mapping fail for the one user that was asked for. */
export function mappingFails(connection: string, user: string, sqlState: string): SyncError {
  return new SyncError(
    'InvalidInput',
    `The mapping cannot be evaluated for this user (SQLSTATE ${sqlState}). Look at it with: npx syncline hubspot preview ${user.slice(0, shownMost)} --connection ${connection}`,
  );
}
