import { SyncError } from '../errors.ts';
import type { Call } from '../step.ts';
import type { OpenStripe } from './open.ts';

/** Nothing of an account is older than it; a day is left for clocks. */
const dayMs = 86_400_000;

/** By source, in memory alone. */
const oldest = new Map<string, number>();

/** Since when the account is there: dividing the time before it would cost requests that bring nothing. */
export async function oldestOf({ api, connection }: OpenStripe, call: Call): Promise<number> {
  const key = `${connection.baseUrl} ${connection.options.account ?? ''} ${connection.credential}`;
  const known = oldest.get(key);
  if (known !== undefined) return known;
  let fromMs = 0;
  try {
    const { body } = await api.get('/v1/account', {}, call.signal);
    if (typeof body.created === 'number') fromMs = Math.max(0, body.created * 1_000 - dayMs);
  } catch (error) {
    // Restricted keys may not read it: the reading begins in 1970.
    if (!(error instanceof SyncError) || !['Forbidden', 'BadAnswer'].includes(error.type)) throw error;
  }
  oldest.set(key, fromMs);
  return fromMs;
}
