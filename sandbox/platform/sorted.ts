import type { Row } from './list.ts';

/** Rows in the order of one number, ties by serial. Finds by halving; a change moves one row. */
export class Sorted {
  readonly #of: (row: Row) => number;
  #rows: Row[];

  constructor(of: (row: Row) => number, rows: Row[] = []) {
    this.#of = of;
    this.#rows = [...rows].sort((a, b) => of(a) - of(b) || a.serial - b.serial);
  }

  get length(): number {
    return this.#rows.length;
  }

  /** All rows; not to be changed. */
  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** Where rows from `value` on begin; with `serial`, the ones after that row of the same value. */
  find(value: number, serial = 0): number {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const row = this.#rows[middle]!;
      const at = this.#of(row);
      if (at < value || (at === value && row.serial <= serial)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  add(row: Row): void {
    this.#rows.splice(this.find(this.#of(row), row.serial), 0, row);
  }

  /** Takes a row out; its number must be as it was when it was added. */
  take(row: Row): void {
    const at = this.find(this.#of(row), row.serial - 1);
    if (this.#rows[at] !== row) throw new Error(`Sorted.take: row ${row.id} is not where it belongs`);
    this.#rows.splice(at, 1);
  }
}
