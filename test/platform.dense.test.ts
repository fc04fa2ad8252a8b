import { describe, expect, test } from 'vitest';
import { denser } from '../activities/platform/dense.ts';
import type { SliceWriter } from '../activities/platform/writer.ts';

const hour = 3_600_000;

/** A slice of an hour whose first page is read, of a pass that has so many rows left. */
const slice = (
  total: number,
  {
    first = null,
    parallel = 4,
    denseRows,
    left = Number.POSITIVE_INFINITY,
  }: { first?: SliceWriter['first']; parallel?: number; denseRows?: number | undefined; left?: number } = {},
) =>
  ({
    opened: { stream: { window: { format: 'ms', denseRows } }, options: { parallel } },
    state: { fromMs: 0, toMs: hour, total },
    first,
    rowsLeft: async () => left,
  }) as unknown as SliceWriter;
const page = (spanMs: number) => ({ rows: 100, spanMs });

describe('a window whose first page tells how many rows it holds', () => {
  test.each([
    ['is read as it is while it holds no more than its stream calls dense', 10_000, 4, undefined, null],
    ['is cut into slices of at most so many', 100_000, 1, undefined, 10],
    ['is cut into six slices a lane', 240_000, 4, undefined, 24],
    ['is cut into no slices below 8,000 rows for eight lanes', 63_000, 8, undefined, 8],
    ['is cut into as many as lanes take at once', 130_000, 8, undefined, 16],
    ['is cut into more than lanes take at once before one of them is dense', 170_000, 8, undefined, 24],
    ['is cut into no slices below 4,000 rows for however many lanes', 160_000, 32, undefined, 32],
    ['is cut by what its stream calls dense', 9_000, 1, 3_000, 3],
  ])('%s', async (_, total, parallel, denseRows, parts) => {
    expect(await denser(slice(total, { parallel, denseRows }))).toEqual(
      parts === null ? null : { kind: 'split', parts },
    );
  });

  test.each([
    ['and nothing else is left, by as many as have enough to read', 6_600, 6_600, 4],
    ['and each lane has as much to read, not at all', 6_600, 8 * 6_600, null],
    ['and less is left for each lane, by as many as make the shares equal', 6_600, 8 * 3_300, 2],
    ['and would leave less than 1,500 rows to each, not at all', 2_999, 2_999, null],
  ])('is shared between lanes when it is not dense: %s', async (_, total, left, parts) => {
    expect(await denser(slice(total, { parallel: 8, left }))).toEqual(parts === null ? null : { kind: 'split', parts });
  });

  test('is not shared when its rows stand in heaps', async () => {
    expect(await denser(slice(6_600, { first: page(0), left: 6_600 }))).toBeNull();
  });

  test.each([
    ['as its share', hour / 1_000, 12],
    ['up to four times its share', (hour / 1_000) * 3.9, 12],
    ['more: the rows behind it stand in a heap', (hour / 1_000) * 4.1, Number.POSITIVE_INFINITY],
    ['less: it stands in the heap', hour / 1_000 / 4.1, Number.POSITIVE_INFINITY],
    ['nothing: all rows of one moment', 0, Number.POSITIVE_INFINITY],
  ])('a first page that covers %s', async (_, spanMs, parts) => {
    expect(await denser(slice(100_000, { first: page(spanMs) }))).toEqual({ kind: 'split', parts });
  });

  test('one that is too short to be cut is read as it is', async () => {
    const { opened, state } = slice(100_000);
    expect(await denser({ opened, state: { ...state, toMs: 1_500 }, first: null } as SliceWriter)).toBeNull();
  });
});
