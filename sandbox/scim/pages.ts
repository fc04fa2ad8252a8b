import type { Directory } from './directory.ts';
import type { Kind } from './ids.ts';
import type { Renderer } from './render.ts';
import type { Projection } from './resources.ts';

/** Neighbouring rows as one piece of JSON text, and where each row ends in it. */
interface Block {
  bytes: Buffer;
  ends: Uint32Array;
}

/** Row numbers a block: one full page of people; groups are long because of their members. */
const blockRows: Record<Kind, number> = { User: 200, Group: 20 };
/** Projections kept at once. One of people may take 700 MB, so a second one replaces it. */
const kept: Record<Kind, number> = { User: 1, Group: 4 };

const everything: Projection = { only: [], without: [] };
const withoutMembers: Projection = { only: [], without: ['members'] };
const comma = Buffer.from(',');

/**
 * Rows rendered ahead, so that a benchmark measures its reader. A block covers a fixed range of row numbers: when a row
 * is touched, its block is dropped and rendered again on demand; when rows leave, no other block moves.
 */
export class PreparedPages {
  readonly #directory: Directory;
  readonly #renderer: Renderer;
  readonly #shelves: Record<Kind, Map<string, { projection: Projection; blocks: Map<number, Block> }>>;

  constructor(directory: Directory, renderer: Renderer) {
    this.#directory = directory;
    this.#renderer = renderer;
    this.#shelves = { User: new Map(), Group: new Map() };
  }

  /** Renders what is missing: people, groups, groups without members, and the projections asked for so far. */
  prepare(): void {
    const common: [Kind, Projection][] = [
      ['Group', everything],
      ['Group', withoutMembers],
    ];
    if (this.#shelves.User.size === 0) common.push(['User', everything]);
    for (const [kind, projection] of common) this.#blocks(kind, projection);
    for (const kind of ['User', 'Group'] as const) {
      const { items } = this.#rows(kind);
      for (const { projection, blocks } of this.#shelves[kind].values()) {
        const numbers = new Set(items.map((row) => Math.floor(row.serial / blockRows[kind])));
        for (const number of numbers) this.#block(kind, projection, blocks, number);
      }
    }
  }

  /** Forgets the block of a row that has changed, come or gone. */
  drop(kind: Kind, serial: number): void {
    const number = Math.floor(serial / blockRows[kind]);
    for (const { blocks } of this.#shelves[kind].values()) blocks.delete(number);
  }

  /** The JSON text of `count` rows from position `from`, with commas between, as pieces of the blocks. */
  pieces(kind: Kind, projection: Projection, from: number, count: number): Buffer[] {
    const rows = this.#rows(kind);
    const blocks = this.#blocks(kind, projection);
    const pieces: Buffer[] = [];
    let at = from;
    while (at < from + count) {
      const number = Math.floor(rows.items[at]!.serial / blockRows[kind]);
      const { bytes, ends } = this.#block(kind, projection, blocks, number);
      const skipped = at - rows.lowerBound(number * blockRows[kind]);
      const taken = Math.min(ends.length - skipped, from + count - at);
      // Between two rows of a block stands one comma.
      const start = skipped === 0 ? 0 : ends[skipped - 1]! + 1;
      if (pieces.length > 0) pieces.push(comma);
      pieces.push(bytes.subarray(start, ends[skipped + taken - 1]));
      at += taken;
    }
    return pieces;
  }

  #rows(kind: Kind): Directory['people'] | Directory['groups'] {
    return kind === 'User' ? this.#directory.people : this.#directory.groups;
  }

  #blocks(kind: Kind, projection: Projection): Map<number, Block> {
    const shelf = this.#shelves[kind];
    const name = JSON.stringify(projection).toLowerCase();
    const found = shelf.get(name) ?? { projection, blocks: new Map<number, Block>() };
    // Set again, so that the map's order is the order of last use.
    shelf.delete(name);
    shelf.set(name, found);
    if (shelf.size > kept[kind]) shelf.delete(shelf.keys().next().value!);
    return found.blocks;
  }

  #block(kind: Kind, projection: Projection, blocks: Map<number, Block>, number: number): Block {
    const known = blocks.get(number);
    if (known) return known;
    const rows = this.#rows(kind);
    const first = rows.lowerBound(number * blockRows[kind]);
    const last = rows.lowerBound((number + 1) * blockRows[kind]);
    const texts = rows.items.slice(first, last).map((row) => this.#renderer.text(kind, row, projection));
    const ends = new Uint32Array(texts.length);
    let end = -1;
    texts.forEach((text, index) => {
      end += 1 + Buffer.byteLength(text);
      ends[index] = end;
    });
    const block = { bytes: Buffer.from(texts.join(',')), ends };
    blocks.set(number, block);
    return block;
  }
}
