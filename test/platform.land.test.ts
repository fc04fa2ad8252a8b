import { beforeAll, describe, expect, test } from 'vitest';
import { fillColumns } from '../activities/platform/fill.ts';
import { transaction } from '../db/client.ts';
import { type LandOptions, type LandRow, land } from '../db/land.ts';
import { ensureTable, fillRows, markFilled, rowsToFill, type StreamTable } from '../db/streams.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const table: StreamTable = {
  schema: 'acme',
  name: 'orders',
  columns: [
    { name: 'amount', type: 'numeric' },
    { name: 'paid_at', type: 'timestamptz' },
  ],
};
const noon = Date.UTC(2026, 10, 1, 12);

const row = (id: string, change: Partial<LandRow> & { value?: unknown } = {}): LandRow => {
  const { value = 1, ...rest } = change;
  return {
    id,
    data: JSON.stringify({ id, value }),
    timeMs: noon,
    readMs: noon,
    gone: false,
    columns: ['1.50', null],
    ...rest,
  };
};
const write = (rows: LandRow[], generation = 1, connection = 'shop', options: LandOptions = {}) =>
  transaction(world.pool, { name: 'test' }, (client) => land(client, table, connection, generation, rows, options));
const read = async (id: string, connection = 'shop') => {
  const { rows } = await world.pool.query(
    `SELECT data->'value' AS value, amount::text, generation::int, deleted_at IS NOT NULL AS gone, synced_at FROM acme.orders WHERE connection_id = $1 AND id = $2`,
    [connection, id],
  );
  return rows[0];
};

beforeAll(() => ensureTable(world.pool, table));

describe('land', () => {
  test('inserts, updates and leaves unchanged rows alone', async () => {
    expect(await write([row('a'), row('b')])).toEqual({ inserted: 2, updated: 0, skipped: 0 });
    expect(await write([row('a', { readMs: noon + 1 }), row('b', { value: 2, readMs: noon + 1 })], 2)).toEqual({
      inserted: 0,
      updated: 1,
      skipped: 1,
    });
    expect((await read('a')).generation).toBe(1);
    expect(await read('b')).toMatchObject({ value: 2, generation: 2, amount: '1.50' });
  });

  test('the newer wins by the source clock, whatever order they land in', async () => {
    await write([row('c', { value: 'new', timeMs: noon + 5_000 })]);
    expect(await write([row('c', { value: 'old', timeMs: noon, readMs: noon + 60_000 })])).toMatchObject({
      skipped: 1,
    });
    expect((await read('c')).value).toBe('new');
  });

  test('a source whose clock went back is repaired by what is read long after, and by nothing that lags behind', async () => {
    const repairing = (change: Parameters<typeof row>[1]) => write([row('r', change)], 2, 'shop', { repairs: true });
    await write([row('r', { value: 'ahead', timeMs: noon + 72_000_000 })]);
    const minutes = (n: number) => noon + n * 60_000;
    expect(await repairing({ value: 'lagging', readMs: minutes(9) })).toMatchObject({ skipped: 1 });
    expect(await write([row('r', { value: 'restored', readMs: minutes(11) })])).toMatchObject({ skipped: 1 });
    expect(await repairing({ value: 'restored', readMs: minutes(11) })).toMatchObject({ updated: 1 });
    expect((await read('r')).value).toBe('restored');
  });

  test('at one time of the source the later reading wins', async () => {
    await write([row('d', { value: 'first', readMs: noon + 10 })]);
    await write([row('d', { value: 'slow page', readMs: noon })]);
    expect((await read('d')).value).toBe('first');
    await write([row('d', { value: 'second', readMs: noon + 20 })]);
    expect((await read('d')).value).toBe('second');
  });

  test('a tombstone resists older readings and yields to a later one', async () => {
    await write([row('e')]);
    await write([row('e', { gone: true, readMs: noon + 5_000 })]);
    expect((await read('e')).gone).toBe(true);
    expect(await write([row('e', { value: 'late page', timeMs: noon + 9_000, readMs: noon + 4_000 })])).toMatchObject({
      skipped: 1,
    });
    expect((await read('e')).gone).toBe(true);
    await write([row('e', { value: 'back', readMs: noon + 6_000 })]);
    expect(await read('e')).toMatchObject({ gone: false, value: 'back' });
  });

  test('one id twice in a call counts once, the newer', async () => {
    const counts = await write([row('f', { value: 'new', timeMs: noon + 1 }), row('f', { value: 'old' })]);
    expect(counts).toEqual({ inserted: 1, updated: 0, skipped: 1 });
    expect((await read('f')).value).toBe('new');
  });

  test('connections do not touch each other', async () => {
    await write([row('g', { value: 'one' })], 1, 'shop1');
    await write([row('g', { value: 'two' })], 1, 'shop2');
    expect([(await read('g', 'shop1')).value, (await read('g', 'shop2')).value]).toEqual(['one', 'two']);
  });

  test('writers that bring the same rows in opposite order do not deadlock', async () => {
    const ids = Array.from({ length: 400 }, (_, i) => `h${i}`);
    const rounds = Array.from({ length: 8 }, (_, n) =>
      write((n % 2 ? ids : [...ids].reverse()).map((id) => row(id, { value: n, readMs: noon + n }))),
    );
    await Promise.all(rounds);
    expect((await read('h7')).value).toBe(7);
  });
});

