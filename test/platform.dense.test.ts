import { describe, expect, test } from 'vitest';
import { denser } from '../activities/platform/dense.ts';
import type { SliceWriter } from '../activities/platform/writer.ts';

const hour = 3_600_000;

/** A slice of an hour whose first page is read. */
const slice = (total: number, first: SliceWriter['first'] = null, parallel = 4, denseRows?: number) =>
  ({
    opened: { stream: { window: { format: 'ms', denseRows } }, options: { parallel } },
    state: { fromMs: 0, toMs: hour, total },
    first,
  }) as unknown as SliceWriter;
const page = (spanMs: number) => ({ rows: 100, spanMs });

describe('a window whose first page tells how many rows it holds', () => {
  test.each([
    ['is read as it is while it holds no more than its stream calls dense', 10_000, 4, undefined, null],
    ['is cut into slices of at most so many', 100_000, 1, undefined, 10],
    ['is cut into six slices a lane', 240_000, 4, undefined, 24],
    ['is cut into no slices below 6,000 rows for eight lanes, and as many as lanes take', 90_000, 8, undefined, 16],
    ['is cut into no slices below 4,000 rows for however many lanes', 130_000, 32, undefined, 64],
    ['is cut by what its stream calls dense', 9_000, 1, 3_000, 3],
  ])('%s', (_, total, lanes, dense, parts) => {
    expect(denser(slice(total, null, lanes, dense))).toEqual(parts === null ? null : { kind: 'split', parts });
  });

  test.each([
    ['as its share', hour / 1_000, 12],
    ['up to four times its share', (hour / 1_000) * 3.9, 12],
    ['more: the rows behind it stand in a heap', (hour / 1_000) * 4.1, Number.POSITIVE_INFINITY],
    ['less: it stands in the heap', hour / 1_000 / 4.1, Number.POSITIVE_INFINITY],
    ['nothing: all rows of one moment', 0, Number.POSITIVE_INFINITY],
  ])('a first page that covers %s', (_, spanMs, parts) => {
    expect(denser(slice(100_000, page(spanMs)))).toEqual({ kind: 'split', parts });
  });

  test('one that is too short to be cut is read as it is', () => {
    const { opened, state } = slice(100_000);
    expect(denser({ opened, state: { ...state, toMs: 1_500 }, first: null } as SliceWriter)).toBeNull();
  });
});
