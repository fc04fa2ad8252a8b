import { describe, expect, test } from 'vitest';
import { lanesWorth } from '../activities/stripe/segments.ts';
import type { LandRow } from '../db/land.ts';
import { addRows, closeLanding, emptyLanding, type Landing, releaseLanding } from '../db/landing.ts';

const row = (id: string, text = 'x'): LandRow => ({
  id,
  data: JSON.stringify({ id, text }),
  timeMs: 1,
  readMs: 2,
  gone: false,
  columns: [],
});

/** What Postgres is given, as it reads it. */
function contentOf(landing: Landing): { i: string; d: { text: string } }[] {
  const parameters = closeLanding(landing);
  const [ids, data] = [parameters[0] as string[], parameters.at(-1) as Buffer];
  const count = data.readInt32BE(12);
  expect([data.readInt32BE(0), data.readInt32BE(8), count]).toEqual([1, 3802, ids.length]);
  let at = 20;
  const rows = ids.map((i) => {
    const length = data.readInt32BE(at);
    expect(data[at + 4]).toBe(1);
    const text = data.subarray(at + 5, at + 4 + length).toString();
    at += 4 + length;
    return { i, d: JSON.parse(text) };
  });
  expect(at).toBe(data.length);
  return rows;
}

describe('rows on their way to the table', () => {
  test('stand in one parameter, page behind page, whatever their letters take', () => {
    const landing = emptyLanding();
    addRows(landing, [row('a', '订单🛒'), row('b', 'é"\\\n')]);
    addRows(landing, []);
    addRows(landing, [row('c')]);
    expect(landing.ids).toEqual(['a', 'b', 'c']);
    expect(contentOf(landing).map(({ i, d }) => [i, d.text])).toEqual([
      ['a', '订单🛒'],
      ['b', 'é"\\\n'],
      ['c', 'x'],
    ]);
  });

  test('grow beyond their first buffer, and beyond what is kept', () => {
    for (const pages of [3, 30]) {
      const landing = emptyLanding();
      for (let page = 0; page < pages; page++)
        addRows(
          landing,
          Array.from({ length: 100 }, (_, i) => row(`${page}-${i}`, '字'.repeat(400))),
        );
      const rows = contentOf(landing);
      expect(rows).toHaveLength(100 * pages);
      expect(rows.at(-1)).toEqual(JSON.parse(JSON.stringify({ ...rows.at(-1), i: `${pages - 1}-99` })));
      expect(rows.every(({ d }) => d.text === '字'.repeat(400))).toBe(true);
      releaseLanding(landing);
    }
  });

  test('hold nothing of the batch that had their buffer before', () => {
    const first = emptyLanding();
    addRows(first, [row('first', 'y'.repeat(5_000))]);
    releaseLanding(first);
    const [second, third] = [emptyLanding(), emptyLanding()];
    addRows(second, [row('second')]);
    addRows(third, [row('third')]);
    expect([contentOf(second), contentOf(third)].flat().map(({ i }) => i)).toEqual(['second', 'third']);
  });
});

describe('lanes that a limit feeds', () => {
  test.each([
    ['25 a second and 100 ms', 25, 100, 8, 4],
    ['25 a second and a second', 25, 1_000, 8, 8],
    ['one in two seconds', 0.5, 100, 8, 2],
    ['no limit to speak of', 10_000, 100, 8, 8],
    ['no page came yet', 25, null, 8, 8],
    ['an option of one', 25, 100, 1, 1],
  ])('%s', (_, perSecond, tookMs, most, lanes) => {
    expect(lanesWorth(perSecond, tookMs, most)).toBe(lanes);
  });
});
