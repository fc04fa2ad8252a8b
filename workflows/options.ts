import { ActivityCancellationType, type ActivityOptions } from '@temporalio/workflow';

/** Default task queue of runs. */
export const taskQueue = 'syncline';
/** Task queue of followers beside the one of runs: they hold their slots for minutes and must not take those of runs. */
export const liveQueue = (queue: string) => `${queue}-live`;

/**
 * Infrastructure trouble (source down, Postgres away, worker lost) is retried for ever: one minute is the longest
 * pause, so that a source that comes back is read within a minute. Trouble of the data is not retried here: the
 * failures say so themselves (activities/errors.ts), and the workflow counts them.
 */
const forEver = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' } as const;

/**
 * Short questions and single transactions. A killed worker is noticed after 10 s without a beat; two minutes are
 * beyond any statement's timeout.
 */
export const quick: ActivityOptions = {
  startToCloseTimeout: '3m',
  heartbeatTimeout: '10s',
  retry: forEver,
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
};

/** Slices: end by themselves after about 20 s; a page or chunk that hangs is cut by its own timeout long before 10 minutes. */
export const slice: ActivityOptions = { ...quick, startToCloseTimeout: '10m' };

/**
 * Whole-list work that cannot be cut: planning a million rows in one transaction (about 15 s measured), and LDAP page
 * chains, which cannot be resumed. Two hours bound a source of 20 million entries.
 */
export const whole: ActivityOptions = { ...quick, startToCloseTimeout: '2h' };

/** What must not happen twice because an answer was lost: a test message. Whoever sent it looks and says so again. */
export const once: ActivityOptions = { ...quick, retry: { maximumAttempts: 1 } };
/** Followers: end by themselves after four minutes; their reads of single objects are bounded by their own timeouts. */
export const follow: ActivityOptions = { ...quick, startToCloseTimeout: '15m' };
