import { expect, onTestFinished, test } from 'vitest';
import type { Fixture, PlatformSandboxOptions } from '../sandbox/platform.ts';
import { startPlatformSandbox } from '../sandbox/platform.ts';
import { taobao } from '../sandbox/taobao.ts';
import { wecom, wecomSecrets } from '../sandbox/wecom.ts';
import { youzan } from '../sandbox/youzan.ts';
import { openCli } from './harness/cli.ts';

const { world, cli, fresh } = await openCli();

async function connecting(fixture: Fixture, options: PlatformSandboxOptions, more: Record<string, string> = {}) {
  const source = await startPlatformSandbox(fixture, options);
  onTestFinished(() => source.stop());
  const { platform, baseUrl, credential, options: own } = source.connection();
  const name = fresh();
  const connect = (given: Record<string, unknown> = own) => {
    const settings = Object.entries(given).flatMap(([key, value]) => ['--option', `${key}=${value}`]);
    const line = ['connect', name, '--platform', platform, '--url', baseUrl, ...settings, '--credential-env', 'SHOP'];
    return cli(line, { env: { SHOP: JSON.stringify({ ...credential, ...more }) } });
  };
  return { source, own, name, connect };
}

test('counts the rows of a first page that is only looked at for its total', async () => {
  const { connect } = await connecting(youzan, { rows: 1_000 });
  const said = await connect();
  expect(said).toMatchObject({ code: 0 });
  expect(said.out).toMatch(/\ncustomers: read one page, 50 of 250 rows\.\n/);
});

test('looks at a database that is named, and says what nobody looked at', async () => {
  const { connect, source } = await connecting(taobao, { rows: 60 }, { databaseUrl: world.servers.databaseUrl });
  for (const { text, values } of taobao.tables?.(source.account('main')) ?? []) await world.pool.query(text, values);
  const said = await connect();
  expect(said).toMatchObject({ code: 0 });
  expect(said.out).toMatch(/\npush_trades: read one page, 60 rows\.\n/);
  expect(said.out).toContain('Not looked at: trade_details (read for each row of trades).\n');
  const without = await connecting(taobao, { rows: 60 });
  expect((await without.connect()).out).toMatch(
    /\nNot looked at: push_trades, .* \(the credential names no databaseUrl\)\.\n/,
  );
});

test('does not save a database that does not answer', async () => {
  const { connect, name } = await connecting(taobao, { rows: 60 }, { databaseUrl: 'postgres://u:p@127.0.0.1:1/none' });
  const said = await connect();
  expect(said.code).toBe(1);
  expect(said.err).toContain(`The source database of "${name}" does not answer (ECONNREFUSED). Nothing was saved`);
});

test('whose rows of a push database are meant must be said: nobody is told that there are none', async () => {
  const { connect, source, own, name } = await connecting(
    taobao,
    { rows: 60 },
    { databaseUrl: world.servers.databaseUrl },
  );
  for (const { text, values } of taobao.tables?.(source.account('main')) ?? []) await world.pool.query(text, values);
  const { sellerNick: _nick, ...rest } = own;
  const why = `Option "sellerNick" of connection "${name}": got nothing, accepted whose rows of sys_info.jdp_tb_trade are meant. Give it with: npx syncline connect ${name} --option sellerNick=…`;
  const said = await connect(rest);
  expect(said.out).toContain(`push_trades: not readable: ${why}`);
  const run = await cli(`start platformSync ${name} --streams trades,push_trades --wait`);
  expect(run.code).toBe(1);
  expect(run.out).toContain(`push_trades parked: `);
  expect(run.out).toContain(why);
});

test.each([
  ['of an app', wecomSecrets.app, 'user_ids', ['departments', 'users', 'department_ids']],
  ['of the contact sync', wecomSecrets.sync, 'departments, users', ['department_ids', 'user_ids']],
])('the secret %s is told how runs are whole with it', async (_whose, corpsecret, forbidden, allowed) => {
  const { connect, name } = await connecting(wecom, { rows: 60 }, { corpsecret });
  const option = `streams=${JSON.stringify(allowed)}`;
  expect((await connect()).out).toContain(
    `platformSync cannot read ${forbidden} with this credential, and its runs would end as partial. To read the others alone: npx syncline connect ${name} --option '${option}'\n`,
  );
  const said = await cli(['connect', name, '--option', option]);
  expect(said).toMatchObject({ code: 0 });
  expect(said.out).not.toContain('platformSync cannot read');
  expect(await cli(`start platformSync ${name} --wait`)).toMatchObject({ code: 0 });
});

test.each([
  ['parallel=99', 'parallel: got 99, accepted a whole number from 1 to 32'],
  ['parallel=1.5', 'parallel: got 1.5, accepted a whole number from 1 to 32'],
  ['guard.percent=101', 'guard.percent: got 101, accepted a number from 0 to 100'],
  ['snapshot=yes', 'snapshot: got "yes", accepted true or false'],
])('says of the option %s all that is accepted', async (option, why) => {
  const said = await cli(`connect ${fresh()} --platform kuaishou --option appKey=a --option ${option} --no-credential`);
  expect(said.err).toContain(why);
});
