import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { mappingSchema } from '../connectors/hubspot/mapping.ts';
import { installCapture, probeMapping } from '../db/capture.ts';
import { storedConnection } from '../db/connections.ts';
import { openCli } from './harness/cli.ts';
import { type Crm, openCrm } from './harness/crm.ts';

const { world, cli } = await openCli();
const { pool } = world;

/** A connection over tables of the test's own; `@` is the schema. */
async function opened(ddl: string, change: Record<string, unknown>, users = 5): Promise<Crm> {
  const crm = await openCrm(world, { users, capture: false });
  await crm.sql(ddl);
  const own = JSON.parse(JSON.stringify({ where: 'true', ...change }).replaceAll('@', `${crm.schema}.`));
  const mapping = { ...crm.mapping, tables: {}, ...own };
  await crm.options({ mapping });
  await installCapture(pool, await storedConnection(pool, crm.name), v.parse(mappingSchema, mapping));
  return crm;
}

const contacts = (crm: Crm, property: string) =>
  Object.fromEntries([...crm.source.contacts.seen('app_user_id')].map(([key, held]) => [key, held[property]]));
const name = { firstname: { sql: 'u.name', type: 'string' } };
const counted = (from: string) => ({ app_orders: { sql: `(SELECT count(*) FROM ${from})`, type: 'number' } });

describe('one user is one contact, in whatever letters the key is written', () => {
  const people = `CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE people (id text COLLATE any_case PRIMARY KEY, name text); INSERT INTO people VALUES ('ann', 'Ann'), ('ben', 'Ben')`;

  test('by a table that leads to it', async () => {
    const crm = await opened(
      `${people}; CREATE TABLE visits (id bigint PRIMARY KEY, person text COLLATE any_case REFERENCES people ON DELETE CASCADE)`,
      {
        from: '@people',
        properties: { ...name, ...counted('@visits v WHERE v.person = u.id') },
        tables: { '@visits': { key: 'person' } },
        leave: 'archive',
      },
    );
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 2 });
    await crm.sql(`INSERT INTO visits VALUES (1, 'ANN'), (2, 'Ann'), (3, 'ben')`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 2 });
    expect(contacts(crm, 'app_orders')).toEqual({ ann: '2', ben: '1' });
    await crm.sql(`DELETE FROM people WHERE id = 'ANN'`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', archived: 1 });
    expect(contacts(crm, 'app_orders')).toEqual({ ben: '1' });
  });

  test('by a person', async () => {
    const crm = await opened('SELECT', { properties: name, leave: 'archive' });
    await crm.sync();
    expect(await cli(`hubspot preview 005 --connection ${crm.name}`)).toMatchObject({
      code: 0,
      out: expect.stringContaining('"app_user_id": "5"'),
    });
    expect(await cli(`hubspot sync 005 --connection ${crm.name}`)).toMatchObject({ code: 0 });
    expect(Object.keys(contacts(crm, 'firstname'))).toEqual(['1', '2', '3', '4', '5']);
    await crm.sql('DELETE FROM users WHERE id = 5');
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', archived: 1 });
    expect(Object.keys(contacts(crm, 'firstname'))).toEqual(['1', '2', '3', '4']);
    expect(await cli(`hubspot sync five --connection ${crm.name}`)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/User: got "five", accepted a key of the users.*\(bigint\)/),
    });

    const texts = await opened(people, { from: '@people', properties: name });
    await texts.sync();
    expect(await cli(`hubspot sync ANN --connection ${texts.name}`)).toMatchObject({ code: 0 });
    expect(contacts(texts, 'firstname')).toEqual({ ann: 'Ann', ben: 'Ben' });
  });
});

