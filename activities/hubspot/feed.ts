import type { Mapping } from '../../connectors/hubspot/mapping.ts';
import { batchRows } from '../../connectors/hubspot.ts';
import type { MappedRow } from '../../db/hubspot/mapped.ts';
import type { Settled } from '../../db/hubspot/settle.ts';
import type { ArchiveGuard } from './archives.ts';
import type { Breaker } from './breaker.ts';
import { DueRows, type DueRowsOptions } from './due.ts';
import { noSuchUser } from './one.ts';
import { type Decider, type Decision, flyingOf, type Outgoing, parked, settled as settledAs } from './outgoing.ts';

/** A call that is about to leave. */
export interface Batch {
  rows: Outgoing[];
  /** Its number in `syncline.hubspot_calls`. */
  call: number;
  /** Before it was opened there, by this process' own clock, ms. */
  openedAt: number;
  /** Rows that HubSpot had taken when it refused these as a whole, with others or alone. */
  takenBefore?: number;
}

export interface FeedOptions extends DueRowsOptions {
  decider: Decider;
  breaker: Pick<Breaker, 'look'>;
  /** Where users and their key stand. */
  mapping: Pick<Mapping, 'from' | 'key' | 'idProperty'>;
  /** A call that ended without an answer may still be applied for so long, ms. */
  settleMs: number;
  /** Null: a person lets the archiving go on, or asked for one user. */
  archives: ArchiveGuard | null;
  /** True once nobody more is to be looked at: asked between parts, since many bring no call. @throws where the run was cancelled */
  ending: () => boolean;
}

/** From so many unanswered calls on a row goes in ever smaller batches, until it is alone. */
const suspectTries = 3;

/** One pass over the dirty set in key order: reads ahead, settles what needs no call, and opens calls of up to 100 rows. */
export class Feed {
  private readonly options: FeedOptions;
  private readonly due: DueRows;
  private ready: Batch[] = [];
  private ended = false;
  private filling: Promise<void> | null = null;
  /** Rows that are read while the calls of those before them are opened. */
  private ahead: Promise<MappedRow[] | null> | null = null;
  /** Rows of a batch that is not full yet, by kind. */
  private readonly open = new Map<string, Outgoing[]>();
  private readonly met = new Met();
  private readonly low: number;

  /** @param lanes calls in flight; with half as many batches opened, and rows for 5 being read, nobody waits */
  constructor(options: FeedOptions, lanes: number) {
    this.options = options;
    this.due = new DueRows(options);
    this.low = Math.ceil(lanes / 2);
  }

  /** The next call to make; null when the pass is over, or is to end: whom it has not looked at is still marked. */
  async next(): Promise<Batch | null> {
    while (this.ready.length === 0 && this.goesOn()) await this.fill();
    // A failure is met by the next one who asks.
    if (this.ready.length <= this.low && this.goesOn()) this.fill().catch(() => undefined);
    return this.ready.shift() ?? null;
  }

  /** Calls that were opened and will not be made. */
  async rest(): Promise<Batch[]> {
    await this.filling?.catch(() => undefined);
    await this.ahead?.catch(() => undefined);
    this.ended = true;
    return this.ready.splice(0);
  }

  private goesOn(): boolean {
    return !this.ended && !this.options.ending();
  }

  private fill(): Promise<void> {
    this.filling ??= this.read().finally(() => {
      this.filling = null;
    });
    return this.filling;
  }

  private async read(): Promise<void> {
    const { tally, ledger, breaker, archives } = this.options;
    const rows = await (this.ahead ?? this.due.next());
    this.ahead = null;
    if (tally.stop !== null) return;
    this.ahead = rows && this.due.next();
    // A failure is met where the rows are waited for.
    this.ahead?.catch(() => undefined);
    const settled: Settled[] = [];
    const full: Outgoing[][] = [];
    let bad = tally.bad;
    for (const row of rows ?? []) {
      this.place(row, settled, full);
      // As many as a call may bring: behind a whole part the breaker would come too late.
      if (settled.length < batchRows || tally.bad - bad < batchRows) continue;
      bad = tally.bad;
      ledger.settle(settled.splice(0));
      await breaker.look();
      if (tally.stop !== null) return;
    }
    if (rows === null) {
      this.ended = true;
      full.push(...this.open.values());
      this.open.clear();
    }
    if (settled.length > 0) ledger.settle(settled);
    await breaker.look();
    await archives?.look(full.flat().filter(({ leaves }) => leaves));
    const openedAt = performance.now();
    const numbers = await ledger.open(full.map(flyingOf));
    for (const [i, batch] of full.entries()) this.ready.push({ rows: batch, call: numbers[i]!, openedAt });
  }

  private place(row: MappedRow, settled: Settled[], full: Outgoing[][]): void {
    const { tally, decider, only, mapping } = this.options;
    tally.counts.looked += 1;
    const decision = decider.decide(row);
    if ('settle' in decision) {
      if (only !== undefined && row.scope === 'gone') tally.end({ kind: 'failure', error: noSuchUser(mapping, only) });
      settled.push(this.refuse(row, decision));
      return;
    }
    const { send } = decision;
    if (row.remote !== null && send.kind !== 'archive' && this.met.again(row.remote)) {
      const settle = parked(row, 'duplicate_id', mapping.idProperty);
      settled.push(this.refuse(row, { settle, counts: 'refusedHere', yields: true }));
      return;
    }
    const most = row.tries < suspectTries ? batchRows : Math.max(1, batchRows >> (row.tries - suspectTries + 1));
    const name = `${send.kind} ${most}`;
    const batch = this.open.get(name) ?? [];
    batch.push(send);
    this.open.set(name, batch);
    if (batch.length < most) return;
    full.push(batch);
    this.open.delete(name);
  }

  /** Whom another user's mark, or a call of his that may still land, keeps from its contact is looked at again behind it. */
  private refuse(row: MappedRow, { settle, counts, yields }: Extract<Decision, { settle: Settled }>): Settled {
    const { tally, settleMs } = this.options;
    const holdMs = yields ? tally.conflictWait(row.tries, settleMs) : null;
    if (holdMs === null && counts === 'refusedHere') tally.refused(counts, row);
    else tally.counts[holdMs === null ? counts : 'again'] += 1;
    return holdMs === null ? settle : settledAs(row, { kind: 'held', holdMs, counts: true, doubt: null });
  }
}

/** More rows than are read ahead, in flight and not yet written together. */
const metMost = 20_000;

/** Ids of late: one contact is not written by two rows at once. Of the older ones the database tells whose they are. */
class Met {
  private now = new Set<string>();
  private before = new Set<string>();

  again(id: string): boolean {
    if (this.now.has(id) || this.before.has(id)) return true;
    if (this.now.size >= metMost) {
      this.before = this.now;
      this.now = new Set();
    }
    this.now.add(id);
    return false;
  }
}
