import type { Feed } from '../../db/stripe/feed.ts';
import type { PendingActivity } from './pending.ts';
import type { Run } from './runs.ts';

/** Why a run does not get on with its source. */
export interface SourceTrouble {
  /** Activity that is tried again. */
  step: string;
  /** Class of its last failure, e.g. Unavailable, and our sentence about it. */
  type: string;
  failure: string;
  /** Since when nothing came: of a feed its last look that succeeded, of a beginning that of the run. Null where nobody knows, as in a backfill. */
  sinceMs: number | null;
}

/** A note of what the run has done, which holds nothing up. */
export const isPast = (note: string): boolean => note.startsWith('begun anew: ');

const feedSteps = ['followFeed', 'replayFeed'];

/** What a run is held up by. A try under way that has read the feed since it began is well again, whatever the one before it met. */
export function troublesOf(
  { pending, startedAt }: Pick<Run, 'pending' | 'startedAt'>,
  feed: Pick<Feed, 'polledMs'> | null,
): SourceTrouble[] {
  const polledMs = feed?.polledMs ?? null;
  const isWell = ({ name, nextAt, startedAt: at }: PendingActivity) =>
    feedSteps.includes(name) && nextAt === null && at !== null && polledMs !== null && polledMs > at.getTime();
  const since = (name: string) =>
    feedSteps.includes(name) ? polledMs : name === 'beginStripe' ? startedAt.getTime() : null;
  return pending.flatMap((one) =>
    one.failure === null || one.failureType === null || isWell(one)
      ? []
      : [{ step: one.name, type: one.failureType, failure: one.failure, sinceMs: since(one.name) }],
  );
}
