import { describe, expect, it, vi } from 'vitest';
import { RetryLater, SyncError } from '../activities/errors.ts';
import { cameBefore, goOn, noTrail } from '../activities/http/paging/trail.ts';
import type { Paging, Stream } from '../connectors/shape.ts';
import { carried, idsOf, open, readAll, row, rowsOf, type Script, ScriptedClient } from './harness/paging/scripted.ts';

const size = { param: 'size', rows: 3 };
const byCursor: Paging = { kind: 'cursor', param: 'cursor', size, next: 'next' };

/** Seven rows by a cursor that is the next id. */
const seven: Script = ({ cursor }) => {
  const from = Number(cursor ?? 1);
  return { data: { rows: rowsOf(from, Math.min(from + 3, 8)), ...(from + 3 < 8 && { next: `${from + 3}` }) } };
};

describe('every family', () => {
  it('sends the next request before it hands a page out, and never two at once', async () => {
    let answered = 0;
    const client = new ScriptedClient((params, request) => {
      expect(answered, 'answers before this request').toBe(client.asked.length - 1);
      answered += 1;
      return seven(params, request);
    });
    const pages = open(byCursor, client);
    await pages.next();
    expect(client.asked).toHaveLength(2);
    await pages.next();
    expect(client.asked).toHaveLength(3);
    expect((await pages.next()).value?.ended?.sign).toBe('no cursor at "next"');
    expect(client.asked).toHaveLength(3);
    expect((await pages.next()).done).toBe(true);
  });

  it('sends window and fixed parameters with every page', async () => {
    const { client } = await readAll(byCursor, seven, { at: { params: { from: 5, to: 9 } } });
    expect(client.asked).toEqual([
      { from: 5, to: 9, size: 3 },
      { from: 5, to: 9, size: 3, cursor: '4' },
      { from: 5, to: 9, size: 3, cursor: '7' },
    ]);
    expect(client.requests.map(({ call, stream }) => [call.params, stream])).toEqual(
      Array.from({ length: 3 }, () => [{ fixed: 'yes' }, 'orders']),
    );
  });

  it('stops after the page in hand when asked, and goes on from its cursor', async () => {
    const first = await readAll(byCursor, seven, { at: { shouldEnd: () => true } });
    expect(idsOf(first.rows)).toEqual([1, 2, 3]);
    expect(first.client.asked).toHaveLength(1);
    const rest = await readAll(byCursor, seven, { at: { cursor: carried(first.cursor) } });
    expect(idsOf(rest.rows)).toEqual([4, 5, 6, 7]);
    expect(rest.cursor.tally).toMatchObject({ calls: 2, requests: 3, rows: 7, pages: 3 });
    expect(rest.pages.map(({ requests, position }) => [requests, position])).toEqual([
      [1, 'page 2'],
      [1, 'page 3'],
    ]);
  });

  const stepping: Paging = {
    kind: 'custom',
    size,
    step: (seen) => ({ params: {}, state: ((seen?.state as number | undefined) ?? 0) + 1 }),
  };
  it.each<[string, Paging, (asked: number) => object]>([
    ['cursor', byCursor, (asked) => ({ next: `c${asked}` })],
    ['link', { kind: 'link', at: { path: 'next' }, size }, (asked) => ({ next: `http://source/${asked}` })],
    ['page', { kind: 'page', param: 'page', first: 1, size, order: 'fixed', more: 'more' }, () => ({ more: true })],
    ['custom', stepping, () => ({})],
  ])('%s: pages without rows that never end are an error, over stops too', async (_, paging, rest) => {
    let asked = 0;
    const script: Script = () => {
      asked += 1;
      return { data: { rows: asked === 1 ? [row(1)] : [], ...rest(asked) } };
    };
    const first = await readAll(paging, script, { at: { shouldEnd: () => asked >= 400 } });
    await expect(readAll(paging, script, { at: { cursor: carried(first.cursor) } })).rejects.toThrow(
      'orders: 1000 answers in a row had no rows, and none was the last one',
    );
    expect(asked).toBe(1_001);
  });

  it('many empty pages, each stretch of which ends, are no error', async () => {
    const { rows, client } = await readAll(byCursor, ({ cursor }) => {
      const at = Number(cursor ?? 0);
      return { data: { rows: at % 900 === 0 ? [row(at)] : [], ...(at < 1_800 && { next: `${at + 1}` }) } };
    });
    expect(idsOf(rows)).toEqual([0, 900, 1_800]);
    expect(client.asked).toHaveLength(1_801);
  });

  it('a list that comes many times over its total ends in doubt', async () => {
    let asked = 0;
    const { rows, end } = await readAll(
      { ...byCursor, total: 'total' },
      () => {
        asked += 1;
        const items = Array.from({ length: 100 }, (_, i) => ({ id: (asked * 37 + i) % 500, n: asked }));
        return { data: { rows: items, total: 500, next: `${asked}` } };
      },
      { stream: { time: { path: 'n', format: 's' } } },
    );
    expect(rows).toHaveLength(15_100);
    expect(end).toMatchObject({
      doubt: '15100 rows came of a list that tells a total of 500, and it goes on',
      again: false,
    });
  });

  it('takes the request back that was sent ahead when its reader leaves', async () => {
    const client = new ScriptedClient((params, request) => {
      if (client.asked.length === 1) return seven(params, request);
      return new Promise((_, reject) => {
        request.signal.addEventListener('abort', () => reject(request.signal.reason));
      });
    });
    for await (const page of open(byCursor, client)) {
      expect(page.rows).toHaveLength(3);
      break;
    }
    expect(client.requests.map(({ signal }) => signal.aborted)).toEqual([true, true]);
  });

  it('a request that was sent ahead and fails does not take the page in hand along', async () => {
    const rejected = vi.fn();
    process.on('unhandledRejection', rejected);
    const client = new ScriptedClient((params, request) => {
      if (client.asked.length > 1) throw new RetryLater(5_000);
      return seven(params, request);
    });
    const pages = open(byCursor, client);
    expect((await pages.next()).value?.rows).toHaveLength(3);
    await new Promise((resolve) => setImmediate(resolve));
    await expect(pages.next()).rejects.toThrow(RetryLater);
    process.off('unhandledRejection', rejected);
    expect(rejected).not.toHaveBeenCalled();
  });

  it('ends when the signal does', async () => {
    const stop = new AbortController();
    const client = new ScriptedClient((_, { signal }) => {
      stop.abort(new Error('enough'));
      signal.throwIfAborted();
      return { data: null };
    });
    await expect(open(byCursor, client, { at: { signal: stop.signal } }).next()).rejects.toThrow('enough');
  });

  it.each<[unknown, Partial<Stream>, number]>([
    [null, {}, 0],
    [{ rows: [] }, {}, 0],
    [{ rows: row(1) }, {}, 1],
    [{ more: false }, { emptyHas: 'more' }, 0],
    [{ rows: null, more: false }, { emptyHas: 'more' }, 0],
    [undefined, { emptyHas: '' }, 0],
    [{}, { key: '$over' }, 0],
  ])('a payload %j is, with %j, %i rows', async (data, stream, count) => {
    expect((await readAll({ kind: 'whole' }, () => ({ data }), { stream })).rows).toHaveLength(count);
  });

  const withTotal: Paging = { ...byCursor, total: 'total' };
  it.each<[unknown, Paging, Partial<Stream>, string]>([
    [undefined, byCursor, {}, 'a total of 0'],
    [{}, withTotal, {}, 'a total of 0'],
    [{ message: 'maintenance' }, withTotal, {}, 'a total of 0'],
    [{ rows: null, total: 7 }, withTotal, {}, 'a total of 0'],
    [{}, byCursor, { emptyHas: 'more' }, '"more"'],
  ])('a payload %j is no empty list', async (data, paging, stream, accepted) => {
    await expect(readAll(paging, () => ({ data }), { stream })).rejects.toThrow(
      `orders: got nothing at "rows" of the answer, accepted a list, an object, or ${accepted}`,
    );
  });

  it('a total of 0 says that the list is empty', async () => {
    const { rows, end } = await readAll(withTotal, () => ({ data: { total: 0 } }));
    expect(rows).toEqual([]);
    expect(end.doubt).toBeNull();
  });

  it('a list that is none is refused', async () => {
    await expect(readAll({ kind: 'whole' }, () => ({ data: { rows: 'none' } }))).rejects.toThrow(
      'orders: got a string at "rows" of the answer, accepted a list or an object',
    );
  });

  it('a cursor of another family starts over, a keyset has no pages', async () => {
    const { cursor } = await readAll(byCursor, seven);
    await expect(readAll({ kind: 'whole' }, seven, { at: { cursor } })).rejects.toMatchObject({ type: 'ChainBroken' });
    await expect(readAll({ kind: 'keyset', size }, seven)).rejects.toThrow('reads a SQL source');
  });

  it('a circle of any length is met within three rounds, and no straight line is taken for one', () => {
    for (const length of [1, 2, 3, 7, 50]) {
      let trail = noTrail;
      let at = 0;
      // Five links lead into the circle.
      const link = (n: number) => `${n < 5 ? n : 5 + ((n - 5) % length)}`;
      while (!cameBefore(trail, link(at))) trail = goOn(trail, link(at++));
      expect(at).toBeLessThanOrEqual(3 * (length + 5));
    }
    let trail = noTrail;
    for (let at = 0; at < 5_000; at += 1) {
      expect(cameBefore(trail, `${at}`)).toBe(false);
      trail = goOn(trail, `${at}`);
    }
  });
});

it('errors of paging are bad answers', async () => {
  const error = await readAll(byCursor, () => ({ data: { rows: [], next: 'same' } })).catch(
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(SyncError);
  expect(error).toMatchObject({ type: 'BadAnswer' });
});
