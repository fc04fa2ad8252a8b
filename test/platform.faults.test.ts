import { describe, expect, onTestFinished, test } from 'vitest';
import { kuaishou } from '../sandbox/kuaishou.ts';
import type { Fault } from '../sandbox/platform.ts';
import { taobao } from '../sandbox/taobao.ts';
import { failureOfRun, openShop, reasonOf, resultOf, type Shop } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const comments = 'open.comment.list.get';
/** Older than the lag of the list, so that the next run sees it. */
const lately = () => Date.now() - 60_000;

const living = async (shop: Shop, stream: string) => (await shop.copy(stream)).size;
const firstId = (shop: Shop, list: string) => shop.source.lists[list]?.ids()[0] as string;
async function rejects(shop: Shop) {
  const { rows } = await world.pool.query(
    `SELECT source_id, stream, reason, field, record, position, resolved_at IS NULL AS open FROM syncline.rejects
     WHERE connection_id = $1 AND pipeline = 'platform' ORDER BY source_id`,
    [shop.name],
  );
  return rows;
}

describe('bad records', () => {
  test('text in a number and NUL in text set their records aside; the page goes on; mended ones are settled', async () => {
    const shop = await openShop(world, kuaishou, { rows: 200 });
    const { orders } = shop.source.lists;
    const [first, second] = orders?.ids() ?? [];
    orders?.update(first as string, { status: 'paid?' }, lately());
    orders?.update(second as string, { orderNote: 'a\u0000b' }, lately());
    const result = await shop.sync({ streams: ['orders'] });
    expect(resultOf(result, 'orders')).toMatchObject({ rejected: 2, written: 198 });
    expect(await rejects(shop)).toMatchObject([
      {
        source_id: first,
        reason: 'wrong_type',
        field: 'status',
        open: true,
        position: expect.stringMatching(/^page \d+ row \d+$/),
      },
      { source_id: second, reason: 'control_character', field: 'data', open: true },
    ]);
    orders?.update(first as string, { status: 30 }, lately());
    orders?.update(second as string, { orderNote: 'plain' }, lately());
    expect(resultOf(await shop.sync({ streams: ['orders'] }), 'orders')).toMatchObject({ rejected: 0, written: 2 });
    expect((await rejects(shop)).map((one) => one.open)).toEqual([false, false]);
    await shop.expectSame('orders');
  });

  test('moments that Postgres would not take set their records aside; empty dates are none; the rest of the batch lands', async () => {
    const shop = await openShop(world, taobao, { rows: 200 });
    const { trades } = shop.source.lists;
    const [dotnet, mysql, day, early, clock] = (trades?.ids() ?? []) as [string, string, string, string, string];
    trades?.update(dotnet, { pay_time: '0001-01-01 00:00:00' }, lately());
    trades?.update(mysql, { pay_time: '0000-00-00 00:00:00' }, lately());
    trades?.update(day, { pay_time: '0000-00-00', modified: '0001-01-01T00:00:00' }, lately());
    trades?.update(early, { pay_time: '0001-01-01 05:00:00' }, lately());
    trades?.update(clock, { modified: '0000-06-15 12:00:00' }, lately());
    expect(resultOf(await shop.sync({ streams: ['trades'] }), 'trades')).toMatchObject({
      outcome: 'whole',
      rejected: 2,
      written: 198,
    });
    expect(await rejects(shop)).toMatchObject([
      { source_id: early, reason: 'wrong_type', field: 'paid' },
      { source_id: clock, reason: 'wrong_type', field: 'modified' },
    ]);
    const { rows } = await world.pool.query(
      'SELECT id, paid, source_time FROM taobao.trades WHERE connection_id = $1 AND (paid IS NULL OR source_time IS NULL) ORDER BY id',
      [shop.name],
    );
    expect(rows.map(({ id, paid }) => [id, paid])).toEqual([dotnet, mysql, day].map((id) => [id, null]));
    expect(rows.map(({ source_time }) => source_time === null)).toEqual([false, false, true]);
  });

  test('records that stand aside are tried again without a call to the source', async () => {
    const shop = await openShop(world, kuaishou, { rows: 60 });
    const id = firstId(shop, 'orders');
    shop.source.lists.orders?.update(id, { status: 'paid?' }, lately());
    await shop.sync({ streams: ['orders'] });
    const before = shop.source.requests.total;
    expect(await shop.replay({ stream: 'orders', rejects: true })).toEqual({ stream: 'orders', tried: 1, landed: 0 });
    await world.pool.query(
      `UPDATE syncline.rejects SET record = replace(record, '"paid?"', '30') WHERE connection_id = $1`,
      [shop.name],
    );
    expect(await shop.replay({ stream: 'orders', rejects: true })).toEqual({ stream: 'orders', tried: 1, landed: 1 });
    expect(shop.source.requests.total).toBe(before);
    expect(await living(shop, 'orders')).toBe(60);
    expect((await rejects(shop)).map((one) => one.open)).toEqual([false]);
  });
});

