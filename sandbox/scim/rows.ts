/** Rows in the order of their numbers. Numbers only grow, so this is also the order in which rows were created. */
export class Rows<T extends { readonly serial: number }> {
  /** The living rows, ascending. Read it; change it by the methods only. */
  items: T[] = [];

  get length(): number {
    return this.items.length;
  }

  /** The position of the first row whose number is at least `serial`; `length` when there is none. */
  lowerBound(serial: number): number {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.items[middle]!.serial < serial) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  find(serial: number): T | undefined {
    const row = this.items[this.lowerBound(serial)];
    return row?.serial === serial ? row : undefined;
  }

  /** Appends a row; its number must be larger than every number before it. */
  push(row: T): void {
    this.items.push(row);
  }

  /** Removes rows by number. One row costs a shift of the array, many rows cost one copy. */
  remove(serials: ReadonlySet<number>): void {
    if (serials.size === 1) {
      for (const serial of serials) if (this.find(serial)) this.items.splice(this.lowerBound(serial), 1);
      return;
    }
    this.items = this.items.filter((row) => !serials.has(row.serial));
  }
}
