import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { startPlatformSandbox } from '../sandbox/platform.ts';
import { taobao } from '../sandbox/taobao.ts';
import { platformSync } from '../workflows/index.ts';
import { resultOf } from './harness/platforms.ts';
import { openWorld } from './harness/world.ts';

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

test('a connection that names no database is whole without the streams of one', async () => {
  const result = await sync(await connect(false));
  expect(result.outcome).toBe('whole');
  expect(result.streams.map(({ stream }) => stream)).not.toContain('push_trades');
});