describe('deletions', () => {
  test('a row missing from a full pass is marked deleted, and comes back when the source brings it again', async () => {
    const shop = await openShop(world, kuaishou, { rows: 600 });
    await shop.sync({ streams: ['comments'] });
    const id = firstId(shop, 'comments');
    shop.source.lists.comments?.remove(id);
    const result = await shop.sync({ streams: ['comments'] });
    expect(resultOf(result, 'comments')).toMatchObject({ deleted: 1, withheld: 0 });
    await shop.expectSame('comments');
  });

  test('more deletions than the guard allows are withheld until a person says yes', async () => {
    const shop = await openShop(world, kuaishou, { rows: 1_500 });
    await shop.sync({ streams: ['comments'] });
    const all = shop.source.lists.comments?.ids() ?? [];
    for (const id of all.slice(0, 60)) shop.source.lists.comments?.remove(id);
    const withheld = resultOf(await shop.sync({ streams: ['comments'] }), 'comments');
    expect(withheld).toMatchObject({ deleted: 0, withheld: 60, outcome: 'doubtful' });
    expect(withheld.doubt).toBe(
      '60 of 150 rows are missing at the source, allowed without asking 30: nothing was deleted',
    );
    expect(await living(shop, 'comments')).toBe(150);
    const accepted = await shop.sync({ streams: ['comments'], deletions: 'accept' });
    expect(resultOf(accepted, 'comments')).toMatchObject({ deleted: 60, withheld: 0 });
    await shop.expectSame('comments');
  });

  test('a list that answers empty deletes nothing', async () => {
    const shop = await openShop(world, kuaishou, { rows: 600 });
    await shop.sync({ streams: ['comments'] });
    shop.source.setFaults([{ type: 'empty', api: comments }]);
    const result = await shop.sync({ streams: ['comments'], deletions: 'accept' }).catch((error: unknown) => error);
    expect(result).toBeDefined();
    expect(await living(shop, 'comments')).toBe(60);
  });

  test('a platform that lists what is deleted is believed', async () => {
    const shop = await openShop(world, kuaishou, { rows: 600 });
    await shop.sync({ streams: ['items', 'deleted_items'] });
    shop.source.lists.items?.remove(firstId(shop, 'items'));
    expect(resultOf(await shop.sync({ streams: ['items', 'deleted_items'] }), 'items').deleted).toBe(1);
    await shop.expectSame('items');
  });
});

