import type { Paging, Stream } from '../../../connectors/shape.ts';
import type { Query, Served } from './server.ts';
import type { Activity, MovingSource, Row } from './source.ts';

/** One way of paging, as a platform would serve it and as a connector would describe it. */
export interface Family {
  name: string;
  paging: Paging;
  /** The read is of a window of the past: rows that changed in it, or rows that were created in it. */
  window: 'modified' | 'created' | null;
  /** Kinds of changes that the family's own contract allows; default all three. */
  activity?: Omit<Activity, 'changes'>;
  /** True: the family proves itself whatever moves, so a doubt is a failure. */
  sure: boolean;
  /** True: the platform offers nothing safe, and reads of a list that moves do lose rows. */
  unsafe?: boolean;
  /** Answers one request; may keep what it needs (a snapshot) in `memory`, fresh for each read. */
  serve(source: MovingSource, query: Query, memory: Map<string, Row[]>): Served;
}

export const pageRows = 10;
export const size = { param: 'size', rows: pageRows };
/** Windows end this long before the read begins, s. */
export const lag = 25;

export function streamOf({ paging, window }: Family): Stream {
  return {
    title: 'Rows',
    call: { api: 'list', params: {} },
    rows: 'rows',
    key: 'id',
    time: { path: 'modified', format: 's' },
    paging,
    ...(window && { window: { from: 'from', to: 'to', format: 's', capMs: 1e9, overlapMs: 0, lagMs: lag * 1_000 } }),
    deletes: { kind: 'none', why: 'a test' },
    columns: {},
  };
}

export type Order = (a: Row, b: Row) => number;
export const byId: Order = (a, b) => a.id - b.id;
export const oldest: Order = (a, b) => a.modified - b.modified || a.id - b.id;
export const newest: Order = (a, b) => oldest(b, a);
/** An order that nobody knows: a row that changes may go anywhere. */
export const scattered: Order = (a, b) => scatter(a) - scatter(b) || a.id - b.id;
const scatter = ({ id, n }: Row) => Math.imul(id * 31 + n * 17 + 7, 2_654_435_761) >>> 0;

/** Rows of the window in the request, in order; all rows where it has none. */
export function list(source: MovingSource, query: Query, order: Order, by: 'modified' | 'created' = 'modified'): Row[] {
  const [from, to] = [Number(query.from ?? 0), Number(query.to ?? Number.POSITIVE_INFINITY)];
  return source.sorted(order, (row) => row[by] >= from && row[by] <= to);
}
