import { describe, expect, it } from 'vitest';
import type { Paging, Stream } from '../connectors/shape.ts';
import { carried, idsOf, readAll, row, rowsOf, type Script } from './harness/paging/scripted.ts';

type ByPage = Extract<Paging, { kind: 'page' }>;
const ten = { param: 'size', rows: 10 };
const byPage = (order: ByPage['order'], change: Partial<ByPage> = {}): Paging => ({
  kind: 'page',
  param: 'page',
  first: 1,
  size: ten,
  total: 'total',
  order,
  ...change,
});
const window: Partial<Stream> = {
  window: { from: 'from', to: 'to', format: 's', capMs: 1e6, overlapMs: 0, lagMs: 0 },
};
const closed = { stream: window, at: { params: { from: 1, to: 2 } } };
const pagesOf = (asked: Record<string, unknown>[]) => asked.map(({ page }) => page);

/** Rows by number; `change` may move them after an answer. */
function list(ids: number[], change: (ids: number[], answered: number) => void = () => undefined): Script {
  let answered = 0;
  return ({ page }) => {
    const start = (Number(page) - 1) * 10;
    const data = { rows: ids.slice(start, start + 10).map(row), total: ids.length };
    answered += 1;
    change(ids, answered);
    return { data };
  };
}
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

