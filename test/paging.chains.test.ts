import { describe, expect, it } from 'vitest';
import { nextLink } from '../activities/http/paging/link.ts';
import { Refused } from '../activities/http/refused.ts';
import type { Paging } from '../connectors/shape.ts';
import { carried, idsOf, readAll, row, rowsOf, type Script } from './harness/paging/scripted.ts';

const size = { param: 'size', rows: 3 };
const byCursor: Paging = { kind: 'cursor', param: 'cursor', size, next: 'next' };
const byFlag: Paging = { ...byCursor, more: 'more' };

/** Seven rows by a cursor that is the next id. */
const seven: Script = ({ cursor }) => {
  const from = Number(cursor ?? 1);
  return { data: { rows: rowsOf(from, Math.min(from + 3, 8)), ...(from + 3 < 8 && { next: `${from + 3}` }) } };
};

describe('cursor', () => {
  it.each<[string, Paging, unknown, string]>([
    ['a flag', byFlag, { more: 0, next: 'still one' }, '"more" is false'],
    ['the word', { ...byCursor, sentinel: 'nomore' }, { next: 'nomore' }, 'the word "nomore"'],
    ['an empty cursor', byCursor, { next: '' }, 'no cursor at "next"'],
    ['0, where lists start', { ...byCursor, first: 0 }, { next: 0 }, 'no cursor at "next"'],
  ])('ends by %s', async (_, paging, last, sign) => {
    const { end, rows } = await readAll(paging, ({ cursor }) => ({
      data: cursor === 'b' ? { rows: rowsOf(4, 6), ...(last as object) } : { rows: rowsOf(1, 4), next: 'b', more: 1 },
    }));
    expect(end).toEqual({ sign, doubt: null, again: true, owed: null });
    expect(rows).toHaveLength(5);
  });

  it('goes on over empty pages, and sends the page number beside the cursor', async () => {
    const { rows, client } = await readAll({ ...byCursor, first: '', pageParam: 'currentPage' }, ({ currentPage }) => ({
      data: { rows: currentPage === 3 ? rowsOf(1, 3) : [], ...(currentPage !== 4 && { next: `c${currentPage}` }) },
    }));
    expect(rows).toHaveLength(2);
    expect(client.asked.map(({ cursor, currentPage }) => [cursor, currentPage])).toEqual([
      ['', 1],
      ['c1', 2],
      ['c2', 3],
      ['c3', 4],
    ]);
  });

  it.each<[string, Script, string]>([
    ['stands still', () => ({ data: { rows: [], next: 'same' } }), 'the cursor does not advance after page 2 (0 rows)'],
    [
      'goes in a circle',
      ({ cursor }) => {
        const at = Number(cursor ?? 0);
        return { data: { rows: [row(Math.random())], next: `${(at % 5) + 1}` } };
      },
      'the cursor does not advance after page',
    ],
    [
      'is ignored',
      ({ cursor }) => ({ data: { rows: rowsOf(1, 4), next: `${cursor ?? ''}x` } }),
      'page 2 came before: the platform ignores "cursor"',
    ],
  ])('that %s is an error', async (_, script, message) => {
    await expect(readAll(byCursor, script)).rejects.toThrow(`orders: ${message}`);
  });

  it('more without a cursor, and a flag that is none, are errors', async () => {
    const answer = (more: unknown) => readAll(byFlag, () => ({ data: { rows: rowsOf(1, 4), more } }));
    await expect(answer(true)).rejects.toThrow('"more" says that there is more, and "next" holds no cursor');
    await expect(answer('soon')).rejects.toThrow('got a string at "more" of the answer, accepted true, false, 1 or 0');
  });

  it('rows without a cursor where a word should end are doubted', async () => {
    const { end } = await readAll({ ...byCursor, sentinel: 'nomore' }, () => ({ data: { rows: rowsOf(1, 4) } }));
    expect(end.doubt).toBe('the last page had rows and neither a cursor nor "nomore"');
  });

  it('fewer keys than the total are doubted; one that is told on the first page alone counts', async () => {
    const script: Script = ({ cursor }) => ({
      data: cursor ? { rows: rowsOf(4, 6), total: 0 } : { rows: rowsOf(1, 4), total: '7', next: 'b' },
    });
    const { end, pages } = await readAll({ ...byCursor, total: 'total' }, script);
    expect(end).toMatchObject({ doubt: '5 of 7 rows came', again: true });
    expect(pages.map(({ total }) => total)).toEqual([7, 7]);
  });

  it('a total without rows is an error', async () => {
    const none = readAll({ ...byCursor, total: 'total' }, () => ({ data: { rows: [], total: 7 } }));
    await expect(none).rejects.toThrow(
      'orders: the platform names 7 rows and shows none: the credential may not see them',
    );
  });

  it('a refusal of the first call is a refusal, one of a later call a dead cursor', async () => {
    const refuse: Script = () => {
      throw new Refused('bad-request', 'E7', 'refused');
    };
    await expect(readAll(byCursor, refuse)).rejects.toBeInstanceOf(Refused);
    const later = readAll(byCursor, (params, request) => ('cursor' in params ? refuse : seven)(params, request));
    await expect(later).rejects.toMatchObject({
      type: 'ChainBroken',
      message: 'orders: the cursor is no longer valid (E7)',
    });
    const tooDeep = readAll(byCursor, (params, request) => {
      if ('cursor' in params) throw new Refused('too-deep', 'E8', 'too deep');
      return seven(params, request);
    });
    await expect(tooDeep).rejects.toMatchObject({ verdict: 'too-deep' });
  });
});

