import { type NestedShape, type Shape, scatter } from './shape.ts';

export type StripeRecord = Record<string, unknown>;

/** States of an object. */
export const living = 0;
export const deleted = 1;
export const canceled = 2;

/** How an object stood when an event told of it. */
export interface Moment {
  version: number;
  state: number;
}

const firstPage = 10;

/** Objects of one list as three numbers each: a million take ten megabytes. Oldest first, as they were made. */
export class Store {
  readonly shape: Shape;
  length = 0;
  private created: Uint32Array;
  private versions: Uint16Array;
  private states: Uint8Array;
  /** Ids of test clocks that some of the objects stand under. */
  private readonly clocks: readonly string[];
  /** Versions of objects that hold a text which Postgres cannot keep. */
  private readonly spoilt = new Map<number, number>();

  constructor(shape: Shape, moments: ArrayLike<number>, clocks: readonly string[] = []) {
    this.shape = shape;
    this.clocks = clocks;
    const room = moments.length + 1_024;
    this.created = new Uint32Array(room);
    this.versions = new Uint16Array(room);
    this.states = new Uint8Array(room);
    this.created.set(moments as Uint32Array);
    this.length = moments.length;
    if (shape.events.canceled) for (let n = 0; n < this.length; n += 5) this.states[n] = canceled;
  }

  add(second: number): number {
    if (this.length === this.created.length) this.grow();
    const n = this.length++;
    // A list is ordered by its moments: a clock that went back must not break that.
    this.created[n] = n > 0 ? Math.max(second, this.created[n - 1] as number) : second;
    return n;
  }

  private grow(): void {
    const room = this.length * 2;
    const [created, versions, states] = [new Uint32Array(room), new Uint16Array(room), new Uint8Array(room)];
    created.set(this.created);
    versions.set(this.versions);
    states.set(this.states);
    this.created = created;
    this.versions = versions;
    this.states = states;
  }

  change(n: number, state?: number): void {
    this.versions[n] = (this.versions[n] as number) + 1;
    if (state !== undefined) this.states[n] = state;
  }

  /** Until its next change the object holds U+0000. */
  spoil(n: number): void {
    this.change(n);
    this.spoilt.set(n, this.versions[n] as number);
  }

  moment(n: number): Moment {
    return { version: this.versions[n] as number, state: this.states[n] as number };
  }

  secondOf = (n: number) => this.created[n] as number;
  isDeleted = (n: number) => this.states[n] === deleted;
  isCanceled = (n: number) => this.states[n] === canceled;
  clockOf = (n: number) => (n % 23 === 11 ? (this.clocks[n % this.clocks.length] ?? null) : null);

  /** First object made at that second or later. */
  firstFrom(second: number): number {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.created[middle] as number) < second) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Ids do not tell their order. */
  id(n: number): string {
    return `${this.shape.prefix}${scatter(n, 99).toString(36).padStart(7, '0')}${n.toString(36)}`;
  }

  find(id: string): number | null {
    const { prefix } = this.shape;
    if (!id.startsWith(prefix)) return null;
    const n = Number.parseInt(id.slice(prefix.length + 7), 36);
    return Number.isInteger(n) && n >= 0 && n < this.length && this.id(n) === id ? n : null;
  }

  /** An object as it was at a moment; lists inside it show their first ten. */
  render(n: number, expand: readonly string[] = [], at: Moment = this.moment(n)): StripeRecord {
    const { object, fields, lists, events } = this.shape;
    const id = this.id(n);
    const base: StripeRecord = { id, object, created: this.secondOf(n), livemode: false, ...fields(n, at.version) };
    if (this.clocks.length > 0) base.test_clock = this.clockOf(n);
    if (events.canceled) base.status = at.state === canceled ? 'canceled' : 'active';
    if (this.spoilt.get(n) === at.version) base.description = 'half\u0000way';
    for (const list of lists) {
      if (list.mode === 'expand' && !expand.includes(list.field)) continue;
      const items = this.items(n, list, at);
      base[list.field] = {
        object: 'list',
        data: items.slice(0, firstPage),
        has_more: items.length > firstPage,
        url: `${this.shape.path}/${id}/${list.field}`,
      };
    }
    return base;
  }

  items(n: number, list: NestedShape, at: Moment = this.moment(n)): StripeRecord[] {
    return list.items(n, at.version).map((item) => ({
      id: `${list.prefix}${scatter(n * 1_000 + item, 5).toString(36)}${n.toString(36)}x${item}`,
      object: list.object,
      ...list.fields(n, item, at.version),
    }));
  }
}
