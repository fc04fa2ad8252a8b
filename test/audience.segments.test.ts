import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { countFilter, sampleFilter } from '../db/audience/people.ts';
import {
  memberId,
  memberRows,
  momentOf,
  orderRows,
  type SegmentsOptions,
  segmentMapping,
  segmentTables,
} from '../sandbox/segments.ts';
import type { PlatformSyncResult } from '../workflows/platform.ts';
import { mariadbMissing, startMariadb } from './harness/mariadb.ts';
import { resultOf } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const members = 2_500;

interface Foreign {
  dialect: SegmentsOptions['dialect'];
  url: string;
  query(text: string, values?: unknown[]): Promise<unknown>;
}

const sync = (connection: string, input: Record<string, unknown> = {}) =>
  world.client.workflow.execute('segmentSync', {
    args: [{ connection, ...input }],
    taskQueue: world.config.taskQueue,
    workflowId: `test-${randomBytes(8).toString('hex')}`,
  }) as Promise<PlatformSyncResult>;

const connect = (foreign: Foreign, options: Record<string, unknown> = {}) =>
  world.connect({
    platform: 'database',
    baseUrl: 'https://database.invalid',
    credential: JSON.stringify({ databaseUrl: foreign.url }),
    options: { ...segmentMapping(foreign.dialect), ...options },
  });

async function fill(foreign: Foreign): Promise<void> {
  const now = Date.now();
  const orders = [1, 2, 3].map((id) => ({ id, member: 1, atMs: now - id * 1_000 }));
  for (const { text, values } of [
    ...segmentTables(foreign.dialect),
    ...memberRows({ dialect: foreign.dialect, members }),
    orderRows(foreign.dialect, orders),
  ])
    await foreign.query(text, values);
}

const users = async (connection: string, where = 'true') =>
  (
    await world.pool.query(
      `SELECT id, data, tags, labels, source_time, deleted_at FROM audience.users WHERE connection_id = $1 AND ${where} ORDER BY id`,
      [connection],
    )
  ).rows;

function suite(name: string, open: () => Promise<Foreign>): void {
  describe(name, () => {
    let foreign: Foreign;
    let connection: string;

    it('lands users with tags, segments, memberships and orders', async () => {
      foreign = await open();
      await fill(foreign);
      connection = await connect(foreign);
      const result = await sync(connection);
      expect(result.outcome).toBe('whole');
      expect(Object.fromEntries(result.streams.map((one) => [one.stream, 'written' in one && one.written]))).toEqual({
        users: members,
        segments: 2,
        memberships: members / 5,
        orders: 3,
      });
      const [first] = await users(connection, `id = '${memberId(0)}'`);
      expect(first).toMatchObject({ tags: ['0', '10'], labels: ['vip'], deleted_at: null });
      expect(first.data).toMatchObject({ full_name: 'Member 0', mail: 'member0@example.org' });
      const { rows } = await world.pool.query(
        'SELECT user_id, ordered_at FROM audience.orders WHERE connection_id = $1',
        [connection],
      );
      expect(
        rows.every(({ user_id, ordered_at }) => user_id === memberId(1) && Math.abs(ordered_at - Date.now()) < 120_000),
      ).toBe(true);
    });

    it('counts exactly: tag 1 is no part of 11 or 21, NOT and segments included', async () => {
      const count = (filter: string) => countFilter(world.pool, connection, filter);
      const n = (fits: (n: number) => boolean) => Array.from({ length: members }, (_, i) => i).filter(fits).length;
      expect(await count('1')).toBe(n((i) => i % 3 === 1));
      expect(await count('11')).toBe(n((i) => i % 3 === 1));
      expect(await count('21')).toBe(0);
      expect(await count('NOT 1')).toBe(n((i) => i % 3 !== 1));
      expect(await count('(0 OR 2) AND vip')).toBe(n((i) => i % 3 !== 1 && i % 10 === 0));
      expect(await count('segment:gold AND NOT vip')).toBe(n((i) => i % 5 === 0 && i % 10 !== 0));
      expect(await count('segment:trial')).toBe(0);
      expect((await sampleFilter(world.pool, connection, 'vip', 2)).map(({ id }) => id)).toEqual([
        memberId(0),
        memberId(10),
      ]);
    });

    it('reads what changed by the updated-at column, ties included', async () => {
      const same = momentOf(foreign.dialect, Date.now());
      const ids = Array.from({ length: 1_500 }, (_, n) => memberId(n));
      const list = ids.join(', ');
      await foreign.query(`UPDATE crm.members SET city = 'Elsewhere', updated_at = '${same}' WHERE id IN (${list})`);
      const result = resultOf(await sync(connection, { streams: ['users'] }), 'users');
      expect(result).toMatchObject({ kind: 'incremental', written: 1_500, doubt: null });
      expect(await users(connection, `data->>'city' = 'Elsewhere'`)).toHaveLength(1_500);
      expect(resultOf(await sync(connection, { streams: ['users'] }), 'users')).toMatchObject({
        kind: 'incremental',
        written: 0,
      });
    });

    it('marks who is gone in a full pass, and asks before it takes many', async () => {
      await foreign.query(`DELETE FROM crm.members WHERE id = ${memberId(7)}`);
      expect(resultOf(await sync(connection, { mode: 'full', streams: ['users'] }), 'users')).toMatchObject({
        kind: 'full',
        deleted: 1,
      });
      expect((await users(connection, 'deleted_at IS NOT NULL')).map(({ id }) => id)).toEqual([memberId(7)]);
      await foreign.query(`DELETE FROM crm.members WHERE id < ${memberId(1_000)}`);
      const held = resultOf(await sync(connection, { mode: 'full', streams: ['users'] }), 'users');
      expect(held).toMatchObject({ deleted: 0, withheld: 999 });
      expect(held.doubt).toBe(
        '999 of 2499 rows are missing at the source, allowed without asking 499: nothing was deleted',
      );
      expect(
        resultOf(await sync(connection, { mode: 'full', streams: ['users'], deletions: 'accept' }), 'users'),
      ).toMatchObject({ deleted: 999 });
    });

    it('names what is wrong with the source', async () => {
      const wrongTable = await connect(foreign, {
        users: { ...segmentMapping(foreign.dialect).users, from: 'crm.nobody' },
        segments: undefined,
        memberships: undefined,
        orders: undefined,
      });
      await expect(sync(wrongTable)).rejects.toMatchObject({
        cause: {
          type: 'NothingRead',
          message: expect.stringContaining(`The source database of "${wrongTable}" lacks the table or a column`),
        },
      });
      const wrongColumn = await connect(foreign, {
        users: { ...segmentMapping(foreign.dialect).users, tags: 'labels' },
      });
      const result = await sync(wrongColumn, { streams: ['users', 'segments'] });
      expect(result).toMatchObject({ outcome: 'partial' });
    });
  });
}

