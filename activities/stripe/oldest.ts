import { SyncError } from '../errors.ts';
import type { Call } from '../step.ts';
import type { OpenStripe } from './open.ts';

/** Nothing of an account is older than it; a day is left for clocks. */
const dayMs = 86_400_000;

/** What a key tells of its account. */
export interface AccountTold {
  /** Null where the key may not read it. */
  id: string | null;
  fromMs: number;
}

/** By source, in memory alone. */
const accounts = new Map<string, AccountTold>();

/** The account whose data a key reads. Restricted keys may not ask for it. */
export async function accountOf({ api, connection }: OpenStripe, call: Pick<Call, 'signal'>): Promise<AccountTold> {
  const key = `${connection.baseUrl} ${connection.options.account ?? ''} ${connection.credential}`;
  const known = accounts.get(key);
  if (known !== undefined) return known;
  const told: AccountTold = { id: null, fromMs: 0 };
  try {
    const { body } = await api.get('/v1/account', {}, call.signal);
    if (typeof body.id === 'string') told.id = body.id;
    if (typeof body.created === 'number') told.fromMs = Math.max(0, body.created * 1_000 - dayMs);
  } catch (error) {
    // Restricted keys may not read it: the reading begins in 1970. Anything else says nothing of the account.
    if (!(error instanceof SyncError) || error.type !== 'Forbidden') throw error;
  }
  accounts.set(key, told);
  return told;
}

/** Since when the account is there: dividing the time before it would cost requests that bring nothing. */
export async function oldestOf(opened: OpenStripe, call: Call): Promise<number> {
  return (await accountOf(opened, call)).fromMs;
}
