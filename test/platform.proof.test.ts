import { afterEach, expect, test } from 'vitest';
import { addConnectors, connectors } from '../connectors/index.ts';
import type { Connector, Stream } from '../connectors/shape.ts';
import { kuaishou } from '../sandbox/kuaishou.ts';
import type { Api } from '../sandbox/platform/fixture.ts';
import type { List } from '../sandbox/platform/list.ts';
import { youzan } from '../sandbox/youzan.ts';
import { plain } from './harness/plain-platform.ts';
import { openShop, resultOf, type Shop } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const lately = () => Date.now() - 90_000;
/** A platform whose rows may enter anywhere; each test gives it its list. */
const slipping: Omit<Connector, 'streams'> = {
  platform: 'slipping',
  title: 'Plain platform whose rows slip past',
  baseUrl: 'https://slipping.example',
  settings: {},
  auth: { kind: 'none' },
  gateway: { path: '/{api}', method: 'GET', system: { in: 'query', params: {} }, business: { in: 'query' } },
  envelope: { shapes: [{ ok: { absent: 'refused' }, data: '' }], rules: [] },
  limits: {},
  unconfirmed: [],
};
afterEach(() => void delete connectors.slipping);
const quick = { rows: 2_000, limits: 'none' } as const;

async function readOf({ name }: Shop): Promise<number> {
  const { rows } = await world.pool.query(
    `SELECT coalesce(sum(s.rows), 0)::int AS n FROM syncline.slices s JOIN syncline.passes p ON p.id = s.pass_id
     WHERE p.connection_id = $1 AND p.ended_at IS NULL`,
    [name],
  );
  return rows[0].n;
}

/** Sets of ids that are still held. */
async function setsLeft(): Promise<number> {
  const { rows } = await world.pool.query('SELECT count(*)::int AS n FROM syncline_pass.seen');
  const own = await world.pool.query(`SELECT count(*)::int AS n FROM pg_tables WHERE tablename ~ '^p[0-9]+$'`);
  return rows[0].n + own.rows[0].n;
}

test('changes of several pages, in a list whose rows may move anywhere, are proven by one reading', async () => {
  const shop = await openShop(world, youzan, quick);
  const streams = ['trades'];
  await shop.sync({ streams });
  const { trades } = shop.source.lists;
  for (const id of trades?.ids().slice(0, 1_500) ?? []) trades?.update(id, {}, lately());
  const before = shop.source.requests.total;
  const result = resultOf(await shop.sync({ streams }), 'trades');
  expect(result).toMatchObject({ outcome: 'whole', kind: 'incremental', written: 1_500, doubt: null });
  // 15 pages, a few that the overlap adds, one look at the total a window, and a token.
  expect(shop.source.requests.total - before).toBeLessThanOrEqual(24);
  await shop.expectSame('trades');
  expect(await setsLeft()).toBe(0);
});

test('so are changes whose reading was broken off and gone on with', async () => {
  const shop = await openShop(world, youzan, quick);
  const streams = ['trades'];
  await shop.sync({ streams });
  const { trades } = shop.source.lists;
  for (const id of trades?.ids().slice(0, 1_500) ?? []) trades?.update(id, {}, lately());
  shop.source.setFaults([{ type: 'slow', ms: 150 }]);
  const run = await shop.start({ streams });
  await until('pages that are committed', async () => (await readOf(shop)) >= 200);
  await run.terminate();
  shop.source.setFaults([]);
  const read = await readOf(shop);
  const result = resultOf(await shop.sync({ streams }), 'trades');
  expect(result).toMatchObject({ outcome: 'whole', kind: 'incremental', written: 1_500, doubt: null });
  expect(read).toBeLessThan(1_500);
  expect(result.rows, 'no page was read twice but those in hand').toBeLessThanOrEqual(1_500 + 500);
  await shop.expectSame('trades');
  expect(await setsLeft()).toBe(0);
});

