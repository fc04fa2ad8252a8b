import { randomBytes } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { leastLocal } from '../activities/platform/sql/dialect.ts';
import { startPlatformSandbox } from '../sandbox/platform.ts';
import { pushStatementsMysql } from '../sandbox/taobao.push.ts';
import { taobao } from '../sandbox/taobao.ts';
import { platformSync } from '../workflows/index.ts';
import { type Mariadb, mariadbMissing, startMariadb } from './harness/mariadb.ts';
import { failureOfRun, openShop, resultOf, type Shop } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const missing = mariadbMissing();
if (missing !== null)
  process.stdout.write(`The MySQL tests need MariaDB and are skipped. Install it with: ${missing}\n`);

const world = await openWorld();
const hour = 3_600_000;
const source = await startPlatformSandbox(taobao, { rows: 0 });
world.onClose(() => source.stop());

/** `yyyy-MM-dd HH:mm:ss` in Beijing, as a MySQL datetime that was copied over holds it. */
const beijing = (ms: number) => new Date(ms + 8 * hour).toISOString().slice(0, 19).replace('T', ' ');

async function connect(withDatabase: boolean): Promise<string> {
  const { platform, baseUrl, credential, options } = source.connection();
  const secrets = withDatabase ? { ...credential, databaseUrl: world.servers.databaseUrl } : credential;
  return world.connect({ platform, baseUrl, credential: JSON.stringify(secrets), options });
}

const sync = (connection: string, streams?: string[]) =>
  world.client.workflow.execute(platformSync, {
    args: [{ connection, ...(streams && { streams }) }],
    taskQueue: world.config.taskQueue,
    workflowId: `test-${randomBytes(8).toString('hex')}`,
  });

test('times without a zone are read in the one of the source: the newest rows come, and at the right moment', async () => {
  await world.pool.query(`CREATE SCHEMA sys_info; CREATE TABLE sys_info.jdp_tb_trade (
    tid bigint, seller_nick text, status text, type text, created timestamp, modified timestamp, jdp_hashcode text,
    jdp_response text, jdp_created timestamp, jdp_modified timestamp)`);
  const now = Math.floor(Date.now() / 1_000) * 1_000;
  const { sellerNick } = source.connection().options;
  for (let i = 1; i <= 20; i++)
    await world.pool.query(
      `INSERT INTO sys_info.jdp_tb_trade (tid, seller_nick, status, type, created, modified, jdp_response, jdp_created, jdp_modified)
       VALUES ($1, $2, 'TRADE_FINISHED', 'fixed', $3, $3, '{}', $3, $3)`,
      [1_000 + i, sellerNick, beijing(now - i * hour)],
    );
  const connection = await connect(true);
  expect(resultOf(await sync(connection, ['push_trades']), 'push_trades')).toMatchObject({
    written: 20,
    rejected: 0,
    doubt: null,
  });
  const { rows } = await world.pool.query(
    'SELECT source_time FROM taobao.push_trades WHERE connection_id = $1 AND id = $2',
    [connection, '1001'],
  );
  expect(rows[0].source_time.getTime()).toBe(now - hour);

  await world.pool.query(
    `UPDATE sys_info.jdp_tb_trade SET status = 'TRADE_CLOSED', jdp_modified = $1 WHERE tid = 1020`,
    [beijing(now - 120_000)],
  );
  expect(resultOf(await sync(connection, ['push_trades']), 'push_trades')).toMatchObject({
    kind: 'incremental',
    written: 1,
  });
});

