import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { addConnectors, connectors } from '../connectors/index.ts';
import type { Connector, Stream } from '../connectors/shape.ts';
import type { Api, Fixture } from '../sandbox/platform/fixture.ts';
import { Refusal } from '../sandbox/platform/refusal.ts';
import { plain } from './harness/plain-platform.ts';
import { openShop, resultOf } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

/** Children of a thing, one a page: each request that brings a cursor may be refused. */
const list = (own: Partial<Stream>): Stream => ({
  title: 'Things',
  call: { api: 'below', params: {} },
  rows: 'rows',
  key: 'id',
  paging: { kind: 'cursor', param: 'cursor', size: { param: 'size', rows: 1 }, next: 'next', sentinel: 'end' },
  deletes: { kind: 'sweep' },
  columns: {},
  ...own,
});
const breaking: Connector = {
  platform: 'breaking',
  title: 'Plain platform whose cursors break',
  baseUrl: 'https://breaking.example',
  settings: {},
  auth: { kind: 'none' },
  gateway: { path: '/{api}', method: 'GET', system: { in: 'query', params: {} }, business: { in: 'query' } },
  envelope: {
    shapes: [{ ok: { absent: 'refused' }, code: ['refused'], data: '' }],
    rules: [{ code: ['cursor'], verdict: 'bad-request' }],
  },
  limits: {},
  streams: {
    things: list({ call: { api: 'whole', params: {} }, paging: { kind: 'whole' } }),
    levels: list({ over: { kind: 'tree', root: '0', param: 'parent' } }),
    parts: list({
      over: {
        kind: 'each',
        stream: 'things',
        param: 'parent',
        batch: 1,
        also: ['0'],
        when: 'all',
        brings: 'several',
      },
    }),
  },
  unconfirmed: [],
};
addConnectors({ breaking }, 'test/platform.anew.test.ts');
afterAll(() => void delete connectors.breaking);

/** Which request with a cursor, counted from 1, for the children of which thing is refused. */
let breaks: (nth: number, parent: string) => boolean;
beforeEach(() => {
  breaks = () => false;
});

function openBreaking() {
  let followed = 0;
  const below: Api = {
    ...(plain.apis.cursor as Api),
    group: ({ parent }) => ({ by: 'children', key: parent === '0' ? '' : String(parent) }),
    check: ({ cursor, parent }) => {
      if (!cursor) return;
      followed += 1;
      if (breaks(followed, String(parent))) throw new Refusal('cursor', 'moved');
    },
  };
  const fixture: Fixture = { ...plain, platform: 'breaking', apis: { ...plain.apis, below } };
  return openShop(world, fixture, { rows: 45 });
}

describe.each(['levels', 'parts'])('a list of one id that breaks off (%s)', (stream) => {
  test('is read anew, and what the others brought stands', async () => {
    const shop = await openBreaking();
    const read = async () => resultOf(await shop.sync({ mode: 'full', streams: ['things', stream] }), stream);
    await read();
    expect((await shop.copy(stream)).size).toBe(45);
    breaks = (nth) => nth % 8 === 0;
    const before = shop.source.requests.byApi.below?.total ?? 0;
    const broken = await read();
    expect(broken).toMatchObject({ outcome: 'whole', doubt: null, slices: 1, deleted: 0, withheld: 0 });
    expect(broken.requests, 'with those that brought nothing').toBe(
      (shop.source.requests.byApi.below?.total ?? 0) - before,
    );
    expect((await shop.copy(stream)).size).toBe(45);
  });

  test('again and again leaves the pass in doubt: nobody is taken for gone, and the rest is read', async () => {
    const shop = await openBreaking();
    const read = async () => resultOf(await shop.sync({ mode: 'full', streams: ['things', stream] }), stream);
    await read();
    const { things } = shop.source.lists;
    const leaf = things?.ids().at(-1) as string;
    things?.remove(leaf);
    breaks = (_, parent) => parent === 't3';
    expect(await read()).toMatchObject({
      outcome: 'doubtful',
      doubt: `a list broke off at each of 3 readings: ${stream}: the cursor is no longer valid (cursor)`,
      deleted: 0,
    });
    expect((await shop.copy(stream)).size).toBe(45);
    breaks = () => false;
    expect(await read()).toMatchObject({ outcome: 'whole', deleted: 1 });
    expect((await shop.copy(stream)).size).toBe(44);
  });
});
