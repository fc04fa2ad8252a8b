import { describe, expect, it } from 'vitest';
import type { Paging } from '../connectors/shape.ts';
import { carried, idsOf, readAll, row, rowsOf, type Script } from './harness/paging/scripted.ts';

type ByOffset = Extract<Paging, { kind: 'offset' }>;
const byOffset = (change: Partial<ByOffset> = {}): Paging => ({
  kind: 'offset',
  param: 'start',
  first: 0,
  size: { param: 'limit', rows: 10 },
  order: 'fixed',
  ...change,
});

/** Rows by offset; `change` may move them after an answer. */
function list(ids: number[], change: (ids: number[], answered: number) => void = () => undefined): Script {
  let answered = 0;
  return ({ start }) => {
    const from = Number(start);
    const data = { rows: ids.slice(from, from + 10).map(row), total: ids.length, more: from + 10 < ids.length };
    answered += 1;
    change(ids, answered);
    return { data };
  };
}
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const offsets = (asked: Record<string, unknown>[]) => asked.map(({ start }) => start);

describe('offset', () => {
  it.each<[string, Paging, number[]]>([
    ['the total is reached', byOffset({ total: 'total' }), [0, 9, 18]],
    ['"more" is false', byOffset({ more: 'more' }), [0, 9, 18]],
    ['nothing behind the rows before', byOffset(), [0, 9, 18, 24]],
  ])('%s: each page begins with the last row of the one before', async (sign, paging, asked) => {
    const { client, rows, end } = await readAll(paging, list(upTo(25)));
    expect(offsets(client.asked)).toEqual(asked);
    expect(idsOf(rows), 'and that row is handed out once').toEqual(upTo(25));
    expect(end).toEqual({ sign, doubt: null, again: true, owed: null });
  });

  it('counts from 1 where the platform does', async () => {
    const { client, rows } = await readAll(byOffset({ first: 1, total: 'total' }), ({ start }) => ({
      data: { rows: rowsOf(Number(start), Math.min(Number(start) + 10, 16)), total: 15 },
    }));
    expect(offsets(client.asked)).toEqual([1, 10]);
    expect(idsOf(rows)).toEqual(upTo(15));
  });

  it('steps back when the rows before are no longer there, and loses none', async () => {
    const leave = (ids: number[], answered: number) => void (answered === 2 && ids.splice(0, 8));
    const { client, rows, end } = await readAll(byOffset({ total: 'total' }), list(upTo(40), leave));
    expect(offsets(client.asked)).toEqual([0, 9, 18, 9, 18, 27]);
    expect(new Set(idsOf(rows))).toEqual(new Set(upTo(40)));
    expect(end.doubt).toBeNull();
  });

  it('a list that never lets it find its place is doubted', async () => {
    let next = 0;
    const other: Script = ({ start }) => {
      const rows = rowsOf(next, next + 10);
      next += 10;
      return { data: { rows, more: Number(start) < 30 } };
    };
    const { end } = await readAll(byOffset({ more: 'more' }), other);
    expect(end).toMatchObject({ doubt: 'the list moved faster than it could be read', again: true });
  });

  it('unknown order without a total is never proven; one answer always is', async () => {
    const { end } = await readAll(byOffset({ order: 'unknown', more: 'more' }), list(upTo(25)));
    expect(end).toMatchObject({ doubt: expect.stringMatching(/^the platform tells no total/), again: false });
    expect((await readAll(byOffset({ order: 'unknown', more: 'more' }), list(upTo(9)))).end.doubt).toBeNull();
    expect((await readAll(byOffset({ order: 'unknown', total: 'total' }), list(upTo(25)))).end.doubt).toBeNull();
  });

  it('an offset that is ignored, and a total without rows, are errors', async () => {
    const same: Script = () => ({ data: { rows: rowsOf(0, 10), total: 30 } });
    await expect(readAll(byOffset({ total: 'total' }), same)).rejects.toThrow(
      'orders: offset 9 brings the page before: the platform ignores "start"',
    );
    const none: Script = () => ({ data: { rows: [], total: 30 } });
    await expect(readAll(byOffset({ total: 'total' }), none)).rejects.toThrow(
      'the platform names 30 rows and shows none',
    );
  });

  it('goes on from a cursor without a row between', async () => {
    const script = list(upTo(25));
    const first = await readAll(byOffset({ total: 'total' }), script, { at: { shouldEnd: () => true } });
    const rest = await readAll(byOffset({ total: 'total' }), script, { at: { cursor: carried(first.cursor) } });
    expect(idsOf([...first.rows, ...rest.rows])).toEqual(upTo(25));
  });
});

