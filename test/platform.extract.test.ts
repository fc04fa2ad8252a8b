import { describe, expect, test } from 'vitest';
import { columnValues, extract } from '../activities/platform/extract.ts';
import { overOf } from '../activities/platform/key.ts';
import { cutWindows, readRange, spanOf, splitWindow, windowParams } from '../activities/platform/windows.ts';
import { cutAhead } from '../connectors/history.ts';
import { jushuitan } from '../connectors/jushuitan.ts';
import { jushuitan_old } from '../connectors/jushuitan_old.ts';
import type { Stream, Window } from '../connectors/shape.ts';
import { taobao } from '../connectors/taobao.ts';

const stream: Stream = {
  title: 'orders',
  call: { api: 'orders', params: {} },
  rows: 'list',
  key: 'id',
  time: { path: 'updated', format: 'local' },
  paging: { kind: 'whole' },
  deletes: { kind: 'status', path: 'status', is: [80, 'closed'] },
  columns: {
    amount: { path: 'money.amount', type: 'numeric' },
    count: { path: 'count', type: 'bigint' },
    paid: { path: 'paid', type: 'boolean' },
    title: { path: 'title', type: 'text' },
    created: { path: 'created', type: 'timestamptz', format: 'ms' },
    tags: { path: 'tags', type: 'jsonb' },
  },
};
const origin = { readMs: Date.UTC(2026, 10, 2), position: 'page 1 row 1' };
const good = {
  id: 7,
  updated: '2026-11-01 08:00:00',
  status: 1,
  money: { amount: '12.50' },
  count: '9007199254740993',
  paid: 'true',
  title: 'Ünïcode 好',
  created: 1_700_000_000_000,
  tags: [1, 'two'],
};
const made = (change: Record<string, unknown>, of = stream) => extract(of, { ...good, ...change }, origin);
const fault = (change: Record<string, unknown>, of = stream) => {
  const one = made(change, of);
  return 'fault' in one ? one.fault : null;
};

