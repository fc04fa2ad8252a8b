import type { Resource } from '../../connectors/stripe/catalog.ts';
import { writeUnderClaim } from '../../db/claims.ts';
import type { Pass } from '../../db/passes.ts';
import { knownRejects, rejectPlace } from '../../db/rejects.ts';
import { keepSeen } from '../../db/seen.ts';
import { saveSlice } from '../../db/slices.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import type { Segment } from './segments.ts';
import { addRows, noRows, type ObjectRows, writeObjects } from './writer.ts';

/** Rows that one statement takes: 500-2,000 are fastest (facts/postgres-landing, 1). */
const batchRows = 1_000;
/** Rows wait no longer than this for more: a killed worker reads about a second of pages again. */
const batchMs = 500;

interface Batch {
  found: ObjectRows;
  segments: Set<Segment>;
  since: number;
}

/** Collects pages of a pass and lands them together with the places of its segments, while the next pages are read. */
export class PassWriter {
  rows = 0;
  requests = 0;
  private readonly deps: Deps;
  private readonly resource: Resource;
  private readonly pass: Pass;
  private batch: Batch;
  private writing: Promise<void> = Promise.resolve();
  private mayHaveRejects: boolean;

  private constructor(deps: Deps, resource: Resource, pass: Pass, mayHaveRejects: boolean) {
    this.deps = deps;
    this.resource = resource;
    this.pass = pass;
    this.mayHaveRejects = mayHaveRejects;
    this.batch = this.empty();
  }

  static async open(deps: Deps, resource: Resource, pass: Pass): Promise<PassWriter> {
    const { open: rejects } = await knownRejects(deps.pool, rejectPlace(pass.claim, resource.key));
    return new PassWriter(deps, resource, pass, rejects);
  }

  /** Takes a page in. The segment's state is written with it. */
  async add(found: ObjectRows, segment: Segment): Promise<void> {
    const { batch } = this;
    addRows(batch.found, found);
    batch.segments.add(segment);
    if (found.faults.length > 0) this.mayHaveRejects = true;
    if (found.faults.some(({ keyed }) => !keyed))
      segment.state = { ...segment.state, doubt: 'records without a usable id came: nobody can tell who they are' };
    this.rows += found.rows.length + found.faults.length;
    this.requests += 1;
    batch.since ||= Date.now();
    const waiting = batch.found.rows.length + batch.found.nested.reduce((sum, one) => sum + one.rows.length, 0);
    if (waiting >= batchRows || Date.now() - batch.since >= batchMs) await this.write(false);
  }

  /** Lands what is left. `durable`: no crash of the server may take it back. */
  async flush(durable: boolean): Promise<void> {
    await this.write(durable);
    await this.writing;
  }

  private empty(): Batch {
    return { found: noRows(this.resource), segments: new Set(), since: 0 };
  }

  private async write(durable: boolean): Promise<void> {
    const { batch } = this;
    this.batch = this.empty();
    const before = this.writing;
    // The states of this moment belong to the rows of this batch.
    const states = [...batch.segments].map((segment) => ({ segment, state: segment.state }));
    this.writing = before.then(() => this.commit(batch.found, states, durable));
    // Its failure is met by the next write or by flush.
    this.writing.catch(() => undefined);
    await before;
  }

  private async commit(
    found: ObjectRows,
    states: readonly { segment: Segment; state: Segment['state'] }[],
    durable: boolean,
  ): Promise<void> {
    const { pass, deps } = this;
    const { claim } = pass;
    if (states.length === 0) return;
    await writeUnderClaim(deps.pool, claim, { name: `land ${pass.stream}`, durable }, async (client) => {
      const written = await writeObjects(client, claim, found, {
        generation: pass.id,
        touch: false,
        mayHaveRejects: this.mayHaveRejects,
      });
      const ids = [...found.rows.map(({ id }) => id), ...found.faults.flatMap((f) => (f.keyed ? [f.id] : []))];
      const seen = await keepSeen(client, pass, ids);
      for (const [i, { segment, state }] of states.entries()) {
        // Counts of a batch over several segments stand with the first: only their sum is asked for.
        const first = i === 0 ? 1 : 0;
        const next = {
          ...state,
          written: state.written + first * written,
          seen: state.seen + first * seen,
          rejected: state.rejected + first * found.faults.length,
        };
        if (!(await saveSlice(client, pass.id, next, segment.committed)))
          throw new SyncError('Unavailable', `Another call read on in ${pass.stream}: this one was given up`);
        segment.committed = state.pages;
        const { written: w, seen: s, rejected: r } = next;
        segment.state = { ...segment.state, written: w, seen: s, rejected: r };
      }
    });
  }
}