describe('a key that is written anew, and equal to what it was, is another user', () => {
  const anyCase = `CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`;
  test.each([
    ['numeric', 'numeric', '1.0', '1.00', '7'],
    ['text under a collation', 'text COLLATE any_case', 'abc', 'ABC', 'ben'],
    ['double precision', 'float8', '0', '-0', '7'],
    ['interval', 'interval', '1 day', '24:00:00', '7 days'],
  ])('%s', async (_, type, before, after, other) => {
    const crm = await opened(
      `${anyCase}; CREATE TABLE people (id ${type} PRIMARY KEY, name text); INSERT INTO people VALUES ('${before}', 'old'), ('${other}', 'Ben')`,
      { from: '@people', properties: name, leave: 'archive' },
    );
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 2 });
    await crm.sql(`UPDATE people SET id = '${after}' WHERE name = 'old'`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', looked: 2, written: 1, archived: 1 });
    expect(contacts(crm, 'firstname')).toEqual({ [after]: 'old', [other]: 'Ben' });
    await crm.sql(`UPDATE people SET name = 'current' WHERE id = '${before}'; UPDATE people SET name = name`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', looked: 1, written: 1, archived: 0 });
    await crm.sync({ mode: 'full' });
    expect(contacts(crm, 'firstname')).toEqual({ [after]: 'current', [other]: 'Ben' });
  });

  test('so that its contact is left, or told', async () => {
    const crm = await opened(
      `${anyCase}; CREATE TABLE people (id text COLLATE any_case PRIMARY KEY, name text); INSERT INTO people VALUES ('abc', 'old')`,
      { from: '@people', properties: name, leave: 'update', leaveValues: { firstname: 'left' } },
    );
    await crm.sync();
    await crm.sql(`UPDATE people SET id = 'ABC', name = 'current'`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 2 });
    expect(contacts(crm, 'firstname')).toEqual({ abc: 'left', ABC: 'current' });
  });

  test.each(['archive', 'leave'])(
    'where the old one keeps its address, the new one waits for it (%s)',
    async (leave) => {
      const crm = await opened(
        `CREATE TABLE people (id text PRIMARY KEY, mail text); INSERT INTO people VALUES ('u1', 'ann@example.org')`,
        { from: '@people', properties: { email: { sql: 'u.mail', type: 'string' } }, leave },
      );
      await crm.sync();
      await crm.sql(`UPDATE people SET id = 'U1'`);
      const result = await crm.sync();
      if (leave === 'archive') {
        expect(result).toMatchObject({ outcome: 'whole', archived: 1, written: 1 });
        expect(contacts(crm, 'email')).toEqual({ U1: 'ann@example.org' });
        return;
      }
      expect(result).toMatchObject({ outcome: 'partial', written: 0 });
      expect([...(await crm.parked()).values()].join()).toContain('conflict');
      const rejects = await cli(`rejects ${crm.name}`);
      expect(rejects.out).toMatch(
        /the contact of a user who left or whose key changed, clear the value or delete it there/,
      );
    },
  );

  test.each(['archive', 'leave'])('where its address is the id, of one contact at HubSpot (%s)', async (leave) => {
    const crm = await opened(
      `${anyCase}; CREATE TABLE people (id text COLLATE any_case PRIMARY KEY, name text); INSERT INTO people VALUES ('ann@example.org', 'old'), ('ben@example.org', 'Ben')`,
      { from: '@people', idProperty: 'email', properties: name, leave },
    );
    await crm.sync();
    await crm.sql(`UPDATE people SET id = upper(id), name = 'current' WHERE name = 'old'`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1, archived: leave === 'archive' ? 1 : 0 });
    const alive = [...crm.source.contacts.seen('email')].map(([key, { firstname }]) => `${key} ${firstname}`);
    expect(alive.sort()).toEqual(['ann@example.org current', 'ben@example.org Ben']);
    expect(await crm.parked()).toEqual(new Map());
  });
});

describe('a text as key', () => {
  test('may have a collation of its own', async () => {
    const crm = await opened(
      `CREATE TABLE people (id text COLLATE "en-x-icu" PRIMARY KEY, name text); INSERT INTO people VALUES ('ann', 'Ann'), ('ben', 'Ben')`,
      { from: '@people', properties: name, leave: 'archive' },
    );
    expect(await cli(`hubspot check --connection ${crm.name}`)).toMatchObject({ code: 0 });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 2 });
    await crm.sql(`DELETE FROM people WHERE id = 'ann'; UPDATE people SET name = 'Benno'`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1, archived: 1 });
    expect(contacts(crm, 'firstname')).toEqual({ ben: 'Benno' });
  });

  test('may be empty: the user is set aside and told, and no run is whole with him', async () => {
    const crm = await opened(
      `CREATE TABLE people (id text PRIMARY KEY, name text); INSERT INTO people VALUES ('', 'Nobody'), ('ann', 'Ann'), ('ben', 'Ben')`,
      { from: '@people', properties: name, leave: 'archive' },
    );
    const parked = new Map([['', 'missing_id app_user_id']]);
    expect(await crm.sync()).toMatchObject({ outcome: 'partial', written: 2, refusedHere: 1 });
    expect(await crm.parked()).toEqual(parked);
    expect(await cli(['hubspot', 'sync', '', '--connection', crm.name])).toMatchObject({
      code: 1,
      out: expect.stringContaining('Partial: 0 written, 1 set aside'),
    });
    await crm.sql(`UPDATE people SET name = name || ' Other'`);
    expect(await crm.sync()).toMatchObject({ outcome: 'partial', written: 2, refusedHere: 1 });
    expect(await crm.parked()).toEqual(parked);
    expect((await cli(`status ${crm.name}`)).out).toContain('nothing to send');
    await crm.sql(`TRUNCATE people; INSERT INTO people VALUES ('ann', 'Ann'), ('ben', 'Ben')`);
    expect(await crm.sync(), 'everybody is looked at').toMatchObject({ outcome: 'whole', looked: 3, written: 2 });
    expect(await crm.parked()).toEqual(new Map());
  });

  test.each(['', ' COLLATE "en-x-icu"', ' COLLATE "C"'])('is looked up by its index%s', async (collation) => {
    const crm = await opened(
      `CREATE TABLE people (id text${collation} PRIMARY KEY, name text); INSERT INTO people SELECT i, i FROM generate_series(1, 20000) i; ANALYZE people`,
      { from: '@people', properties: name },
    );
    const mapping = v.parse(mappingSchema, {
      ...crm.mapping,
      from: `${crm.schema}.people`,
      properties: name,
      tables: {},
      where: 'true',
    });
    const { keyCast } = await probeMapping(pool, mapping);
    const { rows } = await pool.query(
      `EXPLAIN SELECT (SELECT u.name FROM ${crm.schema}.people u WHERE u.id = d.key::${keyCast} OFFSET 0) FROM syncline.hubspot_dirty d`,
    );
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('Index Scan using people_pkey');
  });
});

