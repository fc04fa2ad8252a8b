import type { Clock, ListSpec, Lists } from './fixture.ts';
import { Sorted } from './sorted.ts';

/** One record of a list. What the platform shows of it is made from these by `ListSpec.render`. */
export interface Row {
  /** Its number in the list, from 1. */
  readonly serial: number;
  readonly id: string;
  /** ms since 1970, in the platform's steps. */
  readonly created: number;
  updated: number;
  /** Moment it was removed, or null. */
  gone: number | null;
  status: string | number;
  /** Grows with every change of any record of the account. */
  version: number;
  /** Fields that were set by hand; they win over rendered ones of the same name at the top level. */
  edits: Record<string, unknown> | undefined;
}

/** What lists of one account share. */
export interface Shared {
  lists: Lists;
  resolutionMs: number;
  now(): number;
  nextVersion(): number;
  /** Grows with every change of any list: groups and filters may look at several. */
  changes: number;
}

type Fields = Record<string, unknown>;
type Changes = Fields & { status?: string | number };

/** The records of one kind that one account holds. Changes show in the next answer. */
export class List {
  readonly spec: ListSpec;
  readonly #shared: Shared;
  readonly #byId = new Map<string, Row>();
  #byCreated: Sorted;
  #byUpdated: Sorted;
  #byVersion: Sorted;
  #bySerial: Sorted;
  readonly #gone: Sorted;
  #serial = 0;
  #groups: { at: number; maps: Record<string, Map<string, Row[]>> } = { at: 0, maps: {} };

  /** Starts with a record for each of `times` (created, updated; both ms), in this order. */
  constructor(spec: ListSpec, shared: Shared, times: readonly (readonly [created: number, updated: number])[]) {
    this.spec = spec;
    this.#shared = shared;
    const rows = times.map(([created, updated]) => this.#born(created, updated));
    this.#byCreated = new Sorted((row) => row.created, rows);
    this.#byUpdated = new Sorted((row) => row.updated, rows);
    for (const row of this.#byUpdated.rows) row.version = shared.nextVersion();
    this.#byVersion = new Sorted((row) => row.version, rows);
    this.#bySerial = new Sorted((row) => row.serial, rows);
    this.#gone = new Sorted((row) => row.gone ?? 0);
  }

  /** Grows with every change of the account, so that answers kept for a query know when they are old. */
  get revision(): number {
    return this.#shared.changes;
  }

  /** Records that the list shows. */
  get size(): number {
    return this.#bySerial.length;
  }

  /** Ids of the records shown, in the order they were made. */
  ids(): string[] {
    return this.#bySerial.rows.map((row) => row.id);
  }

  get(id: string): Row | undefined {
    return this.#byId.get(id);
  }

  /** Makes a record. `at`: its time, ms; default: the platform's clock. */
  create(fields?: Fields, at: number = this.#shared.now()): Row {
    const row = this.#born(at, at);
    row.version = this.#shared.nextVersion();
    row.edits = fields;
    this.#place(row, 'add');
    return row;
  }

  /** Changes a record: sets fields, moves its time to `at`. @throws RangeError for an id that is not there. */
  update(id: string, fields: Changes = {}, at: number = this.#shared.now()): Row {
    return this.#change(id, fields, at, this.#shared.nextVersion());
  }

  /** Changes a record in a transaction that is open: it has its time and version, and shows when what is returned is called. */
  hold(id: string, fields: Changes = {}, at: number = this.#shared.now()): () => Row {
    const version = this.#shared.nextVersion();
    return () => this.#change(id, fields, at, version);
  }

  #change(id: string, fields: Changes, at: number, version: number): Row {
    const row = this.#living(id);
    this.#place(row, 'take');
    const { status, ...rest } = fields;
    if (status !== undefined) row.status = status;
    if (Object.keys(rest).length > 0) row.edits = { ...row.edits, ...rest };
    row.updated = this.#step(at);
    row.version = version;
    this.#place(row, 'add');
    return row;
  }

  /** Removes a record, the way the platform shows it. @throws RangeError for an id that is not there, or a list that keeps all. */
  remove(id: string, at: number = this.#shared.now()): Row {
    const { removed } = this.spec;
    if (removed === 'never')
      throw new RangeError(`list: ${JSON.stringify(id)} cannot be removed: the platform keeps all`);
    const row = removed === 'leaves' ? this.#living(id) : this.update(id, { status: removed.status }, at);
    if (removed === 'leaves') {
      this.#place(row, 'take');
      row.gone = this.#step(at);
      row.updated = row.gone;
      this.#gone.add(row);
    } else if (!removed.kept) row.gone = row.updated;
    return row;
  }

  /** The records in an order. */
  sorted(clock: Clock | 'gone'): Sorted {
    if (clock === 'gone') return this.#gone;
    if (clock === 'created') return this.#byCreated;
    if (clock === 'updated') return this.#byUpdated;
    return clock === 'version' ? this.#byVersion : this.#bySerial;
  }

  /** Records under a key of a group, by serial. */
  group(by: string, key: string): readonly Row[] {
    const keysOf = this.spec.groups?.[by];
    if (!keysOf)
      throw new RangeError(`list: no group ${JSON.stringify(by)}; groups: ${Object.keys(this.spec.groups ?? {})}`);
    if (this.#groups.at !== this.revision) this.#groups = { at: this.revision, maps: {} };
    let map = this.#groups.maps[by];
    if (!map) {
      map = new Map();
      for (const row of this.#bySerial.rows) {
        for (const name of keysOf(row, this.#shared.lists)) {
          const rows = map.get(name);
          if (rows) rows.push(row);
          else map.set(name, [row]);
        }
      }
      this.#groups.maps[by] = map;
    }
    return map.get(key) ?? [];
  }

  /** A record as the list writes it. */
  render(row: Row): Fields {
    const fields = this.spec.render(row, this.#shared.lists);
    return row.edits ? { ...fields, ...row.edits } : fields;
  }

  #born(created: number, updated: number): Row {
    this.#serial += 1;
    const serial = this.#serial;
    const { id = String, statuses = [''] } = this.spec;
    const row: Row = {
      serial,
      id: id(serial),
      created: this.#step(created),
      updated: this.#step(updated),
      gone: null,
      status: statuses[serial % statuses.length]!,
      version: 0,
      edits: undefined,
    };
    this.#byId.set(row.id, row);
    return row;
  }

  #living(id: string): Row {
    const row = this.#byId.get(id);
    if (!row || (row.gone !== null && this.spec.removed === 'leaves')) {
      throw new RangeError(`list: there is no record ${JSON.stringify(id)}; it has ${this.size} records`);
    }
    return row;
  }

  #place(row: Row, how: 'add' | 'take'): void {
    for (const sorted of [this.#byCreated, this.#byUpdated, this.#byVersion, this.#bySerial]) sorted[how](row);
    this.#shared.changes += 1;
  }

  #step(ms: number): number {
    const { resolutionMs } = this.#shared;
    return Math.floor(ms / resolutionMs) * resolutionMs;
  }
}