describe('extract', () => {
  test('a good record: key as text, time in Beijing, typed columns', () => {
    expect(made({})).toEqual({
      row: {
        id: '7',
        data: JSON.stringify(good),
        timeMs: Date.UTC(2026, 10, 1),
        readMs: origin.readMs,
        gone: false,
        columns: ['12.50', '9007199254740993', true, 'Ünïcode 好', '2023-11-14T22:13:20.000Z', [1, 'two']],
      },
    });
  });

  test.each([
    ['text in a number', { count: 'many' }, 'wrong_type', 'count'],
    ['an object in a number', { money: { amount: { value: 1 } } }, 'wrong_type', 'amount'],
    ['a number beyond bigint', { count: '9223372036854775808' }, 'wrong_type', 'count'],
    ['a word in a boolean', { paid: 'maybe' }, 'wrong_type', 'paid'],
    ['a time that is none', { updated: 'yesterday' }, 'wrong_type', 'updated'],
    ['a time before the year 1', { updated: '0001-01-01 07:59:59' }, 'wrong_type', 'updated'],
    ['microseconds where milliseconds belong', { created: 1_700_000_000_000_000 }, 'wrong_type', 'created'],
    ['NUL in text', { title: 'a\u0000b' }, 'control_character', 'data'],
    ['half a surrogate pair in a key', { ['\ud800']: 1 }, 'control_character', 'data'],
    ['no id', { id: '' }, 'missing_field', 'id'],
    ['an id of 600 characters', { id: 'x'.repeat(600) }, 'too_long', 'id'],
  ])('%s sets the record aside', (_, change, reason, field) => {
    expect(fault(change)).toMatchObject({ reason, field });
  });

  test('a clock a day ahead is not believed: the row would resist every correction', () => {
    const ahead = made({ updated: '2999-01-01 00:00:00' });
    expect('row' in ahead && ahead.row.timeMs).toBeNull();
  });

  test('a text that only looks like an escape is kept', () => {
    expect(fault({ title: String.raw`C:\u0000 is no NUL, nor is \ud800` })).toBeNull();
  });

  test('a record without an id is nobody; one with an id is kept under it', () => {
    expect(fault({ id: null })).toMatchObject({ keyed: false, id: 'page 1 row 1' });
    expect(fault({ count: 'x' })).toMatchObject({ keyed: true, id: '7' });
  });

  test('what is empty has no value; text keeps its emptiness', () => {
    const one = made({ count: '', paid: null, title: '', created: undefined, updated: '' });
    expect(
      'row' in one && [one.row.columns[1], one.row.columns[2], one.row.columns[3], one.row.columns[4], one.row.timeMs],
    ).toEqual([null, null, '', null, null]);
  });

  test('a status says that it is gone, as number or text', () => {
    expect(
      [made({ status: 80 }), made({ status: '80' }), made({ status: 'closed' }), made({ status: 8 })].map(
        (m) => 'row' in m && m.row.gone,
      ),
    ).toEqual([true, true, true, false]);
  });

  test('keys of several parts, the id of the call, and a bare value', () => {
    const several = extract({ ...stream, key: ['$over', 'id'] }, good, { ...origin, over: 'shop1' });
    expect('row' in several && several.row.id).toBe('shop1/7');
    const bare = extract(
      { ...stream, key: '', columns: {}, deletes: { kind: 'none', why: '' }, time: undefined },
      42,
      origin,
    );
    expect('row' in bare && bare.row.id).toBe('42');
  });

  test('parts that hold the separator or its escape make no key of other parts', () => {
    const pairs = [
      ['x/y', 'z'],
      ['x', 'y/z'],
      ['x\\', 'y'],
      ['x', '\\/y'],
      ['x\\/y', 'z'],
      ['x', 'y'],
    ] as const;
    const twofold: Stream = { ...stream, key: ['$over', 'title'] };
    const keys = pairs.map(([over, title]) => {
      const { row } = extract(twofold, { ...good, title }, { ...origin, over }) as { row: { id: string } };
      return row.id;
    });
    expect(new Set(keys).size, keys.join('  ')).toBe(pairs.length);
    expect(keys[0]).toBe('x\\/y/z');
    expect(keys.at(-1), 'as it was').toBe('x/y');
    expect(keys.map((key) => overOf(twofold, key))).toEqual(pairs.map(([over]) => over));
    const whole = extract({ ...stream, key: 'title' }, { ...good, title: 'a/b\\c' }, origin);
    expect('row' in whole && whole.row.id, 'a key of one part').toBe('a/b\\c');
  });

  test('JSON inside a text is opened, and kept as text where it is none', () => {
    const of = { ...stream, jsonText: ['body'] };
    const opened = made({ body: '{"a":1}' }, of);
    expect('row' in opened && JSON.parse(opened.row.data).body).toEqual({ a: 1 });
    const kept = made({ body: '{cut' }, of);
    expect('row' in kept && JSON.parse(kept.row.data).body).toBe('{cut');
  });

  test('values of a new column come from the record; one that does not fit stays empty', () => {
    expect(columnValues(stream, ['amount', 'count'], { ...good, count: 'x' })).toEqual(['12.50', null]);
    expect(columnValues(stream, ['created', 'amount'], { ...good, created: 1.7e15 })).toEqual([null, '12.50']);
  });
});

const day = 86_400_000;
const window: Window = {
  from: 'begin',
  to: 'end',
  format: 's',
  capMs: day,
  overlapMs: 60_000,
  lagMs: 30_000,
  floorMs: 90 * day,
};
const now = Date.UTC(2026, 10, 21, 12);
const unknown = { watermarkMs: null, coveredFromMs: null, scopeChanged: false };

