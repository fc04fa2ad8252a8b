import pg from 'pg';
import * as v from 'valibot';
import { describe, expect, onTestFinished, test } from 'vitest';
import { mappingSchema } from '../connectors/hubspot/mapping.ts';
import { captureState, installCapture, probeMapping, removeCapture } from '../db/capture.ts';
import { takeClaim } from '../db/claims.ts';
import { createPool } from '../db/client.ts';
import { storedConnection } from '../db/connections.ts';
import { drainLog, logOf } from '../db/hubspot/drain.ts';
import { takeTurn } from '../db/hubspot/turns.ts';
import { type Crm, openCrm, usualMapping } from './harness/crm.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const { pool } = world;

/** Keys in the log, sorted; null stands for everybody. Empties it. */
async function taken(crm: Crm): Promise<(string | null)[]> {
  const { no } = await storedConnection(pool, crm.name);
  const { rows } = await pool.query(`DELETE FROM syncline_capture.log_${no} RETURNING key`);
  return rows.map(({ key }) => key).sort((a, b) => Number(a) - Number(b));
}

async function fresh(users = 20): Promise<Crm> {
  const crm = await openCrm(world, { users });
  expect(await taken(crm), 'what changed before the capture').toEqual([null]);
  return crm;
}

const owner = (crm: Crm) => storedConnection(pool, crm.name);
const mappingOf = (crm: Crm) => v.parse(mappingSchema, crm.mapping);

describe('what is captured', () => {
  test.each<[string, string, string[]]>([
    ['an insert', `INSERT INTO users (id, email) VALUES (101, 'a'), (102, 'b')`, ['101', '102']],
    ['an update of a mapped column', `UPDATE users SET name = 'x' WHERE id IN (3, 5)`, ['3', '5']],
    ['an update of another column', `UPDATE users SET note = 'x', extra = '{}'`, []],
    ['an update that changes nothing', `UPDATE users SET name = name, plan = plan`, []],
    ['an update of the condition of scope', `UPDATE users SET hidden = true WHERE id = 7`, ['7']],
    ['a changed key marks both', `UPDATE users SET id = 900 WHERE id = 4`, ['4', '900']],
    [
      'keys that change places',
      `UPDATE users SET id = CASE id WHEN 1 THEN 501 ELSE id + 1000 END WHERE id < 3`,
      ['1', '2', '501', '1002'],
    ],
    ['a delete', `DELETE FROM users WHERE id IN (8, 9)`, ['8', '9']],
    [
      'an upsert',
      `INSERT INTO users (id, name) VALUES (5, 'y'), (103, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name`,
      ['5', '103'],
    ],
    ['an order of a user', `INSERT INTO orders VALUES (900, 6, 1), (901, 6, 2)`, ['6']],
    ['an order that goes to another user', `UPDATE orders SET user_id = 12 WHERE id = 4`, ['3', '12']],
    ['an order whose total nobody maps', `UPDATE orders SET total = 0`, []],
    ['the name of a company', `UPDATE companies SET name = 'New' WHERE id = 2`, ['2']],
    ['a user who goes to another company', `UPDATE users SET company_id = 1 WHERE id = 14`, ['14']],
    ['an array of other content', `UPDATE users SET interests = ARRAY['events'] WHERE id = 1`, ['1']],
  ])('%s', async (_, statement, keys) => {
    const crm = await fresh();
    await crm.sql(statement);
    expect(await taken(crm)).toEqual(keys);
  });

  test('a truncated table is a mark for everybody, and a rolled back change none', async () => {
    const crm = await fresh();
    await crm.sql('TRUNCATE orders');
    expect(await taken(crm)).toEqual([null]);
    await crm.sql(`BEGIN; UPDATE users SET name = 'never'; ROLLBACK`);
    expect(await taken(crm)).toEqual([]);
  });

  test('an update of many rows is one insert into the log', async () => {
    const crm = await fresh(5_000);
    const { no } = await owner(crm);
    await pool.query(`CREATE TABLE ${crm.schema}.statements (n int);
      CREATE FUNCTION ${crm.schema}.count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ${crm.schema}.statements SELECT count(*) FROM added; RETURN NULL; END $$;
      CREATE TRIGGER count AFTER INSERT ON syncline_capture.log_${no} REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ${crm.schema}.count()`);
    await crm.sql(`UPDATE users SET name = 'all'`);
    expect(await crm.sql('SELECT n FROM statements')).toEqual([{ n: 5_000 }]);
  });

  test('values that are equal and not the same are changes: 1.0 and 1.00, json of other order', async () => {
    const crm = await openCrm(world, {
      users: 3,
      mapping: {
        properties: {
          app_note: { sql: 'u.extra::text', type: 'string' },
          app_orders: { sql: '(SELECT sum(o.total) FROM SCHEMA.orders o WHERE o.user_id = u.id)', type: 'number' },
        },
      },
      capture: false,
    });
    const mapping = JSON.parse(JSON.stringify(crm.mapping).replaceAll('SCHEMA', crm.schema));
    mapping.tables = { [`${crm.schema}.orders`]: { key: 'user_id' } };
    mapping.where = 'true';
    await installCapture(pool, await owner(crm), v.parse(mappingSchema, mapping));
    await taken(crm);
    await crm.sql(`UPDATE users SET extra = '{"a":1,"b":2}' WHERE id = 2`);
    await crm.sql(`UPDATE users SET extra = '{"b":2,"a":1}' WHERE id = 2`);
    await crm.sql(
      `UPDATE orders SET total = total::text || '.00' WHERE user_id = 1`.replace(
        "total::text || '.00'",
        "(total::text || '.00')::numeric",
      ),
    );
    expect(await taken(crm)).toEqual(['1', '2', '2']);
  });

  test('dates as keys and links are the same in whatever style the session writes them', async () => {
    const crm = await openCrm(world, { users: 3, capture: false });
    await crm.sql(`CREATE TABLE days (born date PRIMARY KEY, at timestamptz, name text);
      CREATE TABLE signs (at timestamptz PRIMARY KEY, name text); INSERT INTO days VALUES ('2026-05-03', '2026-05-03 12:00Z', 'May')`);
    const sign = `(SELECT s.name FROM ${crm.schema}.signs s WHERE s.at = u.at)`;
    const mapping = v.parse(mappingSchema, {
      ...{ from: `${crm.schema}.days`, key: 'born', idProperty: 'app_user_id' },
      properties: { firstname: { sql: 'u.name', type: 'string' }, app_company: { sql: sign, type: 'string' } },
      tables: { [`${crm.schema}.signs`]: { key: 'at', user: 'at' } },
    });
    await installCapture(pool, await owner(crm), mapping);
    await taken(crm);
    await crm.sql(`SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Tokyo'; UPDATE days SET name = 'May 3';
      INSERT INTO signs VALUES ('2026-05-03 12:00Z', 'bull'); RESET datestyle; RESET timezone`);
    expect(await taken(crm)).toEqual(['2026-05-03', '2026-05-03 12:00:00+00']);
  });

  test('who writes the table needs no right on our schema', async () => {
    const crm = await fresh();
    const role = `clerk_${crm.schema}`;
    await pool.query(
      `CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${crm.schema} TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA ${crm.schema} TO ${role}`,
    );
    await crm.sql(`SET ROLE ${role}; UPDATE users SET name = 'by a clerk' WHERE id = 2; RESET ROLE`);
    expect(await taken(crm)).toEqual(['2']);
    await pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });
});