test('check runs the expressions once: what Postgres refuses only then is told', async () => {
  const crm = await opened(
    `CREATE TABLE cards (id bigint PRIMARY KEY, user_id bigint, mark text COLLATE "en-x-icu", other text COLLATE "de-x-icu"); INSERT INTO cards VALUES (1, 1, 'a', 'a')`,
    {
      properties: counted('@cards c WHERE c.user_id = u.id AND c.mark = c.other'),
      tables: { '@cards': { key: 'user_id' } },
    },
  );
  expect(await cli(`hubspot check --connection ${crm.name}`)).toMatchObject({
    code: 1,
    out: expect.stringMatching(
      /^mapping {3}mapping: Postgres cannot run its expressions \(SQLSTATE 42P22: .*collation/m,
    ),
  });
  await crm.sql('DELETE FROM users');
  expect(await cli(`hubspot check --connection ${crm.name}`)).toMatchObject({ code: 0 });
});

test('check tells of expressions that no user has the values for, and quotes none', async () => {
  const sql = `(u.name || 'secret')::int`;
  const crm = await opened('', { properties: { app_orders: { sql, type: 'number' } } });
  const checked = await cli(`hubspot check --connection ${crm.name}`);
  expect(checked).toMatchObject({
    code: 1,
    out: expect.stringMatching(
      /^values {4}the expressions of the mapping failed for each of the \d+ users tried \(SQLSTATE 22P02\): a run would set all of them aside/m,
    ),
  });
  expect(checked.out).toContain('a run would begin, and set users with such values aside');
  expect(checked.out).not.toContain('secret');
  // One for whom they run is enough.
  await crm.sql(`UPDATE users SET name = NULL WHERE id = 3`);
  expect(await cli(`hubspot check --connection ${crm.name}`)).toMatchObject({ code: 0 });
});

describe('the ways around a join that is not proven', () => {
  test('a generated column leads to the user', async () => {
    const crm = await opened(
      `ALTER TABLE orders ADD COLUMN payer_id bigint; ALTER TABLE orders ADD payer bigint GENERATED ALWAYS AS (coalesce(payer_id, user_id)) STORED`,
      { properties: counted('@orders o WHERE o.payer = u.id'), tables: { '@orders': { key: 'payer' } } },
    );
    await crm.sync();
    await crm.sql('INSERT INTO orders (id, user_id, payer_id) VALUES (900, 4, NULL), (901, 4, 5)');
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 2 });
    expect(contacts(crm, 'app_orders')).toMatchObject({ 4: '1', 5: '1' });
  });

  test('a function is vouched for', async () => {
    const sum = `CREATE FUNCTION score(who bigint) RETURNS numeric LANGUAGE plpgsql STABLE AS $f$ BEGIN
      RETURN (SELECT sum(o.total) FROM SCHEMA.orders o WHERE coalesce(o.user_id, 0) = who); END $f$`;
    const crm = await openCrm(world, { users: 5, capture: false });
    await crm.sql(sum.replace('SCHEMA', crm.schema));
    const sql = `CASE WHEN false THEN (SELECT 1 FROM ${crm.schema}.orders o WHERE o.user_id = u.id) ELSE ${crm.schema}.score(u.id) END`;
    const mapping = {
      ...crm.mapping,
      properties: { app_orders: { sql, type: 'number' } },
      tables: { [`${crm.schema}.orders`]: { key: 'user_id', columns: ['total'] } },
    };
    await crm.options({ mapping });
    await installCapture(pool, await storedConnection(pool, crm.name), v.parse(mappingSchema, mapping));
    await crm.sync();
    await crm.sql('UPDATE orders SET total = 7.5 WHERE id = 1');
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
    expect(contacts(crm, 'app_orders')).toMatchObject({ 1: '7.5' });
  });
});
