/** A row of the source. Times are whole seconds, so that many rows tie. */
export interface Row {
  id: number;
  created: number;
  modified: number;
  /** Counts its changes: one within the second of the last one shows nowhere else. */
  n: number;
  /** Row version. */
  version: number;
}

/** What the source does between two answers. */
export interface Activity {
  /** Average changes between two answers. */
  changes: number;
  /** Share of each kind; missing ones do not happen. */
  create?: number;
  update?: number;
  remove?: number;
}

export type Random = () => number;

/** A small generator with a seed (xorshift). */
export function randomOf(seed: number): Random {
  let x = (seed * 2_654_435_761 + 1) >>> 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    x >>>= 0;
    return x / 2 ** 32;
  };
}

/** Rows behind a real HTTP server; they change between any two answers, never within one. */
export class MovingSource {
  readonly rows = new Map<number, Row>();
  readonly random: Random;
  activity: Activity;
  /** By the source's own clock. */
  nowMs = 1_790_000_000_000;
  requests = 0;
  private ids = 0;
  private versions = 0;

  constructor(seed: number, activity: Activity) {
    this.random = randomOf(seed);
    this.activity = activity;
    const count = 50 + this.below(100);
    const seconds = Array.from({ length: count }, () => this.second() - 20 - this.below(300)).sort((a, b) => a - b);
    for (const second of seconds) this.create(second);
  }

  second(): number {
    return Math.floor(this.nowMs / 1000);
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  sorted(compare: (a: Row, b: Row) => number, where: (row: Row) => boolean = () => true): Row[] {
    return [...this.rows.values()].filter(where).sort(compare);
  }

  /** Time passes (often less than a second), and rows change. */
  move(): void {
    const { changes, create = 0, update = 0, remove = 0 } = this.activity;
    const count = this.below(Math.round(changes * 2) + 1);
    for (let i = 0; i < count; i += 1) {
      this.nowMs += this.below(400);
      const dice = this.random() * (create + update + remove);
      if (dice < create) this.create(this.second());
      else if (dice < create + update) this.update();
      else this.remove();
    }
    this.nowMs += this.below(2_000);
  }

  /** Nothing changes any more, and what did is a while ago. */
  rest(): void {
    this.activity = { changes: 0 };
    this.nowMs += 10_000;
  }

  private create(second: number): void {
    this.ids += 1;
    this.versions += 1;
    this.rows.set(this.ids, { id: this.ids, created: second, modified: second, n: 0, version: this.versions });
  }

  private update(): void {
    const row = this.any();
    if (!row) return;
    this.versions += 1;
    this.rows.set(row.id, { ...row, modified: this.second(), n: row.n + 1, version: this.versions });
  }

  private remove(): void {
    const row = this.any();
    if (row) this.rows.delete(row.id);
  }

  private any(): Row | undefined {
    return [...this.rows.values()][this.below(this.rows.size)];
  }
}