test('two transactions that touch the same users in opposite order wait for rows of the table alone, and never deadlock in the log', async () => {
  const crm = await fresh();
  const url = world.servers.databaseUrl;
  const [a, b] = [new pg.Client({ connectionString: url }), new pg.Client({ connectionString: url })];
  await Promise.all([a.connect(), b.connect()]);
  // Each changes other rows; their users are the same two, marked in opposite order.
  const order = (client: pg.Client, id: number, user: number) =>
    client.query(`INSERT INTO ${crm.schema}.orders VALUES (${id}, ${user}, 1)`);
  for (let round = 0; round < 20; round++) {
    await Promise.all([a.query('BEGIN'), b.query('BEGIN')]);
    await order(a, 1_000 + round * 4, 1);
    await order(b, 1_001 + round * 4, 2);
    await Promise.all([order(a, 1_002 + round * 4, 2), order(b, 1_003 + round * 4, 1)]);
    await Promise.all([a.query('COMMIT'), b.query('COMMIT')]);
  }
  await Promise.all([a.end(), b.end()]);
  expect((await taken(crm)).length).toBe(80);
});

describe('a change of a company is taken from the log', () => {
  /** Moves the log into the dirty set as a run does. @returns who is dirty then, or that everybody is to be marked */
  async function drained(crm: Crm): Promise<string[] | 'everybody'> {
    const { name } = crm;
    const run = { workflowId: name, runId: name, isOpen: async () => false };
    const claim = await takeClaim(pool, { connection: name, pipeline: 'hubspot', ...run });
    if ('heldBy' in claim) throw new Error('held');
    await pool.query('INSERT INTO syncline.hubspot_syncs (connection_id) VALUES ($1) ON CONFLICT DO NOTHING', [name]);
    const { turn } = await takeTurn(pool, claim);
    const log = logOf((await owner(crm)).no, mappingOf(crm), await probeMapping(pool, mappingOf(crm)));
    for (let block: number | null = 0; block !== null; ) {
      const { everybody, next } = await drainLog(pool, turn, log, block);
      if (everybody) return 'everybody';
      block = next;
    }
    const { rows } = await pool.query('DELETE FROM syncline.hubspot_dirty WHERE connection_id = $1 RETURNING key', [
      name,
    ]);
    return rows.map(({ key }) => key).sort();
  }

  test('as its users, each once', async () => {
    const crm = await fresh(50);
    await crm.sql(`UPDATE companies SET name = name || '!' WHERE id IN (2, 3)`);
    await crm.sql(`UPDATE companies SET name = name || '!' WHERE id = 2`);
    await crm.sql(`UPDATE users SET name = 'x' WHERE id IN (2, 7)`);
    expect(await drained(crm)).toEqual(['2', '23', '24', '3', '44', '45', '7']);
  });

  test('as everybody, where it has more users than are marked at once', async () => {
    const crm = await fresh();
    await crm.sql('INSERT INTO users (id, company_id) SELECT i, 7 FROM generate_series(1001, 101000) i');
    await taken(crm);
    await crm.sql(`UPDATE companies SET name = 'Other' WHERE id = 7`);
    expect(await drained(crm), '100,001 of them').toBe('everybody');
  });

  test('as everybody, where the link has become another, or is no link of the mapping', async () => {
    const crm = await fresh();
    const { no } = await owner(crm);
    const log = (link: string, key: string) =>
      pool.query(`INSERT INTO syncline_capture.log_${no} (key, link) VALUES ($1, $2)`, [key, `${crm.schema}.${link}`]);
    await log('companies', 'of another type');
    expect(await drained(crm)).toBe('everybody');
    await log('invoices', '3');
    expect(await drained(crm)).toBe('everybody');
  });
});

