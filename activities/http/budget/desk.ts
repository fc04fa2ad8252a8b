import { randomBytes } from 'node:crypto';
import { openScopes, type Scope } from '../../../db/budget/scopes.ts';
import { type BudgetView, chargeBudget, readBudget, refuseBudget, type Waits } from '../../../db/budget.ts';
import type { Pool } from '../../../db/client.ts';
import { RetryLater } from '../../errors.ts';
import { Charges, deliver, tell, wantsOf } from './charges.ts';
import { Group, type GroupOptions } from './group.ts';
import { share } from './share.ts';

export interface DeskOptions {
  pool: Pool;
  platform: string;
  patienceMs: number;
  liveShare: number;
}

/** A turn at Postgres is two statements; between two turns requests gather. */
const shortestGapMs = 40;
/** While there is nothing left, asking more often brings nothing. */
const waitingGapMs = 150;
/** Permits that come this late go back unused: not much of the time that a request may be on its way (pace.ts) is left. */
const latestMs = 400;
/** What one who comes after the end should wait before another worker takes the work, ms. */
const closedMs = 1000;

/**
 * Leases permits of one platform for this worker. All requests that wait share one turn at Postgres: read what there is
 * and who waits in the other workers, work out the own part (share.ts), take it. No transaction stays open and no
 * connection is held between the two statements: a worker that freezes there stops nobody. When Postgres is away, who
 * waits gets its error.
 */
export class Desk {
  private readonly options: DeskOptions;
  private readonly worker = randomBytes(6).toString('hex');
  private readonly groups = new Map<string, Group>();
  /** Scopes whose rows this worker has made, with their rates. */
  private readonly made = new Map<string, string>();
  private timer: NodeJS.Timeout | undefined;
  private dueAt = Number.POSITIVE_INFINITY;
  private begunAt = Number.NEGATIVE_INFINITY;
  private gapMs = shortestGapMs;
  private turning: Promise<void> | null = null;
  private told = false;
  private late = false;
  private closed = false;

  constructor(options: DeskOptions) {
    this.options = options;
  }

