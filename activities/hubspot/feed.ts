import type { Mapping } from '../../connectors/hubspot/mapping.ts';
import { batchRows } from '../../connectors/hubspot.ts';
import { rowFault } from '../../db/hubspot/faults.ts';
import type { MappedReader, MappedRow } from '../../db/hubspot/mapped.ts';
import type { Settled } from '../../db/hubspot/settle.ts';
import type { ArchiveGuard } from './archives.ts';
import type { Breaker } from './breaker.ts';
import type { Ledger } from './ledger.ts';
import { mappingFails, noSuchUser } from './one.ts';
import { type Decider, type Decision, flyingOf, type Outgoing, parked, settled as settledAs } from './outgoing.ts';
import type { Tally } from './tally.ts';

/** A call that is about to leave. */
export interface Batch {
  rows: Outgoing[];
  /** Its number in `syncline.hubspot_calls`. */
  call: number;
  /** Before it was opened there, by this process' own clock, ms. */
  openedAt: number;
}

export interface FeedOptions {
  reader: MappedReader;
  decider: Decider;
  ledger: Ledger;
  tally: Tally;
  breaker: Pick<Breaker, 'look'>;
  connection: string;
  /** Where users and their key stand. */
  mapping: Pick<Mapping, 'from' | 'key' | 'idProperty'>;
  judged: string;
  only?: string;
  /** A call that ended without an answer may still be applied for so long, ms. */
  settleMs: number;
  /** Null: a person lets the archiving go on, or asked for one user. */
  archives: ArchiveGuard | null;
  /** Key of the next dirty user, where the mapping cannot be evaluated for it. */
  nextKey: (after: string | null) => Promise<{ key: string; version: number; parked: boolean } | null>;
  /** Users whose rows tell whether the statement fails for one or for everybody. */
  others: (key: string) => Promise<string[]>;
}

/** Rows read at once: about 10 calls, whose opening is one flush to disk. Twice as many cost 20 MB and gain nothing. */
const readRows = 1_000;
/** Memory does not depend on how long the texts of a mapping are. */
const readBytes = 4 * 1024 * 1024;
/** From so many unanswered calls on a row goes in ever smaller batches, until it is alone. */
const suspectTries = 3;

/** One pass over the dirty set in key order: reads ahead, settles what needs no call, and opens calls of up to 100 rows. */
export class Feed {
  private readonly options: FeedOptions;
  private ready: Batch[] = [];
  private after: string | null = null;
  /** A user whose row was mapped of late. */
  private sound: string | null = null;
  private limit = readRows;
  private ended = false;
  private filling: Promise<void> | null = null;
  /** Rows of a batch that is not full yet, by kind. */
  private readonly open = new Map<string, Outgoing[]>();
  private readonly met = new Met();
  private readonly low: number;

  /** @param lanes calls in flight; so many batches at least are read ahead */
  constructor(options: FeedOptions, lanes: number) {
    this.options = options;
    this.low = lanes;
  }

  /** The next call to make; null when the pass is over. */
  async next(): Promise<Batch | null> {
    while (this.ready.length === 0 && !this.ended) await this.fill();
    const batch = this.ready.shift() ?? null;
    // A failure is met by the next one who asks.
    if (this.ready.length < this.low && !this.ended) this.fill().catch(() => undefined);
    return batch;
  }

  /** Calls that were opened and will not be made. */
  async rest(): Promise<Batch[]> {
    await this.filling?.catch(() => undefined);
    this.ended = true;
    return this.ready.splice(0);
  }

  private fill(): Promise<void> {
    this.filling ??= this.read().finally(() => {
      this.filling = null;
    });
    return this.filling;
  }

  private async read(): Promise<void> {
    const rows = await this.readRows();
    const settled: Settled[] = [];
    const full: Outgoing[][] = [];
    for (const row of rows) this.place(row, settled, full);
    if (this.ended) full.push(...this.open.values());
    if (this.ended) this.open.clear();
    if (settled.length > 0) this.options.ledger.settle(settled);
    await this.options.breaker.look();
    await this.options.archives?.look(full.flat().filter(({ leaves }) => leaves));
    const openedAt = performance.now();
    const numbers = await this.options.ledger.open(full.map(flyingOf));
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

  /** Rows behind the last key. A row whose expressions fail is set aside alone: the part that holds it is halved until it is found. */
  private async readRows(): Promise<MappedRow[]> {
    const { reader, connection, judged, only } = this.options;
    if (only !== undefined) return this.readOnly(only);
    for (;;) {
      try {
        const rows = await reader.read({ connection, after: this.after, limit: this.limit, bytes: readBytes, judged });
        this.after = rows.at(-1)?.key ?? this.after;
        this.sound = rows.findLast(({ scope }) => scope !== 'gone')?.key ?? this.sound;
        this.limit = Math.min(readRows, this.limit * 2);
        // Fewer than asked for may be all that fit; the end is where none comes.
        this.ended = rows.length === 0;
        return rows;
      } catch (error) {
        if (rowFault(error) === null) throw error;
        if (this.limit > 1) this.limit = Math.ceil(this.limit / 2);
        else {
          const row = await this.alone();
          if (row !== null) return [row];
        }
      }
    }
  }

  private async readOnly(only: string): Promise<MappedRow[]> {
    this.ended = true;
    const read = await this.mapped(only);
    if ('code' in read) throw mappingFails(this.options.connection, only, read.code);
    return read.rows;
  }

  /**
   * The next dirty user by its own key and mark: between two readings others are marked before it, and holds end. Null when
   * its expressions fail: it is set aside, unless it was marked again since.
   */
  private async alone(): Promise<MappedRow | null> {
    const { nextKey, ledger, tally } = this.options;
    const found = await nextKey(this.after);
    if (found === null) return null;
    const read = await this.mapped(found.key);
    this.after = found.key;
    if ('rows' in read) return read.rows[0] === undefined ? null : { ...read.rows[0], version: found.version };
    tally.counts.looked += 1;
    tally.refused('refusedHere', found);
    const { code: property } = read;
    const outcome = { kind: 'parked', code: 'mapping_failed', property, record: '{}', reject: true } as const;
    ledger.settle([{ ...found, hash: null, wasParked: found.parked, outcome }]);
    return null;
  }

  /** The row of one user, or the SQLSTATE with which it fails. @throws what others' rows fail with as well */
  private async mapped(key: string): Promise<{ rows: MappedRow[] } | { code: string }> {
    const first = await this.attempt(key);
    if ('rows' in first || first.sure) return first;
    // Between the two readings another row was mapped: nothing is gone that all of them need.
    await this.requireSound(key, first.error);
    return this.attempt(key);
  }

  private async attempt(
    only: string,
  ): Promise<{ rows: MappedRow[] } | { code: string; sure: boolean; error: unknown }> {
    const { reader, connection, judged } = this.options;
    try {
      return { rows: await reader.read({ connection, after: null, limit: 1, only, bytes: readBytes, judged }) };
    } catch (error) {
      const fault = rowFault(error);
      if (fault === null) throw error;
      return { ...fault, error };
    }
  }

  /** A dropped table or a right that was taken away must set nobody aside. @throws the failure, where nobody's row is mapped */
  private async requireSound(key: string, failure: unknown): Promise<void> {
    const before = this.sound === null ? [] : [this.sound];
    for (const other of [...before, ...(await this.options.others(key))]) {
      const read = await this.attempt(other);
      if (!('rows' in read) || read.rows[0] === undefined || read.rows[0].scope === 'gone') continue;
      this.sound = other;
      return;
    }
    throw failure;
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