describe('scroll', () => {
  const scroll: Paging = { ...byCursor, livesMs: 10_000 };

  it('is read in one call, whoever wants to stop, and never gone on with', async () => {
    const { rows, cursor } = await readAll(scroll, seven, { at: { shouldEnd: () => true } });
    expect(idsOf(rows)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    await expect(readAll(scroll, seven, { at: { cursor: carried(cursor) } })).rejects.toMatchObject({
      type: 'ChainBroken',
    });
  });

  it('is broken when more time passed than it lives', async () => {
    let now = 1_000;
    const slow = readAll(scroll, (params, request) => {
      now += 10_001;
      return { ...seven(params, request), requestedAt: now } as never;
    });
    await expect(slow).rejects.toThrow('orders: 10001 ms passed between two requests of a scroll that lives 10000 ms');
  });
});

describe('link', () => {
  const inBody: Paging = { kind: 'link', at: { path: 'links.next' }, size };
  const inHeader: Paging = { kind: 'link', at: { header: 'link' }, size };

  it.each([
    ['<https://a/?p=2>; rel="next"', 'https://a/?p=2'],
    ['<https://a/?p=1>; rel="prev", <https://a/?p=3,4>; title="x"; rel="last next"', 'https://a/?p=3,4'],
    [['<https://a/?p=1>; rel=self', '<https://a/?p=2>;rel=next'], 'https://a/?p=2'],
    ['<https://a/?p=1>; rel="nextish"', undefined],
    [undefined, undefined],
  ])('reads %j', (header, url) => {
    expect(nextLink(header)).toBe(url);
  });

  it('follows links over empty pages until none is there', async () => {
    const links: Script = ({ url }) => {
      const page = Number(url ?? 1);
      return { data: { rows: page === 2 ? [] : [row(page)], links: page < 4 ? { next: `${page + 1}` } : {} } };
    };
    const { rows, end, client } = await readAll(inBody, links);
    expect(idsOf(rows)).toEqual([1, 3, 4]);
    expect(end).toMatchObject({ sign: 'no next link', doubt: null });
    expect(client.asked).toEqual([{ size: 3 }, { url: '2' }, { url: '3' }, { url: '4' }]);
  });

  it('a link that leads back is an error', async () => {
    const circle: Script = ({ url }) => ({
      data: { rows: [] },
      headers: { link: `<${url === 'b' ? 'a' : 'b'}>; rel="next"` },
    });
    await expect(readAll(inHeader, circle)).rejects.toThrow('orders: the next link does not advance after page 3');
    const same: Script = ({ url }) => ({ data: { rows: rowsOf(1, 3), links: { next: `${url ?? ''}x` } } });
    await expect(readAll(inBody, same)).rejects.toThrow('orders: page 2 came before: the next link leads back');
  });
});

describe('custom', () => {
  it('asks what the connector says, over a stop', async () => {
    const custom: Paging = {
      kind: 'custom',
      size,
      step: (seen) => {
        const from = (seen?.state as number | undefined) ?? 1;
        return seen && seen.rows < 3 ? null : { params: { from }, state: from + 3 };
      },
    };
    const script: Script = ({ from }) => ({ data: { rows: rowsOf(Number(from), Math.min(Number(from) + 3, 8)) } });
    const first = await readAll(custom, script, { at: { shouldEnd: () => true } });
    const rest = await readAll(custom, script, { at: { cursor: carried(first.cursor) } });
    expect(idsOf([...first.rows, ...rest.rows])).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(rest.client.asked).toEqual([
      { size: 3, from: 4 },
      { size: 3, from: 7 },
    ]);
  });

  it('may ask nothing at all, and must advance', async () => {
    const nothing = await readAll({ kind: 'custom', size, step: () => null }, seven);
    expect(nothing.end.sign).toBe('nothing to ask');
    expect(nothing.client.asked).toEqual([]);
    const stuck = readAll({ kind: 'custom', size, step: () => ({ params: { a: 1 }, state: null }) }, seven);
    await expect(stuck).rejects.toThrow('orders: the connector asks for page 1 again: its "step" does not advance');
  });
});