describe('capture install, remove, status', () => {
  test('a log of an older version is told, and brought up to date with what it holds', async () => {
    const crm = await fresh();
    const { no } = await owner(crm);
    await pool.query(`ALTER TABLE syncline_capture.log_${no} DROP COLUMN link`);
    await crm.sql(`UPDATE users SET name = 'x' WHERE id = 3`);
    expect(await captureState(pool, await owner(crm), mappingOf(crm))).toMatchObject({ complete: false, log: false });
    expect(await installCapture(pool, await owner(crm), mappingOf(crm))).toMatchObject({ complete: true, log: true });
    expect(await taken(crm)).toEqual([null, '3']);
  });

  test('says what is missing, outdated and off, and repairs it', async () => {
    const crm = await openCrm(world, { users: 5, capture: false });
    const states = async () =>
      new Set((await captureState(pool, await owner(crm), mappingOf(crm))).triggers.map(({ state }) => state));
    expect(await states()).toEqual(new Set(['missing']));
    const installed = await installCapture(pool, await owner(crm), mappingOf(crm));
    expect(installed).toMatchObject({ complete: true, leftOver: [], log: true });
    expect(installed.triggers).toHaveLength(12);

    const { no } = await owner(crm);
    await crm.sql(`ALTER TABLE orders DISABLE TRIGGER syncline_${no}_update`);
    expect((await captureState(pool, await owner(crm), mappingOf(crm))).triggers).toContainEqual({
      table: `${crm.schema}.orders`,
      event: 'update',
      state: 'off',
    });
    await crm.sql(`ALTER TABLE orders ENABLE TRIGGER syncline_${no}_update`);

    const other = {
      ...mappingOf(crm),
      properties: { ...mappingOf(crm).properties, app_note: { sql: 'u.note', type: 'string' as const } },
    };
    expect(
      (await captureState(pool, await owner(crm), other)).triggers.filter(({ state }) => state === 'outdated'),
    ).toEqual([{ table: `${crm.schema}.users`, event: 'update', state: 'outdated' }]);
    expect(await installCapture(pool, await owner(crm), other)).toMatchObject({ complete: true });
    const fewer = { ...mappingOf(crm), properties: { email: { sql: 'u.email', type: 'string' as const } }, tables: {} };
    expect(await captureState(pool, await owner(crm), fewer)).toMatchObject({
      leftOver: [`${crm.schema}.companies`, `${crm.schema}.orders`],
    });
    expect(await installCapture(pool, await owner(crm), fewer)).toMatchObject({ complete: true, leftOver: [] });

    expect(await removeCapture(pool, await owner(crm))).toEqual([`${crm.schema}.users`]);
    expect(await captureState(pool, await owner(crm), mappingOf(crm))).toMatchObject({ complete: false, log: false });
    await crm.sql(`UPDATE users SET name = 'free again'`);
  });

  test('the least rights suffice, and each that is missing is named with its statement', async () => {
    const crm = await openCrm(world, { users: 5, capture: false });
    const role = `syncer_${crm.schema}`;
    await pool.query(
      `CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT ALL ON SCHEMA syncline, syncline_capture TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA syncline TO ${role}`,
    );
    const url = new URL(world.servers.databaseUrl);
    url.username = role;
    url.password = 'pw';
    const own = createPool({ url: url.href, size: 2 });
    onTestFinished(() => own.end());
    const install = async () => installCapture(own, await owner(crm), mappingOf(crm));
    await expect(install()).rejects.toThrow(`GRANT USAGE ON SCHEMA "${crm.schema}" TO "${role}"`);
    await pool.query(`GRANT USAGE ON SCHEMA ${crm.schema} TO ${role}`);
    await expect(install()).rejects.toThrow(`GRANT SELECT ON "${crm.schema}"."users" TO "${role}";`);
    await pool.query(`GRANT SELECT ON ALL TABLES IN SCHEMA ${crm.schema} TO ${role}`);
    await expect(install()).rejects.toThrow(`GRANT TRIGGER ON "${crm.schema}"."users" TO "${role}";`);
    await pool.query(`GRANT TRIGGER ON ALL TABLES IN SCHEMA ${crm.schema} TO ${role}`);
    expect(await install()).toMatchObject({ complete: true });
    await crm.sql(`UPDATE users SET name = 'x' WHERE id = 1`);
    expect(await taken(crm)).toEqual([null, '1']);
    await removeCapture(pool, await owner(crm));
    await pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  test('a table that is written without a pause is left alone after 5 s', async () => {
    const crm = await openCrm(world, { users: 5, capture: false });
    const busy = new pg.Client({ connectionString: world.servers.databaseUrl });
    await busy.connect();
    await busy.query(`BEGIN; UPDATE ${crm.schema}.users SET name = 'long' WHERE id = 1`);
    const installing = installCapture(pool, await owner(crm), mappingOf(crm));
    await expect(installing).rejects.toThrow(`${crm.schema}.users was written without a pause for 5s`);
    await busy.query('COMMIT');
    await busy.end();
    expect(await installCapture(pool, await owner(crm), mappingOf(crm))).toMatchObject({ complete: true });
  });
});

describe('a mapping that does not fit the database is told by place, value got and values accepted', () => {
  const cases: [string, (usual: ReturnType<typeof usualMapping>) => Record<string, unknown>, RegExp][] = [
    [
      'a table that is not there',
      () => ({ from: 'nowhere.users' }),
      /mapping\.from: got "nowhere\.users", which database "t_\w+" does not have.* must stand in the database of Syncline/,
    ],
    [
      'a table of ours',
      () => ({ from: 'syncline.claims' }),
      /mapping\.from: got "syncline\.claims", accepted a table in a schema of your own/,
    ],
    [
      'a column that is not there',
      (m) => ({
        properties: {
          ...m.properties,
          app_note: { sql: 'u.nott', type: 'string' },
          firstname: { sql: 'u.(', type: 'string' },
        },
      }),
      /mapping\.properties\.firstname\.sql: Postgres does not take it.*mapping\.properties\.app_note\.sql: Postgres does not take it \(column u\.nott does not exist\)/,
    ],
    ['a condition that is none', () => ({ where: 'u.name' }), /^mapping\.where: got text, accepted boolean$/],
    [
      'a key that is not unique',
      () => ({ key: 'company_id' }),
      /mapping\.key: got "company_id", accepted a column of \w+\.users that is NOT NULL and has a unique index/,
    ],
    [
      'a table without its join',
      () => ({ tables: {} }),
      /mapping\.tables: got nothing for "\w+\.companies", which the expressions read; accepted \{"key"/,
    ],
    [
      'a table that nobody reads',
      (m) => ({ tables: { ...m.tables, 'app.more': { key: 'id', columns: [] } } }),
      /mapping\.tables\."app\.more": no expression reads it; take it out/,
    ],
    [
      'a join by a column that is not there',
      (m) => ({ tables: { ...m.tables, [Object.keys(m.tables)[0]!]: { key: 'uid' } } }),
      /got the column "uid", which \w+\.orders does not have/,
    ],
  ];
  test.each(cases)('%s', async (_, change, message) => {
    const crm = await openCrm(world, { capture: false });
    const mapping = v.parse(mappingSchema, { ...crm.mapping, ...change(usualMapping(crm.schema)) });
    await expect(installCapture(pool, await owner(crm), mapping)).rejects.toThrow(message);
  });
});

test('the log of a transaction that is still open is not lost', async () => {
  const crm = await fresh();
  const open = new pg.Client({ connectionString: world.servers.databaseUrl });
  await open.connect();
  await open.query(`BEGIN; UPDATE ${crm.schema}.users SET name = 'slow' WHERE id = 1`);
  await crm.sql(`UPDATE users SET name = 'quick' WHERE id = 2`);
  expect(await taken(crm)).toEqual(['2']);
  await open.query('COMMIT');
  await open.end();
  await until('the log of the slow one', async () => (await taken(crm)).includes('1'));
});
