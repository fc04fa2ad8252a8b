import type { Resource } from '../../connectors/stripe/catalog.ts';
import type { Pass } from '../../db/passes.ts';
import { readSliceState, type SliceState, undone } from '../../db/slices.ts';
import { cutBelow } from '../../db/stripe/slices.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { Refused } from '../http/client.ts';
import type { Call } from '../step.ts';
import { putAside } from './aside.ts';
import { isGone, readNested } from './nested.ts';
import { type Answer, expandParams, type ListPage, type OpenStripe } from './open.ts';
import { rowOf, type StripeObject } from './rows.ts';
import { createdOf, fresh, lanesWorth, type Place, placeOf, planCut, type Segment } from './segments.ts';
import { readTime } from './version.ts';
import type { PassWriter } from './writer.pass.ts';
import { noRows, type ObjectRows, withoutObjects } from './writer.ts';

const pageRows = 100;
const mostSegments = 1_000;
/** Ids of a page that are kept as places to go on from. */
const places = 5;

/**
 * Reads the open parts of a list side by side and cuts what is left among lanes that have nothing to do. Every part knows its
 * place; what is committed is never read again.
 */
export class ListReader {
  private readonly deps: Deps;
  private readonly opened: OpenStripe;
  private readonly resource: Resource;
  private readonly pass: Pass;
  private readonly writer: PassWriter;
  private readonly call: Call;
  private readonly segments = new Map<number, Segment>();
  private readonly expand: Record<string, string>;
  private idle = 0;
  /** From the permit to the page in hand, ms, smoothed. */
  private tookMs: number | null = null;
  private cutting = false;
  private wake: (() => void)[] = [];

  private constructor(deps: Deps, opened: OpenStripe, resource: Resource, pass: Pass, writer: PassWriter, call: Call) {
    this.deps = deps;
    this.opened = opened;
    this.resource = resource;
    this.pass = pass;
    this.writer = writer;
    this.call = call;
    this.expand = expandParams(opened.options, resource, 'data.');
  }

  static async open(
    deps: Deps,
    opened: OpenStripe,
    resource: Resource,
    pass: Pass,
    writer: PassWriter,
    call: Call,
  ): Promise<ListReader> {
    const reader = new ListReader(deps, opened, resource, pass, writer, call);
    for (const no of await undone(deps.pool, pass.id, mostSegments)) {
      const state = await readSliceState(deps.pool, pass.id, no);
      if (state) reader.add(state);
    }
    return reader;
  }

  /** @returns true when every part was read to its end; false when the call's time was up. @throws what a lane met, after the others ended */
  async read(): Promise<boolean> {
    let trouble: unknown;
    const lane = async () => {
      try {
        await this.lane(() => trouble !== undefined);
      } catch (error) {
        trouble ??= error;
        this.stir();
      }
    };
    await Promise.all(Array.from({ length: this.opened.options.parallel }, lane));
    if (trouble !== undefined) throw trouble;
    return this.segments.size === 0;
  }

  private async lane(isOver: () => boolean): Promise<void> {
    for (;;) {
      if (isOver() || this.call.shouldEnd()) return;
      const segment = [...this.segments.values()].find(({ busy }) => !busy);
      if (segment) {
        segment.busy = true;
        try {
          await this.readPage(segment);
        } finally {
          segment.busy = false;
          this.stir();
        }
        continue;
      }
      if (this.segments.size === 0) return;
      this.idle += 1;
      try {
        if (!(await this.cut())) await this.stirred();
      } finally {
        this.idle -= 1;
      }
    }
  }

  private async readPage(segment: Segment): Promise<void> {
    const answer = await this.ask(segment);
    const { data, hasMore } = answer.body;
    const ids = data.map(({ id }) => String(id));
    if (hasMore && (ids.length === 0 || ids.at(-1) === placeOf(segment.state)?.after[0]))
      throw new SyncError(
        'BadAnswer',
        `${this.resource.path} says that there is more and shows what it has shown: the list has no end`,
      );
    const found = await this.rowsOf(answer, segment.state.pages + 1);
    const tookMs = Date.now() - answer.readMs;
    this.tookMs = this.tookMs === null ? tookMs : this.tookMs * 0.8 + tookMs * 0.2;
    const [first, last] = [createdOf(data[0]), createdOf(data.at(-1))];
    if (first !== null && last !== null) segment.pageMs = ((first - last) * pageRows) / Math.max(1, data.length - 1);
    // As it is after the waits: its lower part may have been cut away meanwhile.
    const { state } = segment;
    const done = !hasMore || (last !== null && typeof state.fromMs === 'number' && last < state.fromMs);
    const cursor: Place = { after: ids.slice(-places).reverse(), atMs: last };
    segment.state = {
      ...state,
      cursor: done ? null : cursor,
      done,
      pages: state.pages + 1,
      rows: state.rows + data.length,
      requests: state.requests + 1,
    };
    if (done) this.segments.delete(state.no);
    await this.writer.add(found, segment);
    this.call.report({ rows: this.writer.rows, requests: this.writer.requests });
  }

