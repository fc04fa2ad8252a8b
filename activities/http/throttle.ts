import type { Level, Rate } from '../../connectors/shape.ts';
import type { Pace, Scope } from '../../db/budget/scopes.ts';
import type { Pool } from '../../db/client.ts';
import { Desk } from './budget/desk.ts';
import { budgetName } from './budget/owner.ts';
import { paceOf } from './budget/pace.ts';

/** One request that wants to leave: which limits it counts at. */
export interface BudgetUse {
  /** Connector; its rates count over all connections and workers. */
  platform: string;
  /** Whose limits `platformRates` and `endpoint.shared` are, where the platform counts by app. Default '': all connections share. */
  app?: string;
  /** Empty: the platform as a whole has no limit. */
  platformRates: readonly Rate[];
  connection: string;
  connectionRates: readonly Rate[];
  /** Limits of one API: inside this connection, and `shared` over all connections of the app; absent: it has none of these. */
  endpoint?: { name: string; rates: readonly Rate[]; shared?: readonly Rate[] };
  /** `live`: followers, pokes and people who wait. `bulk`: fills and passes. */
  lane: 'live' | 'bulk';
}

/** Gate in front of every request of this worker; the budget behind it is one for all workers. */
export interface Throttle {
  /**
   * Resolves when one request may leave; send it at once.
   * @throws RetryLater when the wait would be longer than `patienceMs`: the workflow sleeps, no slot is held
   * @throws the signal's reason when it aborts
   */
  take(use: BudgetUse, signal: AbortSignal): Promise<void>;
  /** A 429: the whole level waits until then (all workers), and its rate narrows; it widens again by itself. Who waits is told `why`. */
  refused(use: BudgetUse, level: Level, waitMs: number, why?: string): Promise<void>;
  /** Gives unused permits back; who still waits gets RetryLater. */
  close(): Promise<void>;
}

export interface ThrottleOptions {
  /** Longest wait inside `take`, ms. Default 3000; at least 0. Where the estimate is wrong a wait ends at twice that. */
  patienceMs?: number;
  /**
   * Share of every level that the bulk lane leaves to the live lane. Default 0.2; 0 to 0.9. Where the live lane was not
   * used for 10 s, the bulk lane takes the whole.
   */
  liveShare?: number;
}

/**
 * Opens the gate of this worker: one for all its activities. The platform's limit is shared over all connections that have
 * work, the same for each; what one cannot use goes to the others. Permits are leased for a quarter of a second.
 * Refusals: see `refuseBudget` in db/budget.ts for how far a rate narrows and how fast it widens.
 * @throws RangeError for options out of bounds
 */
export function openThrottle(pool: Pool, options: ThrottleOptions = {}): Throttle {
  const { patienceMs = 3000, liveShare = 0.2 } = options;
  within('patienceMs', patienceMs, 0, 600_000);
  within('liveShare', liveShare, 0, 0.9);
  const desks = new Map<string, Desk>();
  const deskOf = (use: BudgetUse): Desk => {
    const platform = budgetName(use);
    const desk = desks.get(platform) ?? new Desk({ pool, platform, patienceMs, liveShare });
    desks.set(platform, desk);
    return desk;
  };
  return {
    take: async (use, signal) =>
      deskOf(use).take({ scopes: scopesOf(use), connection: use.connection, live: use.lane === 'live' }, signal),
    async refused(use, level, waitMs, why) {
      if (!Number.isFinite(waitMs)) throw new RangeError(`throttle: a wait of ${waitMs} ms; accepted: a finite number`);
      await deskOf(use).refused(scopeOf(use, level), waitMs, why ?? null);
    },
    async close() {
      await Promise.all([...desks.values()].map((desk) => desk.close()));
    },
  };
}

/** The narrowest last: with the platform's name it tells all others, since names of connections hold no slash. */
function scopesOf({ platformRates, connection, connectionRates, endpoint }: BudgetUse): Scope[] {
  const scopes = [
    { scope: '', paces: pacesOf(platformRates) },
    { scope: connection, paces: pacesOf(connectionRates) },
  ];
  if (endpoint?.shared) scopes.splice(1, 0, { scope: `/${endpoint.name}`, paces: pacesOf(endpoint.shared) });
  if (endpoint) scopes.push({ scope: `${connection}/${endpoint.name}`, paces: pacesOf(endpoint.rates) });
  return scopes;
}

/** Where a refusal counts; one of an API without a scope of its own counts for what is next to it: its app, or its connection. */
function scopeOf(use: BudgetUse, level: Level): Scope {
  const { connection, endpoint } = use;
  const api = endpoint ? `/${endpoint.name}` : '';
  const names = { platform: '', api: endpoint?.shared ? api : '', connection, endpoint: `${connection}${api}` };
  return scopesOf(use).find(({ scope }) => scope === names[level])!;
}

/** Rates come from the connector, the same list for each request. */
const known = new WeakMap<readonly Rate[], readonly Pace[]>();

function pacesOf(rates: readonly Rate[]): readonly Pace[] {
  let paces = known.get(rates);
  if (!paces) {
    paces = rates.map(paceOf);
    known.set(rates, paces);
  }
  return paces;
}

function within(name: string, value: number, least: number, most: number): void {
  if (value >= least && value <= most) return;
  throw new RangeError(`throttle: ${name} is ${value}; accepted: ${least} to ${most}`);
}
