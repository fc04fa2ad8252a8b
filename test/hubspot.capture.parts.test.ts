import * as v from 'valibot';
import { expect, onTestFinished, test } from 'vitest';
import { mappingSchema } from '../connectors/hubspot/mapping.ts';
import { installCapture } from '../db/capture.ts';
import { storedConnection } from '../db/connections.ts';
import { openCli } from './harness/cli.ts';
import { openCrm } from './harness/crm.ts';
import { failureOfRun } from './harness/platforms.ts';

const { world, cli } = await openCli();

/** A CRM whose users stand in partitions, one of them by a name that wants quotes. */
async function partitioned() {
  const crm = await openCrm(world, { capture: false });
  await crm.sql(`CREATE TABLE people (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);
    CREATE TABLE "people.1 of ""3" PARTITION OF people FOR VALUES FROM (1) TO (100);
    CREATE TABLE people_2 PARTITION OF people FOR VALUES FROM (100) TO (200);
    INSERT INTO people VALUES (1, 'one'), (2, 'two'), (101, 'other')`);
  const properties = { firstname: { sql: 'u.name', type: 'string' } };
  const mapping = { from: `${crm.schema}.people`, key: 'id', idProperty: 'app_user_id', leave: 'archive', properties };
  await crm.options({ mapping });
  expect(await cli(`capture install ${crm.name}`)).toMatchObject({ code: 0, err: '' });
  expect(await crm.sync()).toMatchObject({ written: 3 });
  return crm;
}

const names = (crm: Awaited<ReturnType<typeof partitioned>>) =>
  Object.fromEntries([...crm.source.contacts.seen('app_user_id')].map(([key, { firstname }]) => [key, firstname]));

test('statements that name a partition are captured, and those that name its table once', async () => {
  const crm = await partitioned();
  await crm.sql(
    `UPDATE "people.1 of ""3" SET name = 'uno' WHERE id = 1; DELETE FROM people_2; INSERT INTO people VALUES (102, 'new')`,
  );
  const { no } = await storedConnection(world.pool, crm.name);
  const { rows } = await world.pool.query(`SELECT key FROM syncline_capture.log_${no} ORDER BY key`);
  expect(rows.map(({ key }) => key)).toEqual(['1', '101', '102']);
  await crm.sync();
  expect(names(crm)).toEqual({ 1: 'uno', 2: 'two', 102: 'new' });
});

test('partitions that come and go are told, and everybody is looked at', async () => {
  const crm = await partitioned();
  await crm.sql(`CREATE TABLE people_3 (LIKE people INCLUDING ALL); INSERT INTO people_3 VALUES (201, 'attached');
    ALTER TABLE people ATTACH PARTITION people_3 FOR VALUES FROM (200) TO (300)`);
  const came = await cli(`capture status ${crm.name}`);
  expect(came).toMatchObject({ code: 0, err: '' });
  expect(came.out).toContain(`Warning: ${crm.schema}.people_3 has come to ${crm.schema}.people without triggers`);
  expect(came.out).toContain(`Capture them: npx syncline capture install ${crm.name}`);
  await crm.sync();
  expect(names(crm)).toEqual({ 1: 'one', 2: 'two', 101: 'other', 201: 'attached' });
  await cli(`capture install ${crm.name}`);
  await crm.sync();
  expect((await cli(`capture status ${crm.name}`)).out).not.toContain('Warning');
  await crm.sql('ALTER TABLE people DETACH PARTITION people_2; DROP TABLE people_3');
  await crm.sync();
  expect(names(crm)).toEqual({ 1: 'one', 2: 'two' });
  const gone = await cli(`capture status ${crm.name}`);
  expect(gone.out).toContain(`${crm.schema}.people_2 has triggers although the mapping no longer reads it`);
});

test('a column that is written anew by ALTER TABLE marks everybody', async () => {
  const crm = await partitioned();
  await crm.sql(`ALTER TABLE people ALTER COLUMN name TYPE varchar(200) USING upper(name)`);
  await crm.sync();
  expect(names(crm)).toEqual({ 1: 'ONE', 2: 'TWO', 101: 'OTHER' });
  expect(await crm.sync(), 'once').toMatchObject({ looked: 0 });
});

test('a partition that is read beside its table is refused', async () => {
  const crm = await partitioned();
  const sql = `(SELECT p.name FROM ${crm.schema}.people_2 p WHERE p.id = u.id)`;
  const mapping = v.parse(mappingSchema, {
    ...{ from: `${crm.schema}.people`, key: 'id', idProperty: 'app_user_id' },
    ...{ properties: { firstname: { sql, type: 'string' } }, tables: { [`${crm.schema}.people_2`]: { key: 'id' } } },
  });
  await expect(installCapture(world.pool, await storedConnection(world.pool, crm.name), mapping)).rejects.toThrow(
    `mapping reads "${crm.schema}.people_2" as well as "${crm.schema}.people", of which it is a part`,
  );
});

test('tables that inherit are captured but for the users, and foreign ones refused', async () => {
  const crm = await openCrm(world, { users: 2, capture: false });
  await crm.sql('CREATE TABLE gifts () INHERITS (orders)');
  await cli(`capture install ${crm.name}`);
  await crm.sync();
  await crm.sql('INSERT INTO gifts (id, user_id) VALUES (901, 1), (902, 1)');
  expect(await crm.sync()).toMatchObject({ written: 1 });
  await crm.expectSame();
  const wrapper = `w_${crm.schema}`;
  await crm.sql(`CREATE TABLE guests (PRIMARY KEY (id)) INHERITS (users);
    CREATE FOREIGN DATA WRAPPER ${wrapper}; CREATE SERVER ${wrapper} FOREIGN DATA WRAPPER ${wrapper};
    CREATE FOREIGN TABLE far () INHERITS (orders) SERVER ${wrapper}`);
  onTestFinished(async () => void (await crm.sql(`DROP FOREIGN DATA WRAPPER ${wrapper} CASCADE`)));
  const said = await cli(`capture install ${crm.name}`);
  expect(said.err).toContain(`mapping reads "${crm.schema}.orders", whose part "${crm.schema}.far" is a foreign table`);
  expect(said.err).toContain(`mapping.from: got "${crm.schema}.users", from which "${crm.schema}.guests" inherits`);
});

test('a table that becomes a part of another is refused from then on, for statements that name the other are not seen', async () => {
  const crm = await openCrm(world, { users: 2 });
  await crm.sync();
  await crm.sql(`CREATE TABLE all_orders (LIKE orders INCLUDING DEFAULTS) PARTITION BY RANGE (user_id);
    ALTER TABLE all_orders ATTACH PARTITION orders FOR VALUES FROM (0) TO (1000);
    UPDATE all_orders SET user_id = 2`);
  const refused = `mapping reads "${crm.schema}.orders", a part of "${crm.schema}.all_orders"`;
  expect(await failureOfRun(crm.sync())).toMatchObject({
    type: 'InvalidInput',
    message: expect.stringContaining(refused),
  });
  expect((await cli(`capture status ${crm.name}`)).out).toContain(refused);
});

test('what was written while the triggers were off is looked for when they are on again', async () => {
  const crm = await partitioned();
  await crm.sql(`ALTER TABLE people DISABLE TRIGGER USER; UPDATE people SET name = 'restored' WHERE id = 1;
    ALTER TABLE people ENABLE TRIGGER USER`);
  expect(await crm.sync()).toMatchObject({ written: 1 });
  expect(names(crm)[1]).toBe('restored');
  expect(await crm.sync(), 'nobody touched them since').toMatchObject({ written: 0, unchanged: 0 });
});
