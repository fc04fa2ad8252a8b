import type { Resource } from '../../connectors/stripe/catalog.ts';
import { type Claim, type Execution, takeClaim, writeUnderClaim } from '../../db/claims.ts';
import { coveragesByStream } from '../../db/coverage.ts';
import { ensureTable, type StreamTable } from '../../db/streams.ts';
import { beginFeed, readFeed } from '../../db/stripe/feed.ts';
import type { Deps } from '../deps.ts';
import { fillColumns } from '../platform/fill.ts';
import type { Call } from '../step.ts';
import { oldestOf } from './oldest.ts';
import { chosenLists, chosenResources, type OpenStripe, openStripe, scopeOf } from './open.ts';
import { columnValues } from './rows.ts';
import { nestedTableOf, tableOf } from './tables.ts';
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
  /** Those that are read again on a schedule. */
  relisted: string[];
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
  const [newest] = await Promise.all([
    opened.api.list('/v1/events', { limit: 1 }, call.signal),
    // Asked for beside it, and known when the first list is read.
    oldestOf(opened, call),
  ]);
  await ensureTables(deps, opened, call);
  const { fresh, why } = await ensureMark(deps, opened, claim, {
    secondMs: newest.secondMs,
    event: (newest.body.data[0]?.id as string | undefined) ?? null,
  });
  return { claim, fresh, why, ...(await planOf(deps, opened)) };
}

/** What is still to be read, what is read again, and how often. Asked again while a run goes on: options may have changed. */
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
  const isLeft = virtual.filter((key) => !isFilled(key, scopeOf(opened)));
  return {
    toFill: [...toFill, ...isLeft],
    all: [...chosen.map(({ key }) => key), ...virtual],
    relisted: [...chosen.filter((one) => one.kind === 'C' || one.sweep).map(({ key }) => key), ...virtual],
    relistMs: options.relistHours * 3_600_000,
  };
}

/** Scope of a reading: another source, other lists, or a later mark. */
export const fillScope = (scope: string, markMs: number) => `${scope} ${markMs}`;

async function ensureMark(
  deps: Deps,
  opened: OpenStripe,
  claim: Claim,
  newest: { secondMs: number; event: string | null },
): Promise<{ fresh: boolean; why: string | null }> {
  const { connection, options } = opened;
  const feed = await readFeed(deps.pool, connection.id);
  const scope = scopeOf(opened);
  const why =
    feed === null
      ? null
      : feed.scope !== scope
        ? 'address, account or version are others than before'
        : newest.secondMs - feed.settledMs > feedMs
          ? 'the feed no longer reaches back to where it was read'
          : undefined;
  if (why === undefined) return { fresh: false, why: null };
  await writeUnderClaim(deps.pool, claim, { name: 'mark' }, (client) =>
    beginFeed(client, connection.id, {
      scope,
      // Another mark than before, also within one second: by it is told what was read for this copy.
      markMs: Math.max(newest.secondMs, (feed?.markMs ?? 0) + 1),
      fromMs: newest.secondMs - options.settleSeconds[1] * 1_000 - overlapMs,
      hotEvent: newest.event,
    }),
  );
  return { fresh: true, why };
}

async function ensureTables(deps: Deps, opened: OpenStripe, call: Call): Promise<void> {
  const ensure = async (table: StreamTable, of: { columns: string }) => {
    const columns = await ensureTable(deps.pool, table);
    await fillColumns(deps.pool, table, columns, (data) => columnValues(of, columns, data), call);
  };
  for (const resource of chosenResources(opened.options)) await ensureResource(opened, resource, ensure);
  if (upcomingChosen(opened.options)) await ensureResource(opened, upcoming, ensure);
}

async function ensureResource(
  { options }: OpenStripe,
  resource: Resource,
  ensure: (table: StreamTable, of: { columns: string }) => Promise<void>,
): Promise<void> {
  await ensure(tableOf(resource), resource);
  for (const nested of chosenLists(options, resource)) await ensure(nestedTableOf(resource, nested), nested);
}