test('a page is read by the index of the table, whatever the zone of its times', async () => {
  await world.pool.query(`TRUNCATE sys_info.jdp_tb_trade;
    CREATE INDEX by_seller ON sys_info.jdp_tb_trade (seller_nick, jdp_modified, tid)`);
  const now = Math.floor(Date.now() / 1_000) * 1_000;
  await world.pool.query(
    `INSERT INTO sys_info.jdp_tb_trade (tid, seller_nick, status, type, jdp_response, created, modified, jdp_created, jdp_modified)
     SELECT n, $1, 'TRADE_FINISHED', 'fixed', '{}', t, t, t, t
     FROM (SELECT n, $2::timestamp - n * interval '1 minute' AS t FROM generate_series(1, 20000) n) made`,
    [source.connection().options.sellerNick, beijing(now)],
  );
  await world.pool.query('ANALYZE sys_info.jdp_tb_trade');
  const connection = await connect(true);
  expect(resultOf(await sync(connection, ['push_trades']), 'push_trades')).toMatchObject({ written: 20_000 });
  const before = await touched();
  expect(resultOf(await sync(connection, ['push_trades']), 'push_trades')).toMatchObject({ kind: 'incremental' });
  const after = await touched();
  expect(after.scans - before.scans, 'scans of the whole table').toBe(0);
  expect(after.rows - before.rows, 'rows looked at for the ten minutes of the overlap').toBeLessThan(200);
});