describe('row version', () => {
  const byVersion: Paging = { kind: 'version', param: 'since', path: 'ts', size: { param: 'size', rows: 3 } };
  const versioned =
    (from: unknown, versions: (number | string)[]): Script =>
    ({ since }) => ({
      data: {
        rows: versions
          .filter((ts) =>
            from === '>=' ? BigInt(ts) >= BigInt(since as string) : BigInt(ts) > BigInt(since as string),
          )
          .slice(0, 3)
          .map((ts) => ({ id: ts, ts })),
      },
    });

  it.each(['>=', '>'])('with %s: until nothing larger comes', async (from) => {
    const { client, rows, end, cursor } = await readAll(byVersion, versioned(from, [2, 5, 7, 8, 9, 12]));
    expect(new Set(rows.map((one) => (one as { ts: number }).ts))).toEqual(new Set([2, 5, 7, 8, 9, 12]));
    expect(client.asked.map(({ since }) => since)).toEqual(from === '>=' ? [0, 7, 9, 12] : [0, 7, 12]);
    expect(end.doubt).toBeNull();
    expect(cursor.state, 'where the next read begins').toMatchObject({ at: 12 });
  });

  it('begins where the caller says, with values of the connector', async () => {
    const paging: Paging = { ...byVersion, params: { is_get_total: false } };
    const { client, end } = await readAll(paging, versioned('>', [2, 5, 7, 8, 9]), { at: { params: { since: 2 } } });
    expect(client.asked.map(({ since }) => since)).toEqual([2, 8, 9]);
    expect(client.requests[0]?.call.params).toEqual({ fixed: 'yes', is_get_total: false });
    expect(end.sign).toBe('nothing larger came');
  });

  it('goes on behind a page that a filter made short', async () => {
    const hidden = [5, 6];
    const { rows, end } = await readAll(byVersion, ({ since }) => ({
      data: {
        rows: rowsOf(Number(since) + 1, Math.min(Number(since) + 4, 12))
          .filter(({ id }) => !hidden.includes(id))
          .map(({ id }) => ({ id, ts: id })),
      },
    }));
    expect(idsOf(rows)).toEqual(upTo(11).filter((id) => !hidden.includes(id)));
    expect(end.doubt).toBeNull();
  });

  it('compares versions that no double holds', async () => {
    const versions = ['9007199254740993', '9007199254740995', '9007199254740996', '9007199254740997'];
    const { rows, client } = await readAll(byVersion, versioned('>', versions));
    expect(rows).toHaveLength(4);
    expect(client.asked.map(({ since }) => since)).toEqual([0, '9007199254740996', '9007199254740997']);
  });

  const now = Date.UTC(2026, 10, 1, 12);
  /** Rows with versions 1, 2, …, changed so many seconds ago; the next read goes back a minute. */
  const nextAfter = async (ages: (number | string)[], params: Record<string, unknown> = {}) => {
    const rows = ages.map((age, i) => ({
      id: i + 1,
      ts: i + 1,
      at: typeof age === 'number' ? now - age * 1_000 : age,
    }));
    // A `Date` is taken for five seconds too late.
    const headers = { date: new Date(now + 5_000).toUTCString() };
    const { end } = await readAll(
      { ...byVersion, overlapMs: 60_000 },
      ({ since }) => ({ data: { rows: rows.filter(({ ts }) => ts >= Number(since)).slice(0, 3) }, headers }),
      { stream: { time: { path: 'at', format: 'ms' } }, at: { params } },
    );
    return end.version;
  };

  it.each<[string, (number | string)[], number | null]>([
    ['one below the largest, where all is old', [900, 800, 700, 600, 500], 4],
    ['below the first of the last minute', [900, 800, 700, 30, 20, 10], 3],
    ['below a row of the last minute that others follow which look old', [900, 800, 30, 700, 600], 2],
    ['below a row without a time', [900, 800, 'unknown', 700, 600], 2],
    ['below a row that is dated in the future', [900, 800, -9_000, 700, 600], 2],
    ['with the first row, where all is young', [50, 40, 30, 20, 10], null],
    ['where nothing is', [], null],
  ])('the next read begins %s', async (_where, ages, version) => {
    expect(await nextAfter(ages)).toBe(version);
  });

  it('a read that finds nothing new leaves the next one where it began', async () => {
    expect(await nextAfter([900, 800, 700, 600], { since: 4 })).toBe(4);
    expect(await nextAfter([900, 800, 700, 600, 30], { since: 4 })).toBe(4);
    expect(await nextAfter([900, 800, 700, 600, 500, 30], { since: 4 })).toBe(5);
  });

  it.each<[string, Script, string]>([
    [
      'a version that is ignored',
      () => ({ data: { rows: [1, 2, 3].map((ts) => ({ id: ts, ts })) } }),
      'the platform ignores "since"',
    ],
    [
      'more rows of one version than a page holds',
      ({ since }) => ({ data: { rows: [1, 2, 3].map((id) => ({ id: `${since}${id}`, ts: 4 })) } }),
      'a full page of 3 rows shares one version',
    ],
    ['rows without versions', () => ({ data: { rows: [{ id: 1 }] } }), 'none of 1 rows has a version at "ts"'],
  ])('%s is an error', async (_, script, message) => {
    await expect(readAll(byVersion, script)).rejects.toThrow(message);
  });

  it('a page that is not in order is doubted for good', async () => {
    const { end } = await readAll(byVersion, ({ since }) => ({
      data: { rows: (since === 0 ? [2, 9, 4] : [9]).map((ts) => ({ id: ts, ts })) },
    }));
    expect(end).toMatchObject({ doubt: expect.stringMatching(/^rows came out of the order of "ts"/), again: false });
  });
});