test('a window whose rows left while it was read is proven by another reading, of several calls as well', async () => {
  const shop = await openShop(world, youzan, quick);
  const streams = ['trades'];
  await shop.sync({ streams });
  const { trades } = shop.source.lists;
  const changed = trades?.ids().slice(0, 1_500) ?? [];
  for (const id of changed) trades?.update(id, {}, lately());
  const api = 'youzan.trades.sold.get/4.0.4';
  shop.source.setFaults([{ type: 'hang', api, after: 5 }]);
  const asked = shop.source.requests.total;
  const run = await shop.start({ streams });
  await until('a page that hangs', async () => shop.source.requests.total === asked + 6);
  await run.terminate();
  await until('the pages before it', async () => (await readOf(shop)) >= 400);
  const { rows } = await world.pool.query(
    `SELECT id FROM youzan.trades WHERE connection_id = $1
       AND generation = (SELECT id FROM syncline.passes WHERE connection_id = $1 AND ended_at IS NULL)`,
    [shop.name],
  );
  const read = new Set(rows.map(({ id }) => id));
  const unread = changed.filter((id) => !read.has(id));
  for (const id of unread.slice(0, 5)) trades?.update(id, {});
  // Each reading takes 15 pages: none ends in the call that began it.
  shop.source.setFaults(
    Array.from({ length: 8 }, (_, i) => ({ type: 'refuse', kind: 'rate', api, after: 5 + i * 6, times: 1 }) as const),
  );
  const result = resultOf(await shop.sync({ streams }), 'trades');
  expect(result).toMatchObject({ outcome: 'whole', kind: 'incremental', doubt: null });
  expect(result.rows, 'read a second time').toBeGreaterThan(2_000);
  expect(result.rows, 'and no third time').toBeLessThan(3_500);
  expect(await setsLeft()).toBe(0);
});

test('a list that is read again by hand is proven like any other', async () => {
  const shop = await openShop(world, kuaishou, { rows: 4_000, limits: 'none' });
  await shop.sync({ streams: ['comments'] });
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const range = { from: day(Date.now() - 86_400_000), to: day(Date.now()) };
  expect(await shop.replay({ stream: 'comments', ...range })).toMatchObject({
    outcome: 'whole',
    kind: 'replay',
    written: 0,
    doubt: null,
  });
  expect(await setsLeft()).toBe(0);
});

type Slip = (things: List, seen: readonly string[]) => void;
/** Read last page first: what was on the last page leaves, and what enters in front pushes a row of the first page behind. */
const behind: Slip = (things, seen) => {
  things.remove(seen.at(-1) as string);
  things.create();
};
/** Read first page first: a row of the last page goes to the front, and another one takes its place. */
const infront: Slip = (things, seen) => {
  things.remove(seen[1] as string);
  things.update(things.ids().find((id) => !seen.includes(id)) as string);
  things.create({}, 1);
};

test.each([
  ['page numbers', 'page', { kind: 'page', param: 'page', first: 1 }, 2, behind],
  ['row offsets', 'offset', { kind: 'offset', param: 'offset', first: 0 }, 0, infront],
] as const)(
  'a row that slips past %s where one left and one entered is not taken for gone',
  async (_, name, paging, at, slip) => {
    const list: Stream = {
      title: 'Things',
      call: { api: name, params: {} },
      rows: 'rows',
      key: 'id',
      paging: { ...paging, size: { param: 'size', rows: 20 }, total: 'total', order: 'unknown' },
      deletes: { kind: 'sweep' },
      columns: {},
    };
    addConnectors({ slipping: { ...slipping, streams: { things: list } } }, 'test/platform.proof.test.ts');
    let slips = false;
    const api: Api = {
      ...(plain.apis[name] as Api),
      order: 'descending',
      clock: 'updated',
      answer: (page, params, { things }) => {
        if (slips && Number(params[paging.param]) === at) {
          slips = false;
          slip(
            things as List,
            (page.rows as { id: string }[]).map(({ id }) => id),
          );
        }
        return page;
      },
    };
    const fixture = { ...plain, platform: 'slipping', apis: { ...plain.apis, [name]: api } };
    const shop = await openShop(world, { ...fixture, streams: { things: { api: name } } }, { rows: 40 });
    const read = async () => resultOf(await shop.sync(), 'things');
    expect(await read()).toMatchObject({ outcome: 'whole', written: 40 });
    slips = true;
    expect(await read()).toMatchObject({ outcome: 'whole', doubt: null, slices: 2, deleted: 0 });
    expect(await shop.difference('things'), 'but who left').toMatchObject({ missing: [], extra: [expect.any(String)] });
    expect(await read()).toMatchObject({ outcome: 'whole', deleted: 1 });
    await shop.expectSame('things');
  },
);