suite('a foreign Postgres', async () => ({
  dialect: 'postgres',
  url: world.servers.databaseUrl,
  query: (text, values) => world.pool.query(text, values),
}));

const missing = mariadbMissing();
if (missing === null)
  suite('a foreign MySQL (MariaDB)', async () => {
    const server = await startMariadb();
    world.onClose(() => server.stop());
    return { dialect: 'mysql', url: server.url, query: server.query };
  });
else it.skip(`a foreign MySQL: not run, install it with: ${missing}`, () => undefined);

describe('tags', () => {
  it('of every form become number tags and word tags; what is no list is set aside', async () => {
    await world.pool.query(`CREATE TABLE crm_forms (id int PRIMARY KEY, tags text);
      INSERT INTO crm_forms VALUES (1, '1,11, 21'), (2, '[1, "gold", "a\\"b"]'), (3, NULL), (4, ''), (5, '{"a":1}'), (6, '007,x y'), (7, '[[1]]')`);
    const connection = await world.connect({
      platform: 'database',
      baseUrl: 'https://database.invalid',
      credential: JSON.stringify({ databaseUrl: world.servers.databaseUrl }),
      options: { users: { from: 'crm_forms', id: 'id', tags: 'tags' } },
    });
    expect(resultOf(await sync(connection), 'users')).toMatchObject({ written: 6, rejected: 1 });
    const rows = await users(connection);
    expect(rows.map(({ id, tags, labels }) => [id, tags, labels])).toEqual([
      ['1', ['1', '11', '21'], null],
      ['2', ['1'], ['gold', 'a"b']],
      ['3', null, null],
      ['4', null, null],
      ['5', null, ['{"a":1}']],
      ['6', ['7'], ['x y']],
    ]);
    expect(await countFilter(world.pool, connection, '1')).toBe(2);
    expect(await countFilter(world.pool, connection, '"a\\"b"')).toBe(1);
  });
});

it('a row without an id behind the first page is set aside, and the reading is in doubt', async () => {
  await world.pool.query(
    `CREATE TABLE keyless AS SELECT CASE WHEN n <> 77 THEN n END AS id FROM generate_series(1, 2500) n`,
  );
  const connection = await world.connect({
    platform: 'database',
    baseUrl: 'https://database.invalid',
    credential: JSON.stringify({ databaseUrl: world.servers.databaseUrl }),
    options: { users: { from: 'keyless', id: 'id' } },
  });
  expect(resultOf(await sync(connection, { streams: ['users'] }), 'users')).toMatchObject({
    written: 2_499,
    rejected: 1,
    doubt: expect.stringContaining('without a usable id'),
  });
});

it('reads and never writes: the server refuses it', async () => {
  await world.pool.query('CREATE SEQUENCE writes; CREATE VIEW writing AS SELECT nextval($$writes$$) AS id');
  const connection = await world.connect({
    platform: 'database',
    baseUrl: 'https://database.invalid',
    credential: JSON.stringify({ databaseUrl: world.servers.databaseUrl }),
    options: { users: { from: 'writing', id: 'id' } },
  });
  await expect(sync(connection)).rejects.toMatchObject({
    cause: { message: expect.stringContaining('SQLSTATE 25006') },
  });
  expect((await world.pool.query('SELECT is_called FROM writes')).rows).toEqual([{ is_called: false }]);
});