  private async rowsOf({ body: { data }, readMs, secondMs }: Answer<ListPage>, page: number): Promise<ObjectRows> {
    const origin = { timeMs: readTime(secondMs), readMs, position: `${this.resource.key} list, page ${page}` };
    const found = noRows(this.resource);
    const whole: { object: StripeObject; origin: typeof origin }[] = [];
    for (const object of data) {
      const made = rowOf(this.resource, object, origin);
      if ('row' in made) {
        found.rows.push(made.row);
        whole.push({ object, origin });
      } else found.faults.push(made.fault);
    }
    const gone = new Set<string>();
    const passOver = (id: string, error: unknown) => {
      const passed = isGone(error) || putAside(found.faults, this.resource, id, error);
      if (passed) gone.add(id);
      return passed;
    };
    found.nested = await readNested(this.opened, this.resource, whole, this.call.signal, passOver);
    return withoutObjects(found, gone);
  }

  /** A page behind the place; when the object that marks it is gone, behind the one before it. */
  private async ask(segment: Segment): Promise<Answer<ListPage>> {
    const { state } = segment;
    const after = placeOf(state)?.after ?? [];
    for (const [tried, id] of [...after, null].entries()) {
      try {
        return await this.opened.api.list(this.resource.path, this.paramsOf(state, id), this.call.signal);
      } catch (error) {
        const mayMove = error instanceof Refused && error.verdict === 'gone' && tried < after.length;
        if (!mayMove) throw error;
        // All of them are gone: the objects of its last second are met again.
        if (tried === after.length - 1) this.restart(segment);
      }
    }
    throw new SyncError('Defect', 'a page without a place was not asked for');
  }

  private paramsOf(state: SliceState, after: string | null): Record<string, unknown> {
    const { created, params, paged } = this.resource;
    const at = (ms: number | undefined | null) =>
      typeof ms === 'number' && ms > 0 ? Math.floor(ms / 1_000) : undefined;
    return {
      ...(paged && { limit: pageRows }),
      ...params,
      ...this.expand,
      ...(created && { 'created[gte]': at(state.fromMs), 'created[lt]': at(state.toMs) }),
      ...(state.afterId && { test_clock: state.afterId }),
      ...(after !== null && { starting_after: after }),
    };
  }

  private restart(segment: Segment): void {
    const at = placeOf(segment.state)?.atMs;
    segment.state = {
      ...segment.state,
      cursor: null,
      ...(this.resource.created && typeof at === 'number' && { toMs: at + 1_000 }),
    };
  }

  /** @returns whether there is something to do for this lane, or for another one */
  private async cut(): Promise<boolean> {
    if (this.cutting || !this.resource.created) return false;
    const { perSecond, options } = this.opened;
    const room = lanesWorth(perSecond, this.tookMs, options.parallel) - this.segments.size;
    if (room <= 0) return false;
    const plan = planCut(this.segments.values(), Math.min(this.idle, room), this.writer.requests);
    if (!plan) return false;
    this.cutting = true;
    try {
      const { segment, bounds } = plan;
      const { claim, id } = this.pass;
      const clock = segment.state.afterId ?? null;
      const first = await cutBelow(this.deps.pool, claim, id, segment.state.no, bounds, clock);
      if (first === null) return false;
      segment.state = { ...segment.state, fromMs: bounds.at(-1) as number };
      for (const [i, toMs] of bounds.slice(1).entries())
        this.add({ ...fresh, no: first + i, fromMs: bounds[i] as number, toMs, afterId: clock });
      this.stir();
      return true;
    } finally {
      this.cutting = false;
    }
  }

  private add(state: SliceState): void {
    this.segments.set(state.no, { state, busy: false, pageMs: null, committed: state.pages });
  }

  private stirred(): Promise<void> {
    return new Promise((done) => this.wake.push(done));
  }

  private stir(): void {
    const waiting = this.wake;
    this.wake = [];
    for (const go of waiting) go();
  }
}
