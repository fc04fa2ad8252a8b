import { setMaxListeners } from 'node:events';
import type { Resource } from '../../connectors/stripe/catalog.ts';
import type { Claim } from '../../db/claims.ts';
import { closePass, type PassCounts } from '../../db/close.ts';
import { coverageOf } from '../../db/coverage.ts';
import { openPass, type Pass } from '../../db/passes.ts';
import type { Range } from '../../db/slices.ts';
import { readFeed } from '../../db/stripe/feed.ts';
import type { Deps } from '../deps.ts';
import { RetryLater, SyncError } from '../errors.ts';
import { Refused } from '../http/client.ts';
import type { Call } from '../step.ts';
import { fillScope } from './begin.ts';
import { itemTablesOf } from './bury.ts';
import { copiedClocks, hidesClocks } from './clocks.ts';
import { ensureTables } from './ensure.ts';
import { otherThanCopied } from './identity.ts';
import { oldestOf } from './oldest.ts';
import { type OpenStripe, openStripe, scopeOf } from './open.ts';
import { ListReader } from './reader.ts';
import { requireResource, tableOf } from './tables.ts';
import { fillUpcoming } from './upcoming.fill.ts';
import { upcoming } from './upcoming.ts';
import { PassWriter } from './writer.pass.ts';

export interface FillInput {
  claim: Claim;
  /** Resource, or `upcoming_invoices`. */
  type: string;
}

/** What one call read of a resource. */
export interface FillResult {
  done: boolean;
  /** Rows and requests of this call. */
  rows: number;
  requests: number;
  /** Of the whole reading; null while it goes on. */
  counts: PassCounts | null;
  waitMs: number;
  /** Why the account does not let us read it; it is tried again later. */
  parked: string | null;
}

/**
 * Reads a resource whole: what was committed by an earlier call is not read again. Rows that a whole reading does not bring
 * are marked deleted, under the guard, when there was an earlier one.
 */
export async function fillType(deps: Deps, { claim, type }: FillInput, call: Call): Promise<FillResult> {
  // Every lane's request listens to it.
  setMaxListeners(100, call.signal);
  const opened = await openStripe(deps, claim.connection, 'bulk');
  const resource = type === upcoming.key ? upcoming : requireResource(type);
  const table = tableOf(resource);
  // Chosen by options that may be newer than the plan.
  await ensureTables(deps, opened, call, { copied: [resource] });
  const [coverage, feed] = await Promise.all([
    coverageOf(deps.pool, claim.connection, resource.key),
    readFeed(deps.pool, claim.connection),
  ]);
  const own = resource === upcoming ? scopeOf(opened) : scopeOf(opened, resource);
  const scope = fillScope(own, feed?.markMs ?? 0);
  const again = coverage !== null;
  let counted = { rows: 0, requests: 0 };
  try {
    // A key that was stored meanwhile: the follower has the copy begun anew.
    const other = await otherThanCopied(deps, opened, call);
    if (other !== null) return { done: true, ...told(counted), counts: null, waitMs: 0, parked: other };
    const ranges = await rangesOf(deps, opened, resource, claim, call);
    const { pass } = await openPass(
      deps.pool,
      { claim, stream: resource.key, kind: 'full', scope, fromMs: null, toMs: null, keepsSeen: again },
      async () => ranges,
    );
    const writer = await PassWriter.open(deps, resource, pass);
    counted = writer;
    const whole = await read(deps, opened, resource, pass, writer, call);
    if (!whole) return { done: false, ...told(counted), counts: null, waitMs: 0, parked: null };
    const closed = await closePass(deps.pool, pass, table, {
      scope,
      sweep: again,
      guard: opened.options.guard,
      force: false,
      listed: null,
      items: again ? itemTablesOf(opened, resource) : [],
      snapshots: 0,
    });
    if (closed.undone !== null) return { done: false, ...told(counted), counts: null, waitMs: 0, parked: null };
    return { done: true, ...told(counted), counts: closed.counts, waitMs: 0, parked: null };
  } catch (error) {
    if (error instanceof RetryLater)
      return { done: false, ...told(counted), counts: null, waitMs: error.waitMs, parked: null };
    const refused = error instanceof Refused || (error instanceof SyncError && error.type === 'Forbidden');
    if (!refused) throw error;
    return { done: true, ...told(counted), counts: null, waitMs: 0, parked: error.message };
  }
}

const told = ({ rows, requests }: { rows: number; requests: number }) => ({ rows, requests });

async function read(
  deps: Deps,
  opened: OpenStripe,
  resource: Resource,
  pass: Pass,
  writer: PassWriter,
  call: Call,
): Promise<boolean> {
  try {
    if (resource === upcoming) return await fillUpcoming(deps, opened, pass, writer, call);
    const reader = await ListReader.open(deps, opened, resource, pass, writer, call);
    return await reader.read();
  } finally {
    // What came before the trouble is whole pages: kept, so that the next call goes on behind them.
    await writer.flush(true);
  }
}

/** Parts of a new reading: the list, and for keys of a sandbox what stands under each of its test clocks. */
async function rangesOf(
  deps: Deps,
  opened: OpenStripe,
  resource: Resource,
  { connection }: Claim,
  call: Call,
): Promise<Range[]> {
  const fromMs = resource.created ? await oldestOf(opened, call) : undefined;
  const list: Range = fromMs === undefined ? {} : { fromMs };
  if (!hidesClocks(opened, resource)) return [list];
  const clocks = await copiedClocks(deps.pool, connection);
  return [list, ...clocks.map((afterId) => ({ ...list, afterId }))];
}
