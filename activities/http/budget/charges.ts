import type { BudgetView, Charge, Waits } from '../../../db/budget.ts';
import { type Group, leaseMs } from './group.ts';
import type { Share, Want } from './line.ts';
import type { Shares, Turns } from './share.ts';

const nowhere: Turns = { turn: 0, from: 0 };
const nobody = { ...nowhere, apis: new Map<string, Turns>() };

/** What one turn takes and gives back, scope by scope. */
export class Charges {
  private readonly byScope = new Map<string, Charge>();

  get list(): Charge[] {
    return [...this.byScope.values()];
  }

  /** Counts permits in every place of the group's chain; turns are counted for its connection, and for it at a shared API. */
  take(group: Group, count: number, { turn, from, apis }: Pick<Shares, 'turn' | 'from' | 'apis'>): void {
    if (count === 0 || hasNoLimit(group)) return;
    const api = group.scopes.find(({ scope }) => scope.startsWith('/'));
    const ofApi = (api && apis.get(api.scope)) ?? nowhere;
    for (const { scope } of group.scopes) {
      const charge = this.byScope.get(scope) ?? { scope, requests: 0, back: 0, bulk: 0, servedFrom: 0, turns: 0 };
      charge.requests += count;
      charge.back += Math.max(0, -count);
      if (!group.live) charge.bulk += count;
      if (scope === '') charge.servedFrom = turn;
      if (scope === api?.scope) charge.servedFrom = Math.max(charge.servedFrom, ofApi.turn);
      if (api && scope === group.scope) {
        charge.servedFrom = ofApi.from;
        charge.turns += count;
      }
      if (scope === group.connection) {
        charge.servedFrom = from;
        charge.turns += count;
      }
      this.byScope.set(scope, charge);
    }
  }

  /** Gives back what the group has not used by the end of its leases, and counts anew in its window what left late. */
  giveBack(group: Group, now: number): void {
    const late = group.leftLate();
    this.take(group, late, nobody);
    this.take(group, -late - group.giveBack(now), nobody);
  }
}

const hasNoLimit = (group: Group) => group.scopes.every(({ paces }) => paces.length === 0);

/** Hands out what a turn has brought. `debts`: how long the requests of a scope must be held, ms; null: all goes back. */
export function deliver(
  group: Group,
  { granted, ahead }: Share,
  view: BudgetView,
  leasedAt: number,
  debts: Map<string, number> | null,
): void {
  const names = group.scopes.map(({ scope }) => scope);
  if (hasNoLimit(group)) {
    if (names.every((name) => view.scopes.get(name)?.blockedMs === 0)) group.open(leasedAt + leaseMs);
  } else if (granted + ahead > 0) {
    const debt = Math.max(0, ...names.map((name) => debts?.get(name) ?? 0));
    // A debt longer than a lease: somebody blocked the level at this moment. Who waits is judged anew.
    if (!debts || debt > leaseMs) group.lease(granted + ahead, Number.POSITIVE_INFINITY, 0);
    else group.lease(granted + ahead, leasedAt + debt, leasedAt + debt + leaseMs);
  }
}

/** What waits in the other workers, in the form of the own wants. */
export function wantsOf(view: BudgetView): Want[] {
  const wants: Want[] = [];
  for (const { worker, waits } of view.others) {
    for (const scope in waits) {
      const slash = scope.indexOf('/');
      const connection = slash < 0 ? scope : scope.slice(0, slash);
      const [live, bulk] = waits[scope]!;
      if (live > 0) wants.push({ worker, connection, scope, live: true, waiting: live, ahead: 0 });
      if (bulk > 0) wants.push({ worker, connection, scope, live: false, waiting: bulk, ahead: 0 });
    }
  }
  return wants;
}

/** More than anybody waits for within the patience; a few bytes for the others to read. */
const mostTold = 64;

/** Adds what stays waiting in a group to what the others are told. */
export function tell(waits: Waits, group: Group, waiting: number): void {
  if (waiting <= 0) return;
  waits[group.scope] ??= [0, 0];
  waits[group.scope]![group.live ? 0 : 1] = Math.min(mostTold, waiting);
}