describe('trouble on the way', () => {
  test.each<[string, Fault]>([
    ['a token that ends in the middle', { type: 'expire', after: 4, times: 1 }],
    ['a 429 with Retry-After', { type: '429', seconds: 1, after: 3, times: 2 }],
    ['a limit told with HTTP 200', { type: 'refuse', kind: 'rate', after: 3, times: 1 }],
    ['a cut body', { type: 'cut', after: 3, times: 2 }],
    ['cut JSON', { type: 'truncated', after: 3, times: 1 }],
    ['an error of the gateway', { type: 'status', status: 502, after: 3, times: 2 }],
    ['a row on two pages', { type: 'twice' }],
  ])('%s costs no row', async (_, fault) => {
    const shop = await openShop(world, kuaishou, { rows: 700, faults: [fault] });
    await shop.sync({ streams: ['orders', 'comments'] });
    await shop.expectSame('orders');
    await shop.expectSame('comments');
  });

  test('rows that are removed while pages are read lose nobody', async () => {
    const shop = await openShop(world, kuaishou, {
      rows: 2_000,
      faults: [{ type: 'removed', api: comments, after: 2, times: 4 }],
    });
    await shop.sync({ streams: ['comments'] });
    const copy = await shop.copy('comments');
    for (const id of shop.source.lists.comments?.ids() ?? []) expect(copy.has(id), id).toBe(true);
  });

  test('what a person must do is a command for this very connection, wherever the trouble came up', async () => {
    const refuse = { type: 'refuse', kind: 'consent', after: 2 } as const;
    const shop = await openShop(world, kuaishou, { rows: 700, faults: [refuse] }, { parallel: 1 });
    const { message } = await failureOfRun(shop.sync({ streams: ['orders'] }));
    expect(message).toContain('readSlice: ');
    expect(message).toContain(`Then store the fresh credential: npx syncline connect ${shop.name} --credential-env`);
    expect(message).not.toContain('NAME');
  });

  test('a page of a person instead of JSON ends the stream with the reason, and the other one goes on', async () => {
    const shop = await openShop(world, kuaishou, { rows: 100, faults: [{ type: 'html', api: comments }] });
    const result = await shop.sync({ streams: ['orders', 'comments'] });
    expect(reasonOf(result, 'comments')).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('HTML') });
    await shop.expectSame('orders');
  });
});