describe('windows', () => {
  test('a first run is full and reaches back as far as the platform serves', () => {
    expect(spanOf(window, null, unknown, null, now)).toEqual({
      kind: 'full',
      fromMs: now - 90 * day + 1_000,
      toMs: now - 30_000,
    });
    expect(spanOf(window, 'incremental', unknown, now - day, now)).toMatchObject({ kind: 'full', fromMs: now - day });
  });

  test('without a floor it reaches back 90 days, to the option since, or to the beginning of goods', () => {
    const { floorMs: _floor, ...open } = window;
    const fromOf = (of: Window, since: number | null) => spanOf(of, null, unknown, since, now).fromMs;
    expect(fromOf(open, null)).toBe(now - 90 * day);
    expect(fromOf(open, now - 900 * day)).toBe(now - 900 * day);
    const goods = { ...open, beginning: '2014-01-01' };
    expect(fromOf(goods, null)).toBe(Date.UTC(2014, 0, 1));
    expect(fromOf(goods, now - 900 * day)).toBe(now - 900 * day);
    const known = { ...unknown, watermarkMs: now - 3_600_000, coveredFromMs: now - 90 * day };
    expect(spanOf(goods, 'incremental', known, null, now), 'it was read when nobody knew').toMatchObject({
      kind: 'full',
      fromMs: Date.UTC(2014, 0, 1),
    });
    const whole = { ...known, coveredFromMs: Date.UTC(2014, 0, 1) };
    expect(spanOf(goods, null, whole, null, now).kind).toBe('incremental');
  });

  test.each([
    [jushuitan, ['skus', 'items']],
    [jushuitan_old, ['skus', 'inventory']],
    [taobao, ['push_items']],
  ])('of goods and their stock nothing is left out: $platform', ({ streams }, goods) => {
    const cut = Object.keys(streams).filter((name) => cutAhead(streams, name, {}) !== null);
    expect(goods.filter((name) => cut.includes(name) || !streams[name]?.window)).toEqual([]);
    expect(cut, 'what happened once is read for 90 days').not.toEqual([]);
  });

  test('later runs read from the watermark less the overlap', () => {
    const known = { ...unknown, watermarkMs: now - 3_600_000 };
    expect(spanOf(window, null, known, null, now)).toEqual({
      kind: 'incremental',
      fromMs: now - 3_660_000,
      toMs: now - 30_000,
    });
    expect(spanOf(window, 'full', known, null, now).kind).toBe('full');
    expect(spanOf(window, null, { ...known, scopeChanged: true }, null, now).kind).toBe('full');
  });

  test('a watermark older than the history of the platform is a full run again', () => {
    expect(spanOf(window, null, { ...unknown, watermarkMs: now - 100 * day }, null, now).kind).toBe('full');
  });

  test('a range that a person typed has whole steps of the window: rows of its last second are read', () => {
    expect(readRange('2026-11-01T00:00:01.700Z', '2026-11-01T00:00:04.500Z', 1_000)).toEqual({
      fromMs: Date.parse('2026-11-01T00:00:01Z'),
      toMs: Date.parse('2026-11-01T00:00:05Z'),
    });
  });

  test('windows keep to the cap and touch each other', () => {
    const parts = cutWindows(window, now - 2.5 * day, now);
    expect(parts.map((p) => (p.toMs ?? 0) - (p.fromMs ?? 0))).toEqual([day, day, day / 2]);
    expect(parts.map((p) => p.fromMs).slice(1)).toEqual(parts.map((p) => p.toMs).slice(0, -1));
    expect(parts.at(-1)?.toMs).toBe(now);
  });

  test('splitting covers the window without gap, at most in the parts allowed, never below the least', () => {
    const range = { fromMs: now - day, toMs: now };
    for (const wanted of [2, 7, 10, Number.POSITIVE_INFINITY]) {
      const parts = splitWindow(window, range, wanted, {}) ?? [];
      expect(parts.length).toBeLessThanOrEqual(Math.min(wanted, 10));
      expect([parts[0]?.fromMs, parts.at(-1)?.toMs]).toEqual([range.fromMs, range.toMs]);
      for (const [i, part] of parts.entries()) if (i > 0) expect(part.fromMs).toBe(parts[i - 1]?.toMs);
    }
    expect(splitWindow(window, { fromMs: now, toMs: now + 1_500 }, 10, {})).toBeNull();
    expect(splitWindow(window, range, 10, { splitLeastSeconds: 43_200 })).toHaveLength(2);
    expect(splitWindow(window, range, 50, { splitParts: 50 })).toHaveLength(50);
  });

  test('a closed window ends one step before the next begins', () => {
    const range = { fromMs: now - day, toMs: now };
    expect(windowParams({ ...stream, window }, range)).toEqual({ begin: (now - day) / 1_000, end: now / 1_000 });
    expect(windowParams({ ...stream, window: { ...window, end: 'closed' } }, range)).toEqual({
      begin: (now - day) / 1_000,
      end: now / 1_000 - 1,
    });
  });
});