  async take(options: GroupOptions, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.closed) throw new RetryLater(closedMs);
    const now = performance.now();
    const group = this.groupOf(options);
    if (!group.use(now)) {
      const served = group.wait(signal);
      this.plan(now);
      return served;
    }
    if (group.low(now)) this.plan(now);
  }

  async refused(scope: Scope, waitMs: number, why: string | null): Promise<void> {
    this.drop(scope);
    if (!this.made.has(scope.scope)) await this.makeRows([scope]);
    await refuseBudget(this.options.pool, this.options.platform, scope.scope, waitMs, why);
    // A turn that was under way has handed out what it read before.
    this.drop(scope);
  }

  private drop({ scope }: Scope): void {
    for (const group of this.groups.values()) if (group.scopes.some((s) => s.scope === scope)) group.drop();
  }

  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    for (const group of this.groups.values()) group.fail(new RetryLater(closedMs));
    await this.turning;
    const charges = new Charges();
    for (const group of this.groups.values()) charges.giveBack(group, Number.POSITIVE_INFINITY);
    if (this.told || charges.list.length > 0) await this.charge(charges, {});
  }

  private groupOf(options: GroupOptions): Group {
    const key = `${options.live ? 'live' : 'bulk'} ${options.scopes.at(-1)!.scope}`;
    const known = this.groups.get(key);
    if (known) {
      known.scopes = options.scopes;
      return known;
    }
    const group = new Group(options);
    this.groups.set(key, group);
    return group;
  }

  /** Sees to it that a turn begins at `at`, or as soon as the gap behind the last one is over. */
  private plan(at: number): void {
    const due = Math.max(at, this.begunAt + this.gapMs);
    if (this.closed || due >= this.dueAt) return;
    this.dueAt = due;
    if (this.turning) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.begin(), due - performance.now());
  }

  private begin(): void {
    this.dueAt = Number.POSITIVE_INFINITY;
    this.begunAt = performance.now();
    this.turning = this.turn()
      // Who waits is told. Permits that could not be given back fill up again by themselves.
      .catch((error) => {
        for (const group of this.groups.values()) group.fail(error);
      })
      .then(() => {
        this.turning = null;
        const asked = this.dueAt;
        this.dueAt = Number.POSITIVE_INFINITY;
        this.plan(Math.min(asked, this.nextMoment()));
      });
  }

  private async turn(): Promise<void> {
    const charges = new Charges();
    for (const [key, group] of this.groups) {
      group.serve(this.begunAt);
      charges.giveBack(group, this.begunAt);
      if (group.isIdle(this.begunAt)) this.groups.delete(key);
    }
    const asking = [...this.groups.values()].filter((group) => group.isAsking(this.begunAt));
    this.gapMs = shortestGapMs;
    if (asking.length > 0) return this.lease(asking, charges);
    if (charges.list.length > 0 || this.told) await this.charge(charges, {});
  }

  private async lease(asking: readonly Group[], charges: Charges): Promise<void> {
    const view = await this.read(asking);
    const now = performance.now();
    const wants = asking.map((group) => group.want(this.worker, now));
    const shares = share(view, [...wants, ...wantsOf(view)], this.worker);
    if (shares.short) this.gapMs = waitingGapMs;
    const waits: Waits = {};
    const mine = asking.map((group, i) => ({ group, share: shares.of.get(wants[i]!)! }));
    for (const { group, share } of mine) {
      group.refuse(share.waitMs, this.options.patienceMs, whyOf(group, view));
      charges.take(group, share.granted + share.ahead, shares);
      tell(waits, group, group.waiting - share.granted);
    }
    const leasedAt = performance.now();
    const debts = await this.charge(charges, waits);
    const late = performance.now() - leasedAt > latestMs;
    // Late twice running: Postgres or this process is slow for longer, and a refusal now and then is better than to stand still.
    const spoiled = late && !this.late;
    this.late = late;
    for (const { group, share } of mine) deliver(group, share, view, leasedAt, spoiled ? null : debts);
  }

  private async charge(charges: Charges, waits: Waits): Promise<Map<string, number>> {
    const telling = Object.keys(waits).length > 0;
    const news = telling || this.told ? waits : null;
    if (charges.list.length === 0 && !news) return new Map();
    this.told = telling;
    const { pool, platform } = this.options;
    return chargeBudget(pool, platform, this.worker, charges.list, news, this.options);
  }

  /** Reads the budget; rows that this worker has not made yet, or that are gone, are made first. */
  private async read(asking: readonly Group[]): Promise<BudgetView> {
    const { pool, platform } = this.options;
    const scopes = new Map(asking.flatMap((group) => group.scopes).map((scope) => [scope.scope, scope]));
    const fresh = [...scopes.values()].filter(({ scope, paces }) => this.made.get(scope) !== JSON.stringify(paces));
    if (fresh.length > 0) await this.makeRows(fresh);
    const names = [...scopes.keys()];
    const view = await readBudget(pool, platform, this.worker, names, this.options);
    const gone = names.filter((name) => !view.scopes.has(name));
    if (gone.length === 0) return view;
    await this.makeRows(gone.map((name) => scopes.get(name)!));
    return readBudget(pool, platform, this.worker, names, this.options);
  }

  private async makeRows(scopes: readonly Scope[]): Promise<void> {
    await openScopes(this.options.pool, this.options.platform, scopes);
    for (const { scope, paces } of scopes) this.made.set(scope, JSON.stringify(paces));
  }

  private nextMoment(): number {
    const now = performance.now();
    const moments = [...this.groups.values()].map((group) => group.nextMoment(now));
    if (this.told) moments.push(now + waitingGapMs);
    return Math.min(...moments, Number.POSITIVE_INFINITY);
  }
}

/** The refusal that holds a group up longest; null where none does. */
function whyOf({ scopes }: Group, view: BudgetView): string | null {
  const blocked = scopes.flatMap(({ scope }) => view.scopes.get(scope) ?? []).filter(({ blockedMs }) => blockedMs > 0);
  const [longest] = blocked.sort((a, b) => b.blockedMs - a.blockedMs);
  return longest ? (longest.why ?? 'An earlier answer of the source asked for it.') : null;
}
