import type { Fixture, Lists, StreamSpec } from './fixture.ts';
import { grow } from './grow.ts';
import { List, type Row } from './list.ts';
import { asRead, pick } from './values.ts';

/** What the source holds of one record of a stream. */
export interface Truth {
  /** As the platform's API writes it. */
  data: unknown;
  /** Last change, ms since 1970. */
  updated: number;
  /** Removed the way the platform shows it: gone from its list, or in the status for that. */
  removed: boolean;
}

export interface AccountOptions {
  rows: number;
  spanMs: number;
  spread: 'even' | 'clustered';
  now(): number;
}

/** One customer of the platform: its records, which no other account sees. */
export class Account {
  readonly name: string;
  /** Lists by name; each is filled when it is first used. */
  readonly lists: Lists;
  readonly #fixture: Fixture;

  constructor(name: string, fixture: Fixture, options: AccountOptions) {
    this.name = name;
    this.#fixture = fixture;
    this.lists = fill(fixture, options);
  }

  /**
   * Records of a stream by the key the connector builds. Records that left their list are missing; those in a status for
   * removed ones are there, marked.
   * @throws RangeError for a stream that the fixture does not name
   */
  truth(stream: string): Map<string, Truth> {
    const { spec, list, api } = this.#stream(stream);
    const gone = api?.of === 'gone';
    const held = gone ? [] : list.sorted('serial').rows;
    const left = gone || spec.keeps ? list.sorted('gone').rows : [];
    const rows = [...held, ...left].filter((row) => spec.has?.(row, this.lists) ?? true);
    const write = (row: Row) => spec.write?.(row, this.lists) ?? api?.render?.(row, this.lists, {}) ?? list.render(row);
    return new Map(
      rows.map((row) => [
        spec.key?.(row, this.lists) ?? row.id,
        {
          data: asRead(write(row)),
          updated: spec.changed?.(row) ?? row.updated,
          removed: row.gone !== null && !gone && !spec.keeps,
        },
      ]),
    );
  }

  /** The list behind a stream, for changing what a stream shows. @throws RangeError for an unknown stream */
  listOf(stream: string): List {
    return this.#stream(stream).list;
  }

  /** Changes a share of a list's records at the platform's clock, the same ones for the same seed; says how many. */
  change(list: string, { share = 0.01, seed = 1 }: { share?: number; seed?: number } = {}): number {
    const found = this.lists[list];
    if (!found) throw new RangeError(`change: no list ${JSON.stringify(list)}; lists: ${Object.keys(this.lists)}`);
    if (!(share >= 0 && share <= 1)) throw new RangeError(`change: share is ${share}; accepted: 0 to 1`);
    const parts = 1_000_000;
    const chosen = found.sorted('serial').rows.filter((row) => pick(row.serial, seed, parts) < share * parts);
    for (const { id } of chosen) found.update(id);
    return chosen.length;
  }

  #stream(stream: string): { spec: StreamSpec; list: List; api: Fixture['apis'][string] | undefined } {
    const { streams, apis, platform } = this.#fixture;
    const spec = Object.hasOwn(streams, stream) ? streams[stream] : undefined;
    if (!spec) {
      const known = Object.keys(streams).join(', ');
      throw new RangeError(`${platform} sandbox: no stream ${JSON.stringify(stream)}; streams: ${known}`);
    }
    const api = spec.api === undefined ? undefined : apis[spec.api];
    const list = this.lists[spec.list ?? api?.list ?? ''];
    if (!list) throw new RangeError(`${platform} sandbox: stream ${stream} names neither an API nor a list that exist`);
    return { spec, list, api };
  }
}

/** Lists that are made when they are first asked for: most tests use one of twenty. */
function fill(fixture: Fixture, options: AccountOptions): Lists {
  const lists: Lists = {};
  const { resolutionMs } = fixture;
  let version = 0;
  const nextVersion = () => {
    version += 1;
    return version;
  };
  const shared = { lists, resolutionMs, now: options.now, nextVersion, changes: 0 };
  const until = options.now() - 60_000;
  for (const [salt, [name, spec]] of Object.entries(fixture.lists).entries()) {
    let made: List | undefined;
    const make = () => {
      const rows = spec.rows?.(options.rows) ?? options.rows;
      return new List(spec, shared, grow({ ...options, rows, until, salt }));
    };
    Object.defineProperty(lists, name, {
      enumerable: true,
      get: () => {
        made ??= make();
        return made;
      },
    });
  }
  return lists;
}
