import type { Rate } from '../../../connectors/shape.ts';
import type { Pace } from '../../../db/budget/scopes.ts';

/**
 * Platforms let a second's worth of requests gather. We let three tenths of that gather, so that nothing is lost while a
 * worker stands still for 0.3 s. The rest pays for the time between lease and arrival: a lease lasts a quarter of a
 * second, networks and busy processes take their part; more than 0.7 s in all would end in a refusal.
 */
const gathered = 0.3;
/** Clocks of two servers differ by up to 100 parts in a million: at exactly the limit that would end in a refusal. Twenty times that is left. */
const normalShare = 0.998;
/** Where so little may gather that no slack is left (a burst of one), every gap must be a little longer than the limit's. */
const tightShare = 0.96;
const slackSeconds = 0.3;
/**
 * A window that moves along is counted itself (db/budget/window.ts), so that what gathers exceeds no limit. A twentieth may:
 * of 190 requests in ten seconds half a second's, which is also the longest pause that follows of it. A tenth was slower:
 * behind a longer pause every delay comes again with the next window.
 */
const rollingGathered = 0.05;
/**
 * A permit leaves up to a tenth of a second after its lease was counted (later ones are counted anew, group.ts), and a
 * network takes longer once than another time. For both a window is counted 2.5 % longer than the platform's: 0.25 s of
 * ten. The pace is what such a window lets through.
 */
const rollingStretch = 1.025;

/** How a rate of a platform is handed out. @throws RangeError for a rate that is no positive number */
export function paceOf(rate: Rate): Pace {
  const { requests, perMs } = rate;
  if (!(requests > 0 && perMs > 0 && Number.isFinite(requests) && Number.isFinite(perMs))) {
    throw new RangeError(`A rate of ${requests} requests in ${perMs} ms: both must be numbers above 0`);
  }
  const limit = (requests * 1000) / perMs;
  if (rate.rolling) {
    return {
      perSecond: limit / rollingStretch,
      burst: Math.max(1, requests * rollingGathered),
      window: { seconds: (perMs / 1000) * rollingStretch, requests },
    };
  }
  const theirs = Math.max(1, rate.burst ?? limit);
  const burst = Math.max(1, theirs * gathered);
  const share = (theirs - burst) / limit >= slackSeconds ? normalShare : tightShare;
  return { perSecond: limit * share, burst };
}
