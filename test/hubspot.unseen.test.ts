import { describe, expect, onTestFinished, test } from 'vitest';
import { storedConnection } from '../db/connections.ts';
import { openCli } from './harness/cli.ts';
import { type Crm, type CrmOptions, openCrm } from './harness/crm.ts';
import { until } from './harness/until.ts';

const { world, cli } = await openCli();
const open = (given: CrmOptions = {}) =>
  openCrm(world, { users: 5, ...given, options: { callsPerWindow: 10_000, ...given.options } });

describe('a property that somebody deleted at HubSpot and made again is sent to everybody', () => {
  /** Its values go with it. */
  function drop({ source: { contacts } }: Crm, property: string) {
    const known = contacts.catalog.get(property)!;
    contacts.catalog.delete(property);
    for (const contact of contacts.all()) delete (contact.properties as Record<string, string>)[property];
    return known;
  }

  test('by check --create', async () => {
    const crm = await open();
    await crm.sync();
    drop(crm, 'app_company');
    expect(await cli(`hubspot check --connection ${crm.name} --create`)).toMatchObject({ code: 0 });
    expect((await cli(`status ${crm.name}`)).out).toContain('everybody is to be sent again');
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 5 });
    await crm.expectSame();
    expect(await crm.sync(), 'once').toMatchObject({ looked: 0 });
  });

  test('by a person there', async () => {
    const crm = await open();
    await crm.sync();
    const known = drop(crm, 'app_company');
    crm.source.contacts.catalog.set('app_company', { ...known, createdAt: '2026-01-01T00:00:00.000Z' });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 5 });
    await crm.expectSame();
    expect(await crm.sync(), 'once').toMatchObject({ looked: 0 });
  });
});

describe('what changes everybody’s value without writing a row is looked for by the next run', () => {
  const label = { sql: 'app_label(u.name)', type: 'string' };
  test.each<[string, string, Record<string, unknown>, string]>([
    [
      'an enum whose label is another',
      `CREATE TYPE app_tier AS ENUM ('free', 'team'); ALTER TABLE users ADD COLUMN tiers app_tier[] DEFAULT '{free}'`,
      { firstname: { sql: 'u.tiers[1]::text', type: 'string' } },
      `ALTER TYPE app_tier RENAME VALUE 'free' TO 'basic'`,
    ],
    [
      'a column that got another type and kept its bytes',
      `ALTER TABLE users ADD COLUMN lt timestamp DEFAULT '2026-01-01 12:00'`,
      { app_seen_at: { sql: 'u.lt', type: 'datetime', zone: 'Europe/Berlin' } },
      `SET timezone = 'UTC'; ALTER TABLE users ALTER lt TYPE timestamptz; RESET timezone`,
    ],
    [
      'a column that was dropped and made again',
      `UPDATE users SET note = 'some'`,
      { firstname: { sql: `coalesce(u.note, 'none')`, type: 'string' } },
      'ALTER TABLE users DROP COLUMN note; ALTER TABLE users ADD COLUMN note text',
    ],
    [
      'a function with another body',
      `CREATE FUNCTION app_label(name text) RETURNS text LANGUAGE sql AS $$ SELECT 'Dear ' || name $$`,
      { firstname: label },
      `CREATE OR REPLACE FUNCTION app_label(name text) RETURNS text LANGUAGE sql AS $$ SELECT 'Hello ' || name $$`,
    ],
    [
      'a function that another one calls',
      `CREATE FUNCTION app_hail() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'Dear '; END $$;
       CREATE FUNCTION app_label(name text) RETURNS text RETURN app_hail() || name`,
      { firstname: label },
      `CREATE OR REPLACE FUNCTION app_hail() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'Hello '; END $$`,
    ],
  ])('%s', async (_, before, properties, change) => {
    const crm = await open({ capture: false });
    await crm.sql(before.replace(/app_/g, `${crm.schema}.app_`));
    const own = JSON.parse(JSON.stringify(properties).replace(/app_label/g, `${crm.schema}.app_label`));
    await crm.options({ mapping: { ...crm.mapping, properties: own, tables: {} } });
    await cli(`capture install ${crm.name}`);
    expect(await crm.sync()).toMatchObject({ written: 5 });
    await crm.sql(change.replace(/app_/g, `${crm.schema}.app_`));
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 5 });
    expect(await crm.sync(), 'once').toMatchObject({ looked: 0 });
  });
});

test('a day by a cast is the same in whatever zone the database is', async () => {
  const properties = { app_signed_up: { sql: 'u.seen_at::date', type: 'date' } };
  const crm = await open({ mapping: { properties, tables: {} } });
  await crm.sql(`UPDATE users SET seen_at = '2026-01-01 23:30Z'`);
  const role = (await crm.sql('SELECT quote_ident(current_user) AS role'))[0]!.role;
  const preview = async () => (await cli(`hubspot preview 1 --connection ${crm.name}`)).out;
  const first = await preview();
  expect(first).toContain(String(Date.UTC(2026, 0, 1)));
  // Of this role in this database alone; the command line opens sessions of its own.
  const zone = `ALTER ROLE ${role} IN DATABASE ${(await crm.sql('SELECT quote_ident(current_database()) AS name'))[0]!.name}`;
  await crm.sql(`${zone} SET timezone = 'Asia/Tokyo'`);
  onTestFinished(async () => void (await crm.sql(`${zone} RESET timezone`)));
  expect(await preview()).toBe(first);
});

describe('an install that is cut', () => {
  /** Ends its backend while it marks everybody. */
  async function cut(crm: Crm) {
    const { no } = await storedConnection(world.pool, crm.name);
    const log = `syncline_capture.log_${no}`;
    const [writer, holder] = [await world.pool.connect(), await world.pool.connect()];
    try {
      await writer.query(`BEGIN; LOCK TABLE ${crm.schema}.orders IN ROW EXCLUSIVE MODE`);
      const install = cli(`capture install ${crm.name}`);
      const waits = (statement: string) =>
        `FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%${statement}%' AND pid <> pg_backend_pid()`;
      const some = async (text: string) => Number((await world.pool.query(text)).rowCount) > 0;
      await until('it waits for the orders', () => some(`SELECT 1 ${waits(`TRIGGER%${crm.schema}"."orders`)}`));
      await holder.query(`BEGIN; LOCK TABLE ${log} IN SHARE MODE`);
      await writer.query('COMMIT');
      await until('it is ended', () => some(`SELECT pg_terminate_backend(pid) ${waits(`INSERT INTO ${log}`)}`));
      return await install;
    } finally {
      await holder.query('COMMIT');
      writer.release();
      holder.release();
    }
  }

  test('says to run it again, as capture status does, and loses nobody', async () => {
    const crm = await open({ capture: false });
    const again = `npx syncline capture install ${crm.name}`;
    expect(await cut(crm)).toMatchObject({ code: 1, err: expect.stringContaining(`again: ${again}`) });
    expect(await cli(`capture status ${crm.name}`)).toMatchObject({ code: 1, out: expect.stringContaining(again) });
    await cli(`capture install ${crm.name}`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', marked: 5, written: 5 });
  });
});

test('a first run looks at everybody, whatever became of the log', async () => {
  const crm = await open();
  const { no } = await storedConnection(world.pool, crm.name);
  await world.pool.query(`DELETE FROM syncline_capture.log_${no}`);
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 5 });
});
