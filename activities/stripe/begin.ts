import { type Claim, type Execution, takeClaim, writeUnderClaim } from '../../db/claims.ts';
import { coveragesByStream } from '../../db/coverage.ts';
import { beginFeed, databaseNow, nameFeed, readFeed } from '../../db/stripe/feed.ts';
import type { Deps } from '../deps.ts';
import type { Call } from '../step.ts';
import { ensureTables } from './ensure.ts';
import { otherThan, sourceOf, tellsMore } from './identity.ts';
import { chosenResources, type OpenStripe, openStripe, scopeOf } from './open.ts';
import { upcoming, upcomingChosen } from './upcoming.ts';

export interface BeginStripeInput extends Execution {
  connection: string;
}

export interface BegunStripe {
  claim: Claim;
  /** Resources that were not read whole since the mark, in the order in which they are read. */
  toFill: string[];
  /** All that are copied. */
  all: string[];
  /** Those that are read again on a schedule, and are due. */
  relisted: string[];
  /** Until the next of them is due, ms: those that are by now, after a whole interval. */
  relistMs: number;
  /** True: the copy was begun anew, for the first time or because the feed no longer reaches back. */
  fresh: boolean;
  why: string | null;
}

/** The feed keeps 30 days; a day is left for what is read meanwhile. */
const feedMs = 29 * 86_400_000;
/** Events of changes before the mark may appear after it. They are applied too, so that requests can be waited for. */
const overlapMs = 30_000;

/**
 * Takes the connection for this run, makes the tables of what is copied, and sets the mark: the newest event and the moment
 * by Stripe's clock, both taken before anything is read. A copy that was begun before goes on at its mark, unless the feed
 * no longer reaches back to where it was read.
 */
export async function beginStripe(
  deps: Deps,
  { connection, workflowId, runId }: BeginStripeInput,
  call: Call,
): Promise<BegunStripe | { heldBy: Execution }> {
  const opened = await openStripe(deps, connection, 'bulk');
  const { isOpen } = deps;
  const claim = await takeClaim(deps.pool, { connection, pipeline: 'stripe', workflowId, runId, isOpen });
  if ('heldBy' in claim) return claim;
  // Before the tables: a wrong key is said at once.
  const [newest, source] = await Promise.all([
    opened.api.list('/v1/events', { limit: 1 }, call.signal),
    // Asked for beside it; since when the account is there is known when the first list is read.
    sourceOf(opened, call),
  ]);
  await ensureTables(deps, opened, call, { again: true });
  const { fresh, why } = await ensureMark(deps, opened, claim, source, {
    secondMs: newest.secondMs,
    event: (newest.body.data[0]?.id as string | undefined) ?? null,
  });
  return { claim, fresh, why, ...(await planOf(deps, opened)) };
}

/** What is still to be read, and what is due to be read again. Asked again while a run goes on: options may have changed. */
export async function planOf(
  deps: Deps,
  opened: OpenStripe,
): Promise<Pick<BegunStripe, 'toFill' | 'all' | 'relisted' | 'relistMs'>> {
  const { connection, options } = opened;
  const feed = await readFeed(deps.pool, connection.id);
  const known = await coveragesByStream(deps.pool, connection.id);
  const chosen = chosenResources(options);
  const isFilled = (key: string, scope: string) => {
    const one = known.get(key);
    return one?.fullMs != null && one.scope === fillScope(scope, feed?.markMs ?? 0);
  };
  const toFill = chosen.filter((one) => !isFilled(one.key, scopeOf(opened, one))).map(({ key }) => key);
  const virtual = upcomingChosen(options) ? [upcoming.key] : [];
  toFill.push(...virtual.filter((key) => !isFilled(key, scopeOf(opened))));
  const everyMs = options.relistHours * 3_600_000;
  // By the clock that wrote when each was read, whichever run did.
  const nowMs = await databaseNow(deps.pool);
  const leftMs = new Map(
    [...chosen.filter((one) => one.kind === 'C' || one.sweep).map(({ key }) => key), ...virtual]
      .filter((key) => !toFill.includes(key))
      .map((key) => [key, (known.get(key)?.fullMs ?? 0) + everyMs - nowMs]),
  );
  return {
    toFill,
    all: [...chosen.map(({ key }) => key), ...virtual],
    relisted: [...leftMs.keys()].filter((key) => (leftMs.get(key) as number) <= 0),
    relistMs: Math.ceil(Math.min(everyMs, ...[...leftMs.values()].filter((ms) => ms > 0))),
  };
}

/** Scope of a reading: another source, other lists, or a later mark. */
export const fillScope = (scope: string, markMs: number) => `${scope} ${markMs}`;

async function ensureMark(
  deps: Deps,
  opened: OpenStripe,
  claim: Claim,
  source: string,
  newest: { secondMs: number; event: string | null },
): Promise<{ fresh: boolean; why: string | null }> {
  const { connection, options } = opened;
  const feed = await readFeed(deps.pool, connection.id);
  const lost = (settledMs: number) =>
    newest.secondMs - settledMs > feedMs ? 'the feed no longer reaches back to where it was read' : null;
  const why = feed === null ? null : (otherThan(feed.scope, source) ?? lost(feed.settledMs));
  if (feed !== null && why === null) {
    if (tellsMore(feed.scope, source))
      await writeUnderClaim(deps.pool, claim, { name: 'source' }, (client) => nameFeed(client, connection.id, source));
    return { fresh: false, why };
  }
  await writeUnderClaim(deps.pool, claim, { name: 'mark' }, (client) =>
    beginFeed(client, connection.id, {
      scope: source,
      // Another mark than before, also within one second: by it is told what was read for this copy.
      markMs: Math.max(newest.secondMs, (feed?.markMs ?? 0) + 1),
      fromMs: newest.secondMs - options.settleSeconds[1] * 1_000 - overlapMs,
      hotEvent: newest.event,
    }),
  );
  return { fresh: true, why };
}
