import { type Claim, heldClaim } from '../../db/claims.ts';
import { readFeed } from '../../db/stripe/feed.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import type { Call } from '../step.ts';
import { accountOf } from './oldest.ts';
import { type OpenStripe, scopeOf } from './open.ts';

/**
 * What a copy was made of, as `syncline.stripe_feeds.scope` keeps it: the hash of address, option `account` and version,
 * the kind of the key, and the account's id where the key may read it. Copies begun by earlier releases have the hash alone.
 *
 * @example `3f2a91c0d4e5b677 live acct_1`
 */
export async function sourceOf(opened: OpenStripe, call: Pick<Call, 'signal'>): Promise<string> {
  const { id } = await accountOf(opened, call);
  return [scopeOf(opened), opened.isTest ? 'test' : 'live', ...(id === null ? [] : [id])].join(' ');
}

/** Why a copy of one source does not go on with another; null when it does. What one of them does not tell is not compared. */
export function otherThan(stored: string, own: string): string | null {
  const [hash, kind, account] = stored.split(' ');
  const [ownHash, ownKind, ownAccount] = own.split(' ');
  if (hash !== ownHash) return 'address, account or version are others than before';
  if (kind !== undefined && kind !== ownKind) return `the copy was made with a ${kind} key, this is a ${ownKind} key`;
  if (account !== undefined && ownAccount !== undefined && account !== ownAccount)
    return `the copy is of account ${account}, the key is of account ${ownAccount}`;
  return null;
}

/** Whether a source tells more of itself than what is stored of it. */
export const tellsMore = (stored: string, own: string): boolean => own.split(' ').length > stored.split(' ').length;

/**
 * Why what the connection reads by now is none of its copy; null where it is, or where there is none. Asked for before
 * anything is written: objects of another account's key would look deleted.
 */
export async function otherThanCopied(
  { pool }: Pick<Deps, 'pool'>,
  opened: OpenStripe,
  call: Pick<Call, 'signal'>,
): Promise<string | null> {
  const feed = await readFeed(pool, opened.connection.id);
  return feed && otherThan(feed.scope, await sourceOf(opened, call));
}

/**
 * The claim of a copy that is compared with its source.
 * @throws SyncError InvalidInput where there is none, or where the connection reads another source by now
 */
export async function claimOfCopy(
  deps: Pick<Deps, 'pool'>,
  opened: OpenStripe,
  call: Pick<Call, 'signal'>,
): Promise<Claim> {
  const { id } = opened.connection;
  const begin = `npx syncline start stripeSync ${id}`;
  const claim = await heldClaim(deps.pool, id, 'stripe');
  if (!claim) throw new SyncError('InvalidInput', `Connection "${id}" has no copy yet: ${begin}`);
  const other = await otherThanCopied(deps, opened, call);
  if (other === null) return claim;
  throw new SyncError(
    'InvalidInput',
    `Nothing is compared or written, the copy of "${id}" is none of this source: ${other}. Store what it was made with: npx syncline connect ${id} --credential-env VARIABLE. Or have it begun anew, by the run that follows it or: ${begin}`,
  );
}