/** What Postgres counted at the table of trades; a session tells it before it is gone. */
async function touched(): Promise<{ scans: number; rows: number }> {
  await until('the sessions of readers are gone', async () => {
    const { rows } = await world.pool.query(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name LIKE 'syncline source%'`,
    );
    return rows[0].n === 0;
  });
  const { rows } = await world.pool.query(`
    SELECT t.seq_scan::int AS scans, (t.seq_tup_read + i.idx_tup_read)::int AS rows
    FROM pg_stat_user_tables t JOIN pg_stat_user_indexes i USING (relid) WHERE t.relid = 'sys_info.jdp_tb_trade'::regclass`);
  return rows[0];
}

test.each([
  ['2026-10-25T00:59:00Z', '2026-10-25 02:00:00.000', 'in the first passing of the hour'],
  ['2026-10-25T01:10:00Z', '2026-10-25 02:10:00.000', 'in the second passing'],
  ['2026-10-24T23:50:00Z', '2026-10-25 01:50:00.000', 'before it'],
  ['2026-03-29T01:00:00Z', '2026-03-29 03:00:00.000', 'where clocks go forward'],
])('%s in Berlin begins at %s, %s', (moment, local) => {
  expect(leastLocal(Date.parse(moment), 'Europe/Berlin')).toBe(local);
});

test('a connection that names no database is whole without the streams of one', async () => {
  const result = await sync(await connect(false));
  expect(result.outcome).toBe('whole');
  expect(result.streams.map(({ stream }) => stream)).not.toContain('push_trades');
});

describe.skipIf(missing !== null)('a push database on MySQL, as Jushita runs it', () => {
  const streams = ['push_trades', 'push_refunds', 'push_items', 'push_distributions'];
  let server: Mariadb;
  afterAll(() => server.stop());

  /** A source whose tables hold what the sandbox holds. */
  async function openPush(rows: number, options: Record<string, unknown> = {}): Promise<Shop> {
    const shop = await openShop(world, taobao, { rows }, options, server.url);
    await push(shop);
    return shop;
  }

  async function push({ source }: Shop): Promise<void> {
    for (const { text, values } of pushStatementsMysql(source.account('main'))) await server.query(text, values);
  }

  test('is read whole, then by what was pushed since', async () => {
    server = await startMariadb();
    const shop = await openPush(3_000);
    const first = await shop.sync({ streams });
    expect(first.outcome).toBe('whole');
    expect(resultOf(first, 'push_trades')).toMatchObject({ kind: 'full', written: 3_000, rejected: 0 });
    for (const stream of streams) await shop.expectSame(stream);

    const { trades } = shop.source.lists;
    const moments = [Date.now() - 120_000, Date.now() - 90_000];
    for (const [i, id] of trades?.ids().slice(0, 30).entries() ?? []) trades?.update(id, {}, moments[i % 2]);
    for (let i = 0; i < 5; i++) trades?.create({}, moments[0]);
    await push(shop);
    const next = resultOf(await shop.sync({ streams }), 'push_trades');
    expect(next).toMatchObject({ kind: 'incremental', written: 35 });
    expect(next.rows, 'of the rows that did not change, only the overlap is read').toBeLessThan(1_000);
    for (const stream of streams) await shop.expectSame(stream);
  });

  test('a run that is terminated in a crowd of equal times leaves its place to the next one', async () => {
    await server.query('DROP DATABASE sys_info');
    const shop = await openShop(world, taobao, { rows: 0 }, { parallel: 1 }, server.url);
    await push(shop);
    const { sellerNick } = shop.source.connection().options;
    // 20,000 trades that were pushed in one second: nothing but the id tells them apart.
    await server.query(
      `INSERT INTO sys_info.jdp_tb_trade (tid, seller_nick, status, type, jdp_hashcode, jdp_response, created, modified, jdp_created, jdp_modified)
       SELECT seq, ?, 'TRADE_FINISHED', 'fixed', '1', '{}', ?, ?, ?, ? FROM sys_info.seq_1_to_20000`,
      [sellerNick, ...Array(4).fill(beijing(Date.now() - hour))],
    );
    const committed = async () => {
      const { rows } = await world.pool.query(
        `SELECT coalesce(sum(s.rows), 0)::int AS n FROM syncline.slices s JOIN syncline.passes p ON p.id = s.pass_id
         WHERE p.connection_id = $1 AND p.ended_at IS NULL AND NOT s.done`,
        [shop.name],
      );
      return rows[0].n as number;
    };
    const run = await shop.start({ streams: ['push_trades'] });
    await until('pages in the crowd', async () => (await committed()) >= 3_000);
    await run.terminate();
    const kept = await committed();
    const result = resultOf(await shop.sync({ streams: ['push_trades'] }), 'push_trades');
    expect(result).toMatchObject({ outcome: 'whole', rows: 20_000, written: 20_000 });
    expect(kept, 'it was in the middle').toBeLessThan(20_000);
    expect((await shop.copy('push_trades')).size).toBe(20_000);
  });

  test('is read by the index of its table', async () => {
    await server.query('DROP DATABASE sys_info');
    const shop = await openPush(0);
    await server.query('CREATE INDEX by_seller ON sys_info.jdp_tb_trade (seller_nick, jdp_modified, tid)');
    await server.query(
      `INSERT INTO sys_info.jdp_tb_trade (tid, seller_nick, status, type, jdp_hashcode, jdp_response, created, modified, jdp_created, jdp_modified)
       SELECT seq, ?, 'TRADE_FINISHED', 'fixed', '1', '{}', t, t, t, t
       FROM (SELECT seq, ? - INTERVAL seq MINUTE AS t FROM sys_info.seq_1_to_20000) made`,
      [shop.source.connection().options.sellerNick, beijing(Date.now())],
    );
    await server.query('ANALYZE TABLE sys_info.jdp_tb_trade');
    expect(resultOf(await shop.sync({ streams: ['push_trades'] }), 'push_trades')).toMatchObject({ written: 20_000 });
    const before = await rowsRead();
    expect(resultOf(await shop.sync({ streams: ['push_trades'] }), 'push_trades')).toMatchObject({
      kind: 'incremental',
    });
    expect((await rowsRead()) - before, 'rows looked at for the ten minutes of the overlap').toBeLessThan(1_000);
  });

  /** Rows that the server looked at since its start, by an index or without. */
  async function rowsRead(): Promise<number> {
    const rows = await server.query(`SHOW GLOBAL STATUS LIKE 'Handler_read%'`);
    return rows.reduce((sum, { Value }) => sum + Number(Value), 0);
  }

  test('that refuses the password is told by its code', async () => {
    const shop = await openShop(world, taobao, { rows: 0 }, {}, server.url.replace('root@', 'nobody:wrong@'));
    const { message } = await failureOfRun(shop.sync({ streams: ['push_trades'] }));
    expect(message).toContain(
      `The source database of "${shop.name}" refused the user or password (ER_ACCESS_DENIED_ERROR)`,
    );
  });
});
