import type { Counts } from '../../connectors/hubspot/counts.ts';
import type { Pool } from '../../db/client.ts';
import { parkedContacts } from '../../db/hubspot/report.ts';
import { dirtyState } from '../../db/hubspot/syncs.ts';
import type { HubspotPlan } from './begin.ts';
import type { Stop, Tally } from './tally.ts';

export interface SliceResult {
  counts: Counts;
  /** Nothing is dirty and the log is empty, or only so few changed meanwhile that they are the next run's. */
  done: boolean;
  /** Users that are still dirty, and how many of them wait for a call that may still land. */
  dirty: number;
  held: number;
  /** Users that are set aside, by this run and by runs before it. */
  parked: number;
  waitMs: number;
  /** Until the first of those held is free; absent where none is waited for. The wait is shorter, for others change meanwhile. */
  freeMs?: number;
  /** Why the wait: a limit of the account, or calls that may still land. */
  waitFor: 'burst' | 'daily' | 'landing' | null;
  /** Options or catalog changed since the plan was made. */
  replan: boolean;
  stop: Extract<Stop, { kind: 'rejects' | 'isolation' | 'archives' }> | null;
}

/**
 * While all that is left waits for calls that may still land, who changed meanwhile is looked for so often, ms: one row
 * without an answer kept everybody behind it for `settleSeconds`. A look is some 11 events of the run's history.
 */
const lookMs = 5_000;

/** What a slice tells the run, as of its end. */
export async function sliceResult(
  pool: Pool,
  { plan, only }: { plan: Pick<HubspotPlan, 'claim'>; only: string | null },
  { counts, stop }: Pick<Tally, 'counts' | 'stop'>,
  { done = false, fewLeft = false, replan = false }: { done?: boolean; fewLeft?: boolean; replan?: boolean },
): Promise<SliceResult> {
  const { connection } = plan.claim;
  const left = await dirtyState(pool, connection, only ?? undefined);
  const parked = await parkedContacts(pool, connection);
  const told = { counts, dirty: left.dirty, held: left.held, parked, replan, waitMs: 0, waitFor: null, stop: null };
  if (stop?.kind === 'wait') return { ...told, done: false, waitMs: stop.ms, waitFor: stop.daily ? 'daily' : 'burst' };
  if (stop?.kind === 'rejects' || stop?.kind === 'isolation' || stop?.kind === 'archives')
    return { ...told, done: false, stop };
  // Only rows that wait are left.
  const waits = left.held > 0 && (done || left.held === left.dirty);
  if (waits && !replan) {
    const freeMs = Math.ceil(left.freeMs) + 50;
    // Nobody else is looked at in a run for one user.
    return {
      ...told,
      done: false,
      waitMs: only === null ? Math.min(freeMs, lookMs) : freeMs,
      freeMs,
      waitFor: 'landing',
    };
  }
  // Whoever was marked or came free since the last pass is met by the next slice.
  return { ...told, done: done && (fewLeft || left.dirty === 0) };
}
