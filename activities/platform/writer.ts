import { writeUnderClaim } from '../../db/claims.ts';
import { type LandRow, landBatch } from '../../db/land.ts';
import { addRows, emptyLanding, type Landing } from '../../db/landing.ts';
import type { Pass } from '../../db/passes.ts';
import { type KnownRejects, knownRejects, nameOfNobody, rejectPlace, setAside, settle } from '../../db/rejects.ts';
import { clearSeen, keepSeen, windowSeen } from '../../db/seen.ts';
import { rowsLeft, type SliceState, saveSlice } from '../../db/slices.ts';
import { keepVisits, type Visits } from '../../db/visits.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import type { Call } from '../step.ts';
import { extract, type Faulty, type Origin } from './extract.ts';
import type { OpenStream } from './open.ts';

/** Rows that one statement takes: 500-2,000 are fastest (facts/postgres-landing, 1). */
const batchRows = 1_000;
/** Rows wait no longer than this for more: a killed worker reads about a second of pages again. */
const batchMs = 500;

/** What a reader did with its slice. */
export type ReadEnd =
  /** `again`: another reading may prove what this one could not; `owed`: distinct ids that lift the doubt. */
  | { kind: 'done'; doubt: string | null; again?: boolean; owed?: number | null; version?: string | number | null }
  | { kind: 'more' }
  | { kind: 'split'; parts: number };

interface Batch {
  landing: Landing;
  faults: Faulty[];
  visits: Visits;
  /** True: the ids that were seen of the list are forgotten before. */
  forgets: boolean;
}

const nobodyCame = ({ claim, stream }: Pass) =>
  `records without a usable id came: nobody can tell who they are. Look at them: npx syncline rejects ${claim.connection} --stream ${stream}`;

const emptyBatch = (): Batch => ({
  landing: emptyLanding(),
  faults: [],
  visits: { visited: [], found: [], gone: [] },
  forgets: false,
});

/** Collects pages of a slice and lands them together with its cursor, while the next pages are read. */
export class SliceWriter {
  readonly pass: Pass;
  readonly opened: OpenStream;
  state: SliceState;
  /** Of the slice's first page: its rows with a time, and the time between the first and the last of them. */
  first: { rows: number; spanMs: number } | null = null;
  private readonly deps: Deps;
  private batch = emptyBatch();
  private since = 0;
  private writing: Promise<void> = Promise.resolve();
  private mayHaveRejects: boolean;
  private readonly accepted: KnownRejects['accepted'];
  private written: number;
  private seen: number;
  private pages: number;

  private constructor(deps: Deps, opened: OpenStream, pass: Pass, state: SliceState, known: KnownRejects) {
    this.deps = deps;
    this.opened = opened;
    this.pass = pass;
    this.state = state;
    this.mayHaveRejects = known.open;
    this.accepted = known.accepted;
    this.written = state.written;
    this.seen = state.seen;
    this.pages = state.pages;
  }

  static async open(deps: Deps, opened: OpenStream, pass: Pass, state: SliceState): Promise<SliceWriter> {
    return new SliceWriter(
      deps,
      opened,
      pass,
      state,
      await knownRejects(deps.pool, rejectPlace(pass.claim, pass.stream)),
    );
  }

  /**
   * Takes the rows out of a page; what cannot be written is set aside. Lands when there is enough. Nobody who waits for that
   * holds the rows: records that outlive the young objects cost more to collect than to read.
   */
  add(page: { rows: readonly unknown[] }, origin: Origin, change: Partial<SliceState>): Promise<void> {
    this.take(page.rows, origin, change);
    page.rows = [];
    const { landing, faults } = this.batch;
    const full = landing.ids.length + faults.length >= batchRows || Date.now() - this.since >= batchMs;
    return full ? this.write() : Promise.resolve();
  }