describe('page numbers with a total', () => {
  it.each([
    ['descending', [1, 4, 3, 2, 1], closed],
    ['ascending', [1, 4, 3, 2, 1], closed],
    ['unknown', [1, 4, 3, 2, 1], {}],
    ['ascending', [1, 4, 3, 2, 1, 4], {}],
    ['fixed', [1, 4, 3, 2, 1, 4], {}],
  ] as const)('%s: pages %j', async (order, asked, reading) => {
    const { client, rows, end, pages } = await readAll(byPage(order), list(upTo(35)), reading);
    expect(pagesOf(client.asked)).toEqual(asked);
    expect(new Set(idsOf(rows)).size).toBe(35);
    expect(end.doubt).toBeNull();
    expect(pages.reduce((sum, { requests }) => sum + requests, 0)).toBe(asked.length);
    expect(pages[0]).toMatchObject({ requests: 2, total: 35, position: 'page 4' });
  });

  it.each([0, 1, 9, 10])('a list of %i rows is one request', async (count) => {
    const { client, rows, end } = await readAll(byPage('descending'), list(upTo(count)));
    expect(client.asked).toEqual([{ page: 1, size: 10 }]);
    expect(rows).toHaveLength(count);
    expect(end).toEqual({ sign: 'one page', doubt: null, again: true, owed: null });
  });

  it('counts from 0 where the platform does, and takes a total as text', async () => {
    const { client } = await readAll(byPage('unknown', { first: 0, size: { rows: 10 } }), ({ page }) => ({
      data: { rows: rowsOf(Number(page) * 10, Math.min(Number(page) * 10 + 10, 25)), total: '25' },
    }));
    expect(client.asked).toEqual([{ page: 0 }, { page: 2 }, { page: 1 }, { page: 0 }]);
  });

  it('a row that leaves shifts others to pages that are not read yet', async () => {
    const { rows, end } = await readAll(
      byPage('descending'),
      list(upTo(35), (ids) => void ids.splice(2, 1)),
      closed,
    );
    expect(idsOf(rows)).toEqual(expect.arrayContaining(upTo(35).filter((id) => id < 3 || id > 7)));
    expect(end.doubt).toBeNull();
  });

  it('what moves to the end of an open list is read there', async () => {
    const { rows, end, client } = await readAll(
      byPage('ascending'),
      // The first row of the list goes to its end while the last page is read.
      list(upTo(35), (ids, answered) => void (answered === 2 && ids.push(ids.shift() as number))),
    );
    expect(pagesOf(client.asked)).toEqual([1, 4, 3, 2, 1, 4]);
    expect(idsOf(rows)).toContain(1);
    expect(end).toMatchObject({ doubt: null, sign: 'nothing behind the rows that were read first' });
  });

  it('an end that never rests is doubted', async () => {
    let next = 36;
    const grow = (ids: number[], answered: number) => {
      if (answered > 4) for (let i = 0; i < 11; i += 1) ids.push(next++);
    };
    const { end } = await readAll(byPage('ascending'), list(upTo(35), grow));
    expect(end).toMatchObject({ doubt: 'the end of the list moved on 8 times while it was read', again: true });
  });

  it('pages beyond an end that moved up mean nothing, whatever they hold', async () => {
    const shrink = (ids: number[], answered: number) => void (answered === 1 && ids.splice(20, 15));
    const wraps: Script = (params, request) => {
      const answer = inner(params, request) as { data: { rows: unknown[]; total: number } };
      return Number(params.page) > 2 && answer.data.rows.length === 0
        ? { data: { ...answer.data, rows: rowsOf(1, 11) } }
        : answer;
    };
    const inner = list(upTo(35), shrink);
    const { rows, client, end } = await readAll(byPage('descending'), wraps, closed);
    expect(pagesOf(client.asked)).toEqual([1, 4, 2, 1]);
    expect(idsOf(rows).sort((a, b) => a - b)).toEqual(upTo(20));
    expect(end.doubt).toBeNull();
  });

  it('a window whose total rises, or whose rows come again without one leaving, is doubted', async () => {
    const rises = list(upTo(35), (ids, answered) => void (answered === 3 && ids.unshift(99)));
    expect((await readAll(byPage('descending'), rises, closed)).end.doubt).toBe(
      'the total of a window of the past rose to 36 while it was read',
    );
    const turns = list(upTo(35), (ids, answered) => void (answered === 3 && ids.unshift(ids.pop() as number)));
    expect((await readAll(byPage('descending'), turns, closed)).end.doubt).toMatch(
      /^1 rows came again while 0 left the list/,
    );
  });

  it('a list of unknown order is proven by its count, also over calls when somebody kept the keys', async () => {
    const script = list(upTo(35));
    let asked = 0;
    const first = await readAll(byPage('unknown'), script, { at: { shouldEnd: () => asked++ > 0 } });
    expect(first.pages[0]).toMatchObject({ rows: rowsOf(31, 36), position: 'page 4', ended: null });
    const rest = await readAll(byPage('unknown'), script, { at: { cursor: carried(first.cursor) } });
    expect(rest.end).toEqual({
      sign: 'page 1 reached',
      doubt: 'the list was read in 2 calls, and a row may have been counted by two of them',
      again: true,
      owed: 35,
    });
    expect(new Set(idsOf([...first.rows, ...rest.rows])).size).toBe(35);
    // A call that only looked at the total handed out nothing that could come again.
    const looked = await readAll(byPage('unknown'), script, { at: { shouldEnd: () => true } });
    const alone = await readAll(byPage('unknown'), script, { at: { cursor: carried(looked.cursor) } });
    expect(alone.end).toMatchObject({ doubt: null, owed: null });
  });

  it('a list without times that moved is doubted although the count agrees', async () => {
    // One that came leaves, another enters unread: as many as before.
    const swap = list(upTo(35), (ids, answered) => {
      if (answered === 2) ids.splice(34, 1);
      if (answered === 3) ids.unshift(99);
    });
    const { end, rows } = await readAll(byPage('descending'), swap);
    expect(new Set(idsOf(rows)).size).toBeGreaterThanOrEqual(35);
    expect(end.doubt).toBe('rows came, left or moved while the list was read');
  });

  it('a page size that the platform cuts is taken from its first page', async () => {
    const cut: Script = ({ page }) => {
      const start = (Number(page) - 1) * 4;
      return { data: { rows: rowsOf(start, Math.min(start + 4, 10)), total: 10 } };
    };
    const { client, rows } = await readAll(byPage('unknown'), cut);
    expect(pagesOf(client.asked)).toEqual([1, 3, 2, 1]);
    expect(rows).toHaveLength(10);
    const one = readAll(byPage('unknown', { size: { rows: 100 } }), () => ({ data: { rows: [row(1)], total: 9_000 } }));
    await expect(one).rejects.toThrow(
      'orders: 1 of 9000 rows came where 100 were asked for: "size" of the connector is wrong',
    );
  });

  it.each<[string, Script, string]>([
    ['no total', () => ({ data: { rows: rowsOf(0, 10) } }), 'the first answer tells no total at "total"'],
    ['rows that nobody may see', () => ({ data: { rows: [], total: 5 } }), 'the platform names 5 rows and shows none'],
    [
      'a page number that is ignored',
      () => ({ data: { rows: rowsOf(0, 10), total: 30 } }),
      'page 3 is the first page again: the platform ignores "page"',
    ],
    [
      'a page that repeats',
      ({ page }) => ({ data: { rows: page === 1 ? rowsOf(0, 10) : rowsOf(10, 20), total: 40 } }),
      'page 3 came before: the platform ignores "page"',
    ],
  ])('%s is an error', async (_, script, message) => {
    await expect(readAll(byPage('descending'), script)).rejects.toThrow(`orders: ${message}`);
  });

  it.each([{ page: 3 }, { rows: 39 }])('deeper than %j is too deep, before the page is asked for', async (deepest) => {
    const read = readAll(byPage('descending', { deepest }), list(upTo(31)));
    await expect(read).rejects.toMatchObject({
      verdict: 'too-deep',
      message: 'orders: page 4 is deeper than the platform serves',
    });
    expect((await readAll(byPage('descending', { deepest }), list(upTo(30)))).rows).toHaveLength(30);
  });
});

