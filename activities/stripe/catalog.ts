import { setTimeout as delay } from 'node:timers/promises';
import { type StripeOptions, stripe } from '../../connectors/stripe.ts';
import type { Connection } from '../../db/connections.ts';
import type { Deps } from '../deps.ts';
import { RetryLater, SyncError } from '../errors.ts';
import { Refused } from '../http/client.ts';
import { chosenResources, openStripe } from './open.ts';

export { resources } from '../../connectors/stripe/catalog.ts';
/*
 * What the command line shows and checks of Stripe: workers reach the connector through here.
 */
export { isTestKey, stripe } from '../../connectors/stripe.ts';
export { chosenResources, readStripeOptions } from './open.ts';

export const stripePlatform = stripe.platform;

/** What a look at each list showed. */
export interface StripeProbe {
  /** Requests a second that the limits are taken for, and the share that is used. */
  limit: number;
  share: number;
  isTest: boolean;
  readable: string[];
  /** Resources that this key or account may not read, each with why. */
  unreadable: { type: string; why: string }[];
}

/** Reads one object of the feed and of each list that is copied. @throws SyncError where not even the feed is readable */
export async function probeStripe(
  deps: Pick<Deps, 'throttle' | 'tokens'>,
  connection: Connection,
  signal: AbortSignal,
): Promise<StripeProbe> {
  const opened = await openStripe({ ...deps, connection: async () => connection }, connection.id, 'bulk');
  const look = async (path: string, params: Record<string, unknown>) => {
    for (;;) {
      try {
        return await opened.api.list(path, params, signal);
      } catch (error) {
        if (!(error instanceof RetryLater)) throw error;
        await delay(error.waitMs, undefined, { signal });
      }
    }
  };
  await look('/v1/events', { limit: 1 });
  const probe: StripeProbe = { ...limitsOf(opened.options, opened.isTest), readable: [], unreadable: [] };
  for (const { key, path, params, paged } of chosenResources(opened.options)) {
    try {
      await look(path, { ...params, ...(paged && { limit: 1 }) });
      probe.readable.push(key);
    } catch (error) {
      const isRefused = error instanceof Refused || (error instanceof SyncError && error.type === 'Forbidden');
      if (!isRefused) throw error;
      probe.unreadable.push({ type: key, why: error.message });
    }
  }
  return probe;
}

function limitsOf({ requestsPerSecond, share }: StripeOptions, isTest: boolean) {
  return { limit: requestsPerSecond ?? (isTest ? 25 : 100), share, isTest };
}
