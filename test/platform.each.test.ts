import { afterAll, describe, expect, test } from 'vitest';
import { addConnectors, connectors } from '../connectors/index.ts';
import type { Connector, Over, Stream } from '../connectors/shape.ts';
import type { Fixture } from '../sandbox/platform.ts';
import { taobao } from '../sandbox/taobao.ts';
import { plain } from './harness/plain-platform.ts';
import { openShop, reasonOf, resultOf } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const detail = 'taobao.trade.fullinfo.get';

describe('an id that is refused', () => {
  test('stands aside by itself, and its request counts', async () => {
    const shop = await openShop(world, taobao, { rows: 30 });
    shop.source.setFaults([{ type: 'refuse', kind: 'invalid', api: detail, after: 10, times: 1 }]);
    const result = await shop.sync({ streams: ['trades', 'trade_details'] });
    const asked = shop.source.requests.byApi[detail]?.total;
    expect(resultOf(result, 'trade_details')).toMatchObject({ rejected: 1, written: asked! - 1, requests: asked });
  });

  test('is none of a signature that is refused: the stream says so, and the next run asks for every id', async () => {
    const shop = await openShop(world, taobao, { rows: 90 });
    shop.source.setFaults([{ type: 'refuse', kind: 'signature', api: detail, after: 20 }]);
    const result = await shop.sync({ streams: ['trades', 'trade_details'] });
    expect(result.outcome).toBe('partial');
    expect(reasonOf(result, 'trade_details')).toMatchObject({
      outcome: 'parked',
      reason: expect.stringContaining('check appSecret and signMethod'),
    });
    const { rows } = await world.pool.query('SELECT 1 FROM syncline.rejects WHERE connection_id = $1', [shop.name]);
    expect(rows).toEqual([]);
    shop.source.setFaults([]);
    await shop.sync({ streams: ['trades', 'trade_details'] });
    await shop.expectSame('trade_details');
  });
});

const over: Extract<Over, { kind: 'each' }> = { kind: 'each', stream: 'things', param: '', batch: 1, when: 'changed' };
const list = (own: Partial<Stream>): Stream => ({
  title: 'Things',
  rows: 'rows',
  key: 'id',
  paging: { kind: 'whole' },
  deletes: { kind: 'none', why: 'not looked for' },
  columns: {},
  ...own,
});

/** Details of the plain platform's records, one a call and three a call, of which the platform leaves some out. */
const leaving: Connector = {
  platform: 'leaving',
  title: 'Plain platform that leaves records out',
  baseUrl: 'https://leaving.example',
  settings: {},
  auth: { kind: 'none' },
  gateway: { path: '/{api}', method: 'GET', system: { in: 'query', params: {} }, business: { in: 'query' } },
  envelope: { shapes: [{ ok: { absent: 'refused' }, data: '' }], rules: [] },
  limits: {},
  streams: {
    things: list({ call: { api: 'whole', params: {} } }),
    threes: list({ call: { api: 'ids', params: {} }, over: { ...over, param: 'ids', batch: 3, brings: 'one' } }),
    singles: list({ call: { api: 'one', params: {} }, key: '$over', rows: 'rows.0', over: { ...over, param: 'id' } }),
    belongings: list({
      call: { api: 'ids', params: {} },
      over: { ...over, param: 'ids', batch: 3, brings: 'several' },
    }),
  },
  unconfirmed: [],
};
addConnectors({ leaving }, 'test/platform.each.test.ts');
afterAll(() => void delete connectors.leaving);

const left = ['t1', 't11', 't21', 't31'];
const isLeft = (row: object) => 'id' in row && left.includes(String(row.id));

/** A shop of 40 things; `leave` makes the records that come of those that were asked for by id, `asked` notes their ids. */
async function openLeaving(leave: (rows: readonly object[]) => readonly object[]) {
  const asked: string[] = [];
  const apis = { ...plain.apis };
  for (const name of ['one', 'ids']) {
    const api = apis[name] as Fixture['apis'][string];
    apis[name] = {
      ...api,
      answer: (page) => {
        asked.push(...page.rows.map((row) => String((row as { id: string }).id)));
        return { ...page, rows: leave(page.rows as object[]) };
      },
    };
  }
  return { shop: await openShop(world, { ...plain, platform: 'leaving', apis }, { rows: 40 }), asked };
}

describe('an id whose record did not come', () => {
  test.each([
    ['of a batch', 'threes', (rows: readonly object[]) => rows.filter((row) => !isLeft(row))],
    ['asked for alone', 'singles', (rows: readonly object[]) => rows.filter((row) => !isLeft(row))],
    ['which is an empty object', 'singles', (rows: readonly object[]) => rows.map((row) => (isLeft(row) ? {} : row))],
  ])('%s stands aside, once a run, until it comes', async (_, stream, leave) => {
    let leaves = true;
    const { shop, asked } = await openLeaving((rows) => (leaves ? leave(rows) : rows));
    const counts = async () => resultOf(await shop.sync({ streams: ['things', stream] }), stream);
    expect(await counts()).toMatchObject({ outcome: 'whole', written: 36, rejected: 4 });
    expect(asked.length).toBe(40);
    asked.length = 0;
    expect(await counts()).toMatchObject({ outcome: 'whole', written: 0, rejected: 4 });
    expect(asked.sort(), 'those that are due').toEqual(left);
    leaves = false;
    expect(await counts()).toMatchObject({ outcome: 'whole', written: 4, rejected: 0 });
    const { rows } = await world.pool.query(
      'SELECT DISTINCT reason, resolved_at IS NULL AS open FROM syncline.rejects WHERE connection_id = $1',
      [shop.name],
    );
    expect(rows).toEqual([{ reason: 'left_out', open: false }]);
    asked.length = 0;
    await counts();
    expect(asked).toEqual([]);
    expect((await shop.copy(stream)).size).toBe(40);
  });

  test('leaves what came before as it was', async () => {
    let leaves = false;
    const { shop } = await openLeaving((rows) => (leaves ? rows.map(() => ({})) : rows));
    await shop.sync({ streams: ['things', 'singles'] });
    const before = await shop.copy('singles');
    leaves = true;
    const result = resultOf(await shop.sync({ streams: ['singles'], mode: 'full' }), 'singles');
    expect(result).toMatchObject({ written: 0, rejected: 40, deleted: 0 });
    expect(await shop.copy('singles')).toEqual(before);
  });

  test('is an answer where an id may have none', async () => {
    const { shop, asked } = await openLeaving((rows) => rows.filter((row) => !isLeft(row)));
    const result = await shop.sync({ streams: ['things', 'belongings'] });
    expect(resultOf(result, 'belongings')).toMatchObject({ outcome: 'whole', written: 36, rejected: 0 });
    asked.length = 0;
    await shop.sync({ streams: ['things', 'belongings'] });
    expect(asked).toEqual([]);
  });
});