  private take(records: readonly unknown[], origin: Origin, change: Partial<SliceState>): void {
    const { batch } = this;
    const rows: LandRow[] = [];
    let unkeyed = 0;
    for (const [index, record] of records.entries()) {
      const made = extract(this.opened.stream, record, { ...origin, position: `${origin.position} row ${index + 1}` });
      if ('row' in made) rows.push(made.row);
      else if (made.fault.keyed) batch.faults.push(made.fault);
      else {
        const id = nameOfNobody(made.fault.record);
        // What a person has called nobody counts as known: it puts nothing in doubt.
        const known = this.accepted.has(id);
        batch.faults.push({ ...made.fault, id, keyed: known });
        if (!known) unkeyed += 1;
      }
    }
    addRows(batch.landing, rows);
    if (this.state.pages === 0) this.first = spanOf(rows);
    if (batch.faults.length > 0) this.mayHaveRejects = true;
    this.move({
      pages: this.state.pages + 1,
      rows: this.state.rows + records.length,
      ...(unkeyed > 0 && { doubt: nobodyCame(this.pass) }),
      ...change,
    });
    this.since ||= Date.now();
  }

  /** Notes ids that were asked for, found in a tree, or are gone; landed with the rows before them. */
  visit(visits: Partial<Visits>): void {
    for (const key of ['visited', 'found', 'gone'] as const)
      for (const id of visits[key] ?? []) this.batch.visits[key].push(id as never);
  }

  /** An id that the platform refuses is set aside like a record. */
  refuse(fault: Faulty): void {
    this.batch.faults.push(fault);
    this.mayHaveRejects = true;
  }

  /** The list, of a window or the only one of its pass, is read anew: what was seen of it proves nothing about that read. */
  forget(): void {
    this.batch.forgets = true;
  }

  move(change: Partial<SliceState>): void {
    this.state = { ...this.state, ...change };
  }

  /** Rows that this slice and the others of its pass have still to read. */
  rowsLeft(): Promise<number> {
    return rowsLeft(this.deps.pool, this.pass.id, this.state);
  }

  /** Lands what is left. `durable`: the slice counts as read, and no crash of the server may take that back. */
  async flush(durable: boolean): Promise<void> {
    await this.write(durable);
    await this.writing;
    this.state = { ...this.state, written: this.written, seen: this.seen };
  }

  private async write(durable = false): Promise<void> {
    const { batch } = this;
    this.batch = emptyBatch();
    this.since = 0;
    await this.writing;
    this.writing = this.commit(batch, this.state, durable);
    // Its failure is met by the next write or by flush.
    this.writing.catch(() => undefined);
  }

  private async commit(
    { landing, faults, visits, forgets }: Batch,
    state: SliceState,
    durable: boolean,
  ): Promise<void> {
    const { pass, opened, deps } = this;
    const { claim } = pass;
    const aside = faults.filter(({ id }) => !this.accepted.has(id)).length;
    const done = await writeUnderClaim(deps.pool, claim, { name: `land ${pass.stream}`, durable }, async (client) => {
      const landed = await landBatch(client, opened.table, claim.connection, pass.id, landing, {
        repairs: pass.kind !== 'incremental',
      });
      const { ids } = landing;
      const kept = faults.flatMap((fault) => (fault.keyed ? [fault.id] : []));
      const before = opened.stream.window ? windowSeen(state.no) : '';
      if (forgets) await clearSeen(client, pass, before);
      const seen = await keepSeen(client, pass, [...ids, ...kept], before);
      if (this.mayHaveRejects) {
        await settle(client, rejectPlace(pass.claim, pass.stream), ids);
        await setAside(client, claim, pass.stream, faults);
      }
      await keepVisits(client, pass, opened.table, visits);
      const total = {
        written: this.written + landed.inserted + landed.updated,
        seen: (forgets ? 0 : this.seen) + seen,
      };
      const next = { ...state, ...total, rejected: state.rejected + aside };
      if (!(await saveSlice(client, pass.id, next, this.pages)))
        throw new SyncError('Unavailable', `Another call read on in slice ${state.no}: this one was given up`);
      return total;
    });
    this.written = done.written;
    this.seen = done.seen;
    this.pages = state.pages;
    this.state = { ...this.state, rejected: this.state.rejected + aside };
  }
}

function spanOf(rows: readonly LandRow[]): SliceWriter['first'] {
  const times = rows.flatMap(({ timeMs }) => timeMs ?? []);
  return times.length < 2 ? null : { rows: times.length, spanMs: Math.max(...times) - Math.min(...times) };
}

/** Counters shown with the pending activity. */
export function report({ state }: SliceWriter, call: Call): void {
  call.report({ rows: state.rows, requests: state.requests });
}