describe('requests for a list of 50 full pages at rest', () => {
  const size = { param: 'size', rows: 100 };
  const total = 5_000;
  const slice = (from: number) => rowsOf(from, Math.min(from + 100, total));
  const cases: [string, Paging, Script, number][] = [
    [
      'cursor',
      { kind: 'cursor', param: 'c', size, next: 'next' },
      ({ c }) => ({
        data: { rows: slice(Number(c ?? 0)), next: Number(c ?? 0) + 100 < total ? Number(c ?? 0) + 100 : null },
      }),
      50,
    ],
    [
      'page, closed',
      { kind: 'page', param: 'p', first: 0, size, total: 'total', order: 'descending' },
      ({ p }) => ({ data: { rows: slice(Number(p) * 100), total } }),
      51,
    ],
    [
      'page, open',
      { kind: 'page', param: 'p', first: 0, size, total: 'total', order: 'ascending' },
      ({ p }) => ({ data: { rows: slice(Number(p) * 100), total } }),
      52,
    ],
    [
      'page, no total',
      { kind: 'page', param: 'p', first: 0, size, order: 'fixed' },
      ({ p }) => ({ data: { rows: slice(Number(p) * 100) } }),
      101,
    ],
    [
      'offset',
      { kind: 'offset', param: 'o', first: 0, size, total: 'total', order: 'fixed' },
      ({ o }) => ({ data: { rows: slice(Number(o)), total } }),
      51,
    ],
    [
      'version',
      { kind: 'version', param: 'v', path: 'id', size },
      ({ v }) => ({ data: { rows: slice(Number(v)) } }),
      // The largest version alone once more, or nothing.
      52,
    ],
  ];
  it.each(cases)('%s', async (name, paging, script, requests) => {
    const { client, rows, end } = await readAll(paging, script);
    expect(client.asked).toHaveLength(requests);
    // Where nothing tells which page is the last one, it is looked for before.
    expect(requests / 50).toBeLessThanOrEqual(name === 'page, no total' ? 2.1 : 1.1);
    expect(new Set(idsOf(rows)).size).toBe(total);
    expect(end.doubt).toBeNull();
  });
});