describe('tables of streams', () => {
  test('a new column stands there and fills from data; a second worker finds it filled', async () => {
    const wider: StreamTable = { ...table, columns: [...table.columns, { name: 'value_text', type: 'text' }] };
    await write([row('i', { value: 'seven' })]);
    expect(await ensureTable(world.pool, wider)).toEqual(['value_text']);
    // The worker was killed before the fill: it is told again.
    expect(await ensureTable(world.pool, wider)).toEqual(['value_text']);
    const rows = await rowsToFill(world.pool, wider, null, 10_000);
    await fillRows(
      world.pool,
      wider,
      ['value_text'],
      rows.map((r) => ({ ...r, values: [String((r.data as { value: unknown }).value)] })),
    );
    await markFilled(world.pool, wider, ['value_text']);
    expect(await ensureTable(world.pool, wider)).toEqual([]);
    const { rows: filled } = await world.pool.query(`SELECT value_text FROM acme.orders WHERE id = 'i'`);
    expect(filled[0].value_text).toBe('seven');
  });

  test('a row that lands while a column fills keeps what it landed with; one by a worker without the column fills too', async () => {
    const wider: StreamTable = { ...table, columns: [...table.columns, { name: 'value_now', type: 'text' }] };
    await write(['j', 'k'].map((id) => row(id, { value: 'old' })));
    expect(await ensureTable(world.pool, wider)).toEqual(['value_now']);
    const filling = await transaction(world.pool, { name: 'test' }, async (client) => {
      const newer = { value: 'new', timeMs: noon + 1 };
      await land(client, wider, 'shop', 2, [row('j', { ...newer, columns: ['1.50', null, 'new'] })]);
      await land(client, table, 'shop', 2, [row('k', newer), row('a new one, in front of all', newer)]);
      const call = { report: () => undefined, shouldEnd: () => false };
      const told = (data: unknown) => [String((data as { value: unknown }).value)];
      const filled = fillColumns(world.pool, wider, ['value_now'], told, call);
      await until('columns that wait for the landing', async () => {
        const { rows } = await world.pool.query(
          `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE "acme"."orders"%'`,
        );
        return rows.length > 0;
      });
      return { filled };
    });
    await filling.filled;
    const { rows } = await world.pool.query(
      `SELECT id, data->>'value' AS value, value_now FROM acme.orders WHERE value_now IS DISTINCT FROM data->>'value'`,
    );
    expect(rows).toEqual([]);
    expect(await ensureTable(world.pool, wider)).toEqual([]);
  });

  test('another type for a known column is refused with the command that frees it', async () => {
    const other: StreamTable = { ...table, columns: [{ name: 'amount', type: 'text' }] };
    await expect(ensureTable(world.pool, other)).rejects.toThrow(
      'Column acme.orders.amount is numeric, the connector says text. It fills again from data after: ALTER TABLE "acme"."orders" DROP COLUMN "amount"',
    );
  });

  test('many workers make one table at once', async () => {
    const fresh: StreamTable = { schema: 'fresh', name: 'items', columns: [{ name: 'price', type: 'bigint' }] };
    await Promise.all(Array.from({ length: 6 }, () => ensureTable(world.pool, fresh)));
    const { rows } = await world.pool.query(
      `SELECT count(*)::int AS n FROM information_schema.columns WHERE table_schema = 'fresh'`,
    );
    expect(rows[0].n).toBe(9);
  });
});