describe('windows again', () => {
  test('a range is read again and moves no watermark', async () => {
    const shop = await openShop(world, kuaishou, { rows: 300 });
    await shop.sync({ streams: ['orders'] });
    const mark = async () =>
      (await world.pool.query('SELECT watermark FROM syncline.streams WHERE connection_id = $1', [shop.name])).rows[0]
        .watermark;
    const before = await mark();
    await world.pool.query('DELETE FROM kuaishou.orders WHERE connection_id = $1', [shop.name]);
    const [from, to] = [new Date(Date.now() - 40 * 86_400_000), new Date()];
    const replayed = await shop.replay({ stream: 'orders', from: from.toISOString(), to: to.toISOString() });
    expect(replayed).toMatchObject({ kind: 'replay', written: 300 });
    expect(await mark()).toEqual(before);
    await shop.expectSame('orders');
  });

  test('snapshots keep the rows of each full pass, as many as asked for', async () => {
    const shop = await openShop(world, kuaishou, { rows: 200 }, { snapshot: true, snapshotKeep: 2 });
    for (const title of ['one', 'two', 'three']) {
      shop.source.lists.comments?.update(firstId(shop, 'comments'), { content: title });
      await shop.sync({ streams: ['comments'] });
    }
    const { rows } = await world.pool.query(
      `SELECT generation, count(*)::int AS n, max(data->>'content') FILTER (WHERE id = $2) AS content FROM kuaishou.comments_snapshots
       WHERE connection_id = $1 GROUP BY 1 ORDER BY 1`,
      [shop.name, firstId(shop, 'comments')],
    );
    expect(rows.map(({ n, content }) => [n, content])).toEqual([
      [20, 'two'],
      [20, 'three'],
    ]);
  });

  const generations = async (name: string) => {
    const { rows } = await world.pool.query(
      'SELECT generation::int, count(*)::int AS n FROM kuaishou.comments_snapshots WHERE connection_id = $1 GROUP BY 1 ORDER BY 1',
      [name],
    );
    return rows as { generation: number; n: number }[];
  };

  test('the snapshot of a doubtful pass takes the place of no sound one', async () => {
    const shop = await openShop(world, kuaishou, { rows: 1_000 }, { snapshot: true, snapshotKeep: 1 });
    const streams = ['comments'];
    await shop.sync({ streams });
    const [sound] = await generations(shop.name);
    for (let i = 0; i < 2; i++) {
      // A comment that cannot be told from others puts the pass in doubt.
      shop.source.lists.comments?.update(firstId(shop, 'comments'), { commentId: null });
      expect(resultOf(await shop.sync({ streams }), 'comments')).toMatchObject({ kind: 'full', outcome: 'doubtful' });
      const [first, ...others] = await generations(shop.name);
      expect(first, 'the sound one').toEqual(sound);
      expect(others, 'the newest one').toHaveLength(1);
    }
    shop.source.lists.comments?.update(
      firstId(shop, 'comments'),
      { commentId: Number(firstId(shop, 'comments')) },
      lately(),
    );
    expect(resultOf(await shop.sync({ streams }), 'comments')).toMatchObject({ outcome: 'whole', doubt: null });
    expect((await generations(shop.name)).map(({ n }) => n)).toEqual([100]);
  });

  test('the copy of a snapshot keeps neither another copy nor other tables waiting', async () => {
    const streams = ['comments'];
    const shop = await openShop(world, kuaishou, { rows: 200 }, { snapshot: true });
    await shop.sync({ streams });
    const other = await openShop(world, kuaishou, { rows: 200 });
    const holder = await world.pool.connect();
    onTestFinished(() => holder.release(true));
    // As a copy of another connection holds it.
    await holder.query('BEGIN; LOCK TABLE kuaishou.comments_snapshots IN ROW EXCLUSIVE MODE');
    expect(resultOf(await shop.sync({ streams }), 'comments').outcome).toBe('whole');
    await holder.query('LOCK TABLE kuaishou.comments_snapshots IN SHARE ROW EXCLUSIVE MODE');
    const run = await shop.start({ streams });
    await until('a copy that waits', async () => {
      const { rows } = await world.pool.query(
        `SELECT 1 FROM pg_locks WHERE relation = 'kuaishou.comments_snapshots'::regclass AND NOT granted`,
      );
      return rows.length > 0;
    });
    expect(resultOf(await other.sync({ streams: ['coupons'] }), 'coupons').outcome).toBe('whole');
    await holder.query('COMMIT');
    expect((await run.result()).outcome).toBe('whole');
  });

  test('a column of another type in the snapshots is told before anything is read, with what mends it', async () => {
    const shop = await openShop(world, kuaishou, { rows: 200 }, { snapshot: true });
    const streams = ['comments'];
    await shop.sync({ streams });
    const change = (table: string) =>
      world.pool.query(`ALTER TABLE ${table} ALTER COLUMN item_id TYPE bigint USING item_id::bigint`);
    const told = async () => {
      const asked = shop.source.requests.total;
      const { message, type } = await failureOfRun(shop.sync({ streams }));
      expect(type).toBe('NothingRead');
      expect(shop.source.requests.total).toBe(asked);
      return message.split(' after: ')[1]?.replace(/ \(InvalidInput\)$/, '') as string;
    };
    await change('kuaishou.comments_snapshots');
    expect(await told()).toBe('ALTER TABLE "kuaishou"."comments_snapshots" DROP COLUMN "item_id"');
    await change('kuaishou.comments');
    const commands = await told();
    expect(commands, 'both at once').toBe(
      'ALTER TABLE "kuaishou"."comments" DROP COLUMN "item_id"; ALTER TABLE "kuaishou"."comments_snapshots" DROP COLUMN "item_id"',
    );
    await world.pool.query(commands);
    expect(resultOf(await shop.sync({ streams }), 'comments').outcome).toBe('whole');
    const { rows } = await world.pool.query(
      `SELECT count(*)::int AS n, count(item_id)::int AS filled
       FROM kuaishou.comments_snapshots WHERE connection_id = $1 GROUP BY generation ORDER BY generation`,
      [shop.name],
    );
    expect(rows.map(({ n, filled }) => [n, filled])).toEqual([
      [20, 0],
      [20, 20],
    ]);
  });
});
