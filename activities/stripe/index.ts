import { setMaxListeners } from 'node:events';
import type { Claim } from '../../db/claims.ts';
import { coveragesByStream } from '../../db/coverage.ts';
import { forgetSettled } from '../../db/rejects.ts';
import type { Deps } from '../deps.ts';
import { RetryLater, SyncError } from '../errors.ts';
import { Refused } from '../http/refused.ts';
import { step } from '../step.ts';
import { type BeginStripeInput, type BegunStripe, beginStripe, planOf } from './begin.ts';
import { ensureTables } from './ensure.ts';
import { FeedLost } from './feed.ts';
import { type FillInput, fillType } from './fill.ts';
import { Follower } from './follower.ts';
import { otherThanCopied } from './identity.ts';
import { type MendInput, mendType } from './mend.ts';
import { chosenResources, openStripe } from './open.ts';
import { type ScanInput, scanType } from './verify.ts';

/** What a call of the follower did. */
export interface FollowResult {
  events: number;
  snapshots: number;
  reads: number;
  deletes: number;
  /** How far the settled moment is behind the present. */
  behindMs: number;
  /** The present was reached. */
  isLive: boolean;
  /** The feed no longer holds what comes next: begin anew. */
  lost: boolean;
  waitMs: number;
}

/** A follower keeps its slot so long; the history gets six events each time. */
const followMs = 240_000;

/** Parts that stripeSync is made of. */
export function stripeActivities(deps: Deps) {
  return {
    beginStripe: step('beginStripe', (input: BeginStripeInput, call) => beginStripe(deps, input, call)),
    planStripe: step(
      'planStripe',
      async ({ claim }: { claim: Claim }, call): Promise<Omit<BegunStripe, 'claim' | 'fresh' | 'why'>> => {
        const opened = await openStripe(deps, claim.connection, 'bulk');
        await ensureTables(deps, opened, call);
        await forgetSettled(deps.pool, claim);
        return planOf(deps, opened);
      },
    ),
    fillType: step('fillType', (input: FillInput, call) => fillType(deps, input, call)),
    listCopied: step('listCopied', async ({ connection }: { connection: string }) => {
      const opened = await openStripe(deps, connection, 'bulk');
      const known = await coveragesByStream(deps.pool, connection);
      return chosenResources(opened.options).map(({ key, created }) => ({
        type: key,
        created,
        /** Whether the copy has ever read it whole: what it never could is parked there. */
        whole: known.get(key)?.fullMs != null,
      }));
    }),
    scanType: step('scanType', (input: ScanInput, call) => asForbidden(() => scanType(deps, input, call))),
    mendType: step('mendType', (input: MendInput, call) => asForbidden(() => mendType(deps, input, call))),
    replayFeed: step('replayFeed', (input: { claim: Claim }, call) =>
      following(deps, input.claim, call, (follower) => follower.catchUp()),
    ),
    followFeed: step(
      'followFeed',
      (input: { claim: Claim }, call) =>
        following(deps, input.claim, call, async (follower) => {
          const isLive = await follower.catchUp();
          if (isLive) await follower.follow();
          return isLive;
        }),
      followMs,
    ),
  };
}

const nothing: FollowResult = {
  events: 0,
  snapshots: 0,
  reads: 0,
  deletes: 0,
  behindMs: 0,
  isLive: false,
  lost: false,
  waitMs: 0,
};

/** What parks a resource of the copy keeps a comparison from it: told apart from an answer that is none. */
async function asForbidden<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof Refused ? new SyncError('Forbidden', error.message) : error;
  }
}

async function following(
  deps: Deps,
  claim: Claim,
  call: Parameters<typeof Follower.open>[2],
  work: (follower: Follower) => Promise<boolean>,
): Promise<FollowResult> {
  // Every request under way listens to it.
  setMaxListeners(100, call.signal);
  // A key was stored that reads another account: its events are none of this copy.
  const opened = await openStripe(deps, claim.connection, 'live');
  if ((await otherThanCopied(deps, opened, call)) !== null) return { ...nothing, lost: true };
  const follower = await Follower.open(deps, claim, call);
  const told = (end: Partial<FollowResult>): FollowResult => ({
    ...nothing,
    ...follower.applier.counts,
    behindMs: follower.behindMs,
    ...end,
  });
  try {
    return told({ isLive: await work(follower) });
  } catch (error) {
    if (error instanceof FeedLost) return told({ lost: true });
    if (error instanceof RetryLater) return told({ waitMs: error.waitMs });
    throw error;
  } finally {
    follower.applier.stop();
  }
}

export type StripeActivities = ReturnType<typeof stripeActivities>;
