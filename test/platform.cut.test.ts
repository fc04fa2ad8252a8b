import { expect, test } from 'vitest';
import { taobao } from '../sandbox/taobao.ts';
import { openCli } from './harness/cli.ts';
import { openShop } from './harness/platforms.ts';

const { world, cli, stateOf } = await openCli();
const streams = 'push_items,push_trades';

test('whose older rows are left out is told by connect, result and status; goods are read from their beginning', async () => {
  const { databaseUrl } = world.servers;
  const { name, source } = await openShop(world, taobao, { rows: 0 }, {}, databaseUrl);
  for (const { text, values } of taobao.tables?.(source.account('main')) ?? []) await world.pool.query(text, values);
  const { sellerNick } = source.connection().options;
  const old = ["now() - interval '3 years'", "now() - interval '1 day'"];
  for (const [i, at] of old.entries()) {
    const times = `'1', '{}', ${at}, ${at}, ${at}, ${at})`;
    await world.pool.query(
      `INSERT INTO sys_info.jdp_tb_item (num_iid, nick, approve_status, jdp_hashcode, jdp_response, created, modified, jdp_created, jdp_modified)
       VALUES (${i}, $1, 'onsale', ${times}`,
      [sellerNick],
    );
    await world.pool.query(
      `INSERT INTO sys_info.jdp_tb_trade (tid, seller_nick, status, type, jdp_hashcode, jdp_response, created, modified, jdp_created, jdp_modified)
       VALUES (${i}, $1, 'TRADE_FINISHED', 'fixed', ${times}`,
      [sellerNick],
    );
  }
  const usual =
    /Older rows are left out: push_trades since 20\d\d-\d\d-\d\d \(option since; 90 days unless it is given\)\n/;
  const said = await cli(`start platformSync ${name} --streams ${streams} --wait`);
  expect(said).toMatchObject({ code: 0 });
  expect(said.out).toMatch(/\npush_items +whole +full +2 rows/);
  expect(said.out).toMatch(/\npush_trades +whole +full +1 row /);
  expect(said.out).toMatch(usual);
  expect((await cli(`status ${name}`)).out).toMatch(usual);
  const cutOf = async () =>
    (await stateOf(name)).streams.find(({ stream }: { stream: string }) => stream === 'push_trades').cut;
  expect(await cutOf()).toMatchObject({ by: 'usual' });

  const connected = await cli(['connect', name, '--option', `streams=["push_items","push_trades"]`, '--no-probe']);
  expect(connected.out).toMatch(usual);
  const deeper = await cli(`connect ${name} --option since=2020-01-01 --no-probe`);
  expect(deeper.out).toContain('Older rows are left out: push_items, push_trades since 2020-01-01 (option since)\n');
  const again = await cli(`start platformSync ${name} --wait`);
  expect(again.out).toMatch(/\npush_trades +whole +full +2 rows/);
  expect(again.out).toContain('push_items, push_trades since 2020-01-01 (option since)\n');
  expect(await cutOf()).toEqual({ from: '2020-01-01T00:00:00.000Z', by: 'since' });
});