describe('page numbers without a total', () => {
  const up = (change: Partial<ByPage> = {}) => byPage('fixed', { total: undefined, ...change });
  const served =
    (count: number, beyond: unknown[] = []): Script =>
    ({ page }) => {
      const start = (Number(page) - 1) * 10;
      const rows = start < count ? rowsOf(start, Math.min(start + 10, count)) : beyond;
      return { data: { rows, more: start + 10 < count } };
    };

  it.each([
    ['an empty page behind a short one', up(), 25, [1, 2, 3, 4, 3, 2, 1]],
    ['an empty page', up(), 20, [1, 2, 3, 2, 1]],
    ['an empty page', up(), 4, [1, 2, 1]],
    ['"more" is false', up({ more: 'more' }), 20, [1, 2, 2, 1]],
    ['"more" is false at once', up({ more: 'more' }), 4, [1]],
  ] as const)('%s shows the last page, from which it is read', async (_sign, paging, count, asked) => {
    const { end, rows, client } = await readAll(paging, served(count));
    expect(end).toMatchObject({ doubt: null });
    expect(rows).toHaveLength(count);
    expect(pagesOf(client.asked)).toEqual(asked);
  });

  it('a row that is removed while it is read shifts none past the reader', async () => {
    let list = rowsOf(0, 25);
    const script: Script = ({ page }) => {
      const rows = list.slice((Number(page) - 1) * 10, Number(page) * 10);
      list = list.slice(1);
      return { data: { rows } };
    };
    const { end, rows } = await readAll(up(), script);
    expect(end.doubt).toBeNull();
    expect(idsOf(rows)).toEqual(expect.arrayContaining(idsOf(list)));
  });

  const filtered =
    (count: number, hidden: (id: number) => boolean): Script =>
    ({ page }) => {
      const start = (Number(page) - 1) * 10;
      return { data: { rows: rowsOf(start, Math.min(start + 10, count)).filter(({ id }) => !hidden(id)) } };
    };

  it('goes on behind a page that a filter made short', async () => {
    const { end, rows } = await readAll(
      up(),
      filtered(42, (id) => id > 12 && id < 16),
    );
    expect(new Set(idsOf(rows))).toEqual(new Set(idsOf([...rowsOf(0, 13), ...rowsOf(16, 42)])));
    expect(end).toMatchObject({ sign: 'page 1 reached', doubt: null });
  });

  it('a short page that is the deepest one leaves a doubt', async () => {
    const paging = up({ deepest: { page: 2 } });
    const { end, rows } = await readAll(
      paging,
      filtered(42, (id) => id === 15),
    );
    expect(rows).toHaveLength(19);
    expect(end.doubt).toBe('page 2 is short, and the platform serves none behind it');
  });

  it('the last page again ends it behind a short one', async () => {
    const clamped = served(25);
    const { end, rows, client } = await readAll(up(), ({ page }, request) =>
      clamped({ page: Math.min(Number(page), 3) }, request),
    );
    expect(rows).toHaveLength(25);
    expect(end.doubt).toBeNull();
    expect(pagesOf(client.asked)).toEqual([1, 2, 3, 4, 3, 2, 1]);
  });

  it('the first page again ends it behind a short page, and is an error behind a full one', async () => {
    const { end, rows } = await readAll(up(), served(4, rowsOf(0, 4)));
    expect(end).toMatchObject({ sign: 'page 1 reached', doubt: null });
    expect(rows).toHaveLength(4);
    await expect(readAll(up(), served(20, rowsOf(0, 10)))).rejects.toThrow(
      'page 3 came before: the platform ignores "page"',
    );
  });

  it('nothing twice while there should be more is an error; a page too deep is refused', async () => {
    const empty: Script = () => ({ data: { rows: [], more: true } });
    await expect(readAll(up({ more: 'more' }), empty)).rejects.toThrow(
      '1000 answers in a row had no rows, and none was the last one',
    );
    await expect(readAll(up({ deepest: { page: 1 } }), served(25))).rejects.toMatchObject({ verdict: 'too-deep' });
  });
});
