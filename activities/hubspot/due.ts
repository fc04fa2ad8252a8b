import { rowFault } from '../../db/hubspot/faults.ts';
import type { MappedReader, MappedRow } from '../../db/hubspot/mapped.ts';
import type { Ledger } from './ledger.ts';
import { mappingFails } from './one.ts';
import type { Tally } from './tally.ts';

export interface DueRowsOptions {
  reader: Pick<MappedReader, 'read'>;
  ledger: Ledger;
  tally: Tally;
  connection: string;
  judged: string;
  /** Only this user, by key. */
  only?: string;
  /** Key of the next dirty user, where the mapping cannot be evaluated for it. */
  nextKey: (after: string | null) => Promise<{ key: string; version: number; parked: boolean } | null>;
  /** Users whose rows tell whether the statement fails for one or for everybody. */
  others: (key: string) => AsyncIterable<string>;
  /** A statement may take so long, ms, for one row as for many: beyond it a row is set aside. Default 10,000. */
  partMs?: number;
}

/**
 * Rows read at once: about 5 calls, whose opening is one flush to disk, while which the next ones are read. With 1,000 the
 * worker stood at 188 to 204 MB behind 60,000 rows instead of 184 to 193, and sent 1 % faster in three pairs, which is
 * within their noise.
 */
const readRows = 500;
/** Memory does not depend on how long the texts of a mapping are. */
const readBytes = 4 * 1024 * 1024;
/**
 * A quarter of a slice: at the 120 s of every statement 1,000 users of 0.15 s each were read again for ever, and one of 33 s
 * kept everybody behind him from being sent.
 */
const usualPartMs = 10_000;
const tooSlow = '57014';
/** Each part that is too slow takes the whole time, so that halving would take 100 s to come to one row. */
const slowSteps = 8;
/**
 * Users who are compared with one that fails may take as long as so many parts: 150 of 10 s each held the step for 25
 * minutes, and Temporal began another attempt beside it.
 */
const provingParts = 4;
/** By connection, how many rows could be read in that time: the next pass begins with twice as many, not with all. */
const slow = new Map<string, number>();
const mostSlow = 1_000;

/** The dirty users of one pass with their mapped rows, in key order. */
export class DueRows {
  private readonly options: DueRowsOptions;
  private after: string | null = null;
  /** A user whose row was mapped of late. */
  private sound: string | null = null;
  private limit: number;
  private most: number;
  private ended = false;

  constructor(options: DueRowsOptions) {
    this.options = options;
    this.most = Math.min(readRows, 2 * (slow.get(options.connection) ?? readRows));
    this.limit = this.most;
  }

  /**
   * Rows behind the last key; null when nobody is. One whose expressions fail is set aside alone: the part that holds it is
   * halved until it is found, and none come of a part that failed, so that whoever asks may end between any two.
   */
  async next(): Promise<MappedRow[] | null> {
    const { reader, connection, judged, only, partMs = usualPartMs } = this.options;
    if (this.ended) return null;
    if (only !== undefined) return this.readOnly(only);
    try {
      const { after, limit } = this;
      const rows = await reader.read({ connection, after, limit, bytes: readBytes, judged, timeoutMs: partMs });
      this.after = rows.at(-1)?.key ?? after;
      this.sound = rows.findLast(({ scope }) => scope !== 'gone')?.key ?? this.sound;
      this.reads(limit);
      this.limit = Math.min(this.most, limit * 2);
      // Fewer than asked for may be all that fit; the end is where none comes.
      this.ended = rows.length === 0;
      return this.ended ? null : rows;
    } catch (error) {
      const fault = rowFault(error);
      if (fault === null) throw error;
      const slowly = fault.code === tooSlow;
      if (this.limit > 1) {
        this.limit = Math.ceil(this.limit / (slowly ? slowSteps : 2));
        if (slowly) this.readsAtMost(this.limit);
        return [];
      }
      const row = await this.alone(error, partMs);
      // Who was slow is set aside: those behind him need not be read one by one.
      if (slowly) this.readsAsUsual();
      return row === null ? [] : [row];
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
   * its expressions fail: it is set aside, unless it was marked again since. @throws the failure, where nobody is dirty
   */
  private async alone(failure: unknown, timeoutMs: number): Promise<MappedRow | null> {
    const { nextKey, ledger, tally } = this.options;
    const found = await nextKey(this.after);
    if (found === null) throw failure;
    const read = await this.mapped(found.key, timeoutMs);
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
  private async mapped(key: string, timeoutMs?: number): Promise<{ rows: MappedRow[] } | { code: string }> {
    const first = await this.attempt(key, timeoutMs);
    if ('rows' in first || first.sure) return first;
    // Between the two readings another row was mapped: nothing is gone that all of them need.
    await this.requireSound(key, first.error, timeoutMs);
    return this.attempt(key, timeoutMs);
  }

  private async attempt(
    only: string,
    timeoutMs?: number,
  ): Promise<{ rows: MappedRow[] } | { code: string; sure: boolean; error: unknown }> {
    const { reader, connection, judged } = this.options;
    try {
      const range = { connection, after: null, limit: 1, only, bytes: readBytes, judged, timeoutMs };
      return { rows: await reader.read(range) };
    } catch (error) {
      const fault = rowFault(error);
      if (fault === null) throw error;
      return { ...fault, error };
    }
  }

  /** A dropped table or a right that was taken away must set nobody aside. @throws the failure, where nobody's row is mapped */
  private async requireSound(key: string, failure: unknown, timeoutMs?: number): Promise<void> {
    if (this.sound !== null && (await this.maps(this.sound, timeoutMs))) return;
    const until = performance.now() + provingParts * (timeoutMs ?? usualPartMs);
    for await (const other of this.options.others(key)) {
      if (performance.now() > until) break;
      if (!(await this.maps(other, timeoutMs))) continue;
      this.sound = other;
      return;
    }
    throw failure;
  }

  private async maps(key: string, timeoutMs?: number): Promise<boolean> {
    const read = await this.attempt(key, timeoutMs);
    return 'rows' in read && read.rows[0] !== undefined && read.rows[0].scope !== 'gone';
  }

  /** So many rows took longer than they may. */
  private readsAtMost(rows: number): void {
    this.most = rows;
    if (slow.size >= mostSlow) slow.clear();
    slow.set(this.options.connection, rows);
  }

  private readsAsUsual(): void {
    this.most = readRows;
    slow.delete(this.options.connection);
  }

  private reads(rows: number): void {
    const { connection } = this.options;
    const known = slow.get(connection);
    if (known === undefined || rows <= known) return;
    if (rows < readRows) slow.set(connection, rows);
    else slow.delete(connection);
  }
}
