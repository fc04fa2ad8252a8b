import pg from 'pg';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { mappingSchema } from '../connectors/hubspot/mapping.ts';
import { captureState, installCapture, removeCapture } from '../db/capture.ts';
import { storedConnection } from '../db/connections.ts';
import { type Crm, openCrm } from './harness/crm.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const { pool } = world;

interface Parted extends Crm {
  owner: { id: string; no: number };
  captured: ReturnType<typeof v.parse<typeof mappingSchema>>;
}

/** Users in partitions by key, one of them parted itself, and visits in partitions by kind. Nothing is in the log. */
async function parted(): Promise<Parted> {
  const crm = await openCrm(world, { capture: false });
  await crm.sql(`CREATE TABLE people (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);
    CREATE TABLE people_1 PARTITION OF people FOR VALUES FROM (1) TO (100);
    CREATE TABLE people_2 PARTITION OF people FOR VALUES FROM (100) TO (300) PARTITION BY RANGE (id);
    CREATE TABLE people_2a PARTITION OF people_2 FOR VALUES FROM (100) TO (200);
    CREATE TABLE people_2b PARTITION OF people_2 FOR VALUES FROM (200) TO (300);
    CREATE TABLE visits (id bigint, person bigint, kind text, note text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
    CREATE TABLE visits_a PARTITION OF visits FOR VALUES IN ('a'); CREATE TABLE visits_b PARTITION OF visits FOR VALUES IN ('b');
    INSERT INTO people SELECT i, 'Name ' || i FROM generate_series(1, 9) i; INSERT INTO people VALUES (150, 'Name 150');
    INSERT INTO visits SELECT i, i, 'a' FROM generate_series(1, 9) i`);
  const visits = `${crm.schema}.visits`;
  const sql = `(SELECT count(*) FROM ${visits} v WHERE v.person = u.id AND v.kind = 'a')`;
  const mapping = {
    ...{ from: `${crm.schema}.people`, key: 'id', idProperty: 'app_user_id', leave: 'archive' },
    properties: { firstname: { sql: 'u.name', type: 'string' }, app_orders: { sql, type: 'number' } },
    tables: { [visits]: { key: 'person' } },
  };
  await crm.options({ mapping });
  const owner = await storedConnection(pool, crm.name);
  const captured = v.parse(mappingSchema, mapping);
  expect(await installCapture(pool, owner, captured)).toMatchObject({ complete: true, warnings: [] });
  const opened = { ...crm, owner, captured };
  await taken(opened);
  return opened;
}

/** Keys and links in the log, in order. Empties it. */
async function taken({ owner }: Parted): Promise<(string | null)[]> {
  const { rows } = await pool.query(`DELETE FROM syncline_capture.log_${owner.no} RETURNING key`);
  return rows.map(({ key }) => key).sort((a, b) => Number(a) - Number(b));
}

/** Each once. */
const marked = async (crm: Parted) => [...new Set(await taken(crm))];

const contacts = (crm: Crm) =>
  Object.fromEntries(
    [...crm.source.contacts.seen('app_user_id')].map(([key, held]) => [key, `${held.firstname} ${held.app_orders}`]),
  );

describe('a MERGE that moves rows between partitions', () => {
  const onUsers = 'MERGE INTO people t USING generate_series(1, 3) s(id) ON t.id = s.id';
  const onVisits = 'MERGE INTO visits t USING generate_series(1, 3) s(id) ON t.id = s.id';
  const absent = 'MERGE INTO people t USING (VALUES (1, 101), (2, 102), (50, 0)) s(id, next) ON t.id = s.id';
  test.each<[string, string, string[]]>([
    ['users', `${onUsers} WHEN MATCHED THEN UPDATE SET id = t.id + 100`, ['1', '2', '3', '101', '102', '103']],
    [
      'users, and deletes others',
      `${onUsers} WHEN MATCHED AND t.id = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET id = t.id + 100`,
      ['1', '2', '3', '101', '102'],
    ],
    [
      'users, and inserts others',
      `${absent} WHEN MATCHED THEN UPDATE SET id = s.next WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'new')`,
      ['1', '2', '50', '101', '102'],
    ],
    [
      'users, and does all',
      `${absent} WHEN MATCHED AND t.id = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET id = s.next WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'new')`,
      ['1', '2', '50', '101'],
    ],
    [
      'users of a partition that has partitions',
      `MERGE INTO people_2 t USING (VALUES (150)) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET id = 250`,
      ['150', '250'],
    ],
    ['rows of another table', `${onVisits} WHEN MATCHED THEN UPDATE SET kind = 'b'`, ['1', '2', '3']],
    [
      'rows of another table to another user',
      `${onVisits} WHEN MATCHED AND t.id = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET kind = 'b', person = 7`,
      ['1', '2', '3', '7'],
    ],
    [
      'rows, where others stay',
      `${onVisits} WHEN MATCHED THEN UPDATE SET kind = CASE t.id WHEN 2 THEN 'b' ELSE 'a' END`,
      ['2'],
    ],
  ])('%s', async (_, statement, keys) => {
    const crm = await parted();
    await crm.sql(statement);
    expect(await marked(crm)).toEqual(keys);
  });

  test('leaves each user one contact', async () => {
    const crm = await parted();
    await crm.sync();
    await crm.sql(`${onUsers} WHEN MATCHED THEN UPDATE SET id = t.id + 100, name = 'moved'`);
    await crm.sql(
      `MERGE INTO visits t USING generate_series(4, 5) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET kind = 'b'`,
    );
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 5, archived: 3 });
    const rest = { 6: 'Name 6 1', 7: 'Name 7 1', 8: 'Name 8 1', 9: 'Name 9 1', 150: 'Name 150 0' };
    const moved = { 101: 'moved 0', 102: 'moved 0', 103: 'moved 0' };
    expect(contacts(crm)).toEqual({ 4: 'Name 4 0', 5: 'Name 5 0', ...rest, ...moved });
  });

  test('is captured inside others, and behind a savepoint that is rolled back', async () => {
    const crm = await parted();
    // Moves a row for each that is written, and fails half way for one of them.
    await crm.sql(`CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN
        MERGE INTO people t USING (SELECT NEW.id - 100 + 3 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET id = t.id + 200;
        IF NEW.id = 102 THEN RAISE 'no'; END IF;
        RETURN NULL;
      EXCEPTION WHEN raise_exception THEN RETURN NULL; END $$;
      CREATE TRIGGER follow AFTER INSERT ON people_2a FOR EACH ROW EXECUTE FUNCTION follow()`);
    await taken(crm);
    await crm.sql(`${onUsers} WHEN MATCHED THEN UPDATE SET id = t.id + 100`);
    expect(await marked(crm)).toEqual(['1', '2', '3', '4', '6', '101', '102', '103', '204', '206']);
    await crm.sql(`BEGIN; SAVEPOINT a; MERGE INTO people t USING (VALUES (7)) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET id = 107;
      ROLLBACK TO a; INSERT INTO people VALUES (60, 'plain'); COMMIT`);
    expect(await taken(crm), 'the settings went back with it').toEqual(['60']);
  });

  test('goes on and marks everybody once where its column was renamed, or the log is gone', async () => {
    const crm = await parted();
    await crm.sql(`ALTER TABLE people RENAME COLUMN id TO no;
      MERGE INTO people t USING generate_series(1, 3) s(id) ON t.no = s.id WHEN MATCHED THEN UPDATE SET no = t.no + 100`);
    expect(await taken(crm), 'by the statement, and by its moves').toEqual([null, null]);
    await pool.query(`DROP TABLE syncline_capture.log_${crm.owner.no}`);
    await crm.sql(`${onVisits} WHEN MATCHED THEN UPDATE SET kind = 'b'`);
    expect(await crm.sql(`SELECT count(*)::int FROM visits_b`)).toEqual([{ count: 3 }]);
  });

  test('is written as few subtransactions', async () => {
    const crm = await parted();
    await crm.sql(`INSERT INTO visits SELECT i, 1, 'a' FROM generate_series(1001, 2000) i`);
    const xid = async () => Number((await crm.sql('SELECT pg_current_xact_id()::text AS xid'))[0]!.xid);
    const before = await xid();
    await crm.sql(
      `MERGE INTO visits t USING generate_series(1001, 2000) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET kind = 'b'`,
    );
    expect((await taken(crm)).length).toBeGreaterThan(1_000);
    expect((await xid()) - before).toBeLessThan(200);
  });
});

test('what moves no row is logged once, by its statement', async () => {
  const crm = await parted();
  await crm.sql(`INSERT INTO people VALUES (20, 'a'), (120, 'b'); DELETE FROM people WHERE id IN (20, 4);
    INSERT INTO people VALUES (5, 'c'), (21, 'd') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
    BEGIN; UPDATE people SET name = 'e' WHERE id = 6; INSERT INTO people VALUES (22, 'f'); DELETE FROM people WHERE id = 7; COMMIT;
    BEGIN; UPDATE people SET id = 108 WHERE id = 8; DELETE FROM people WHERE id = 108; INSERT INTO people VALUES (23, 'g'); COMMIT`);
  const once = ['4', '5', '6', '7', '20', '20', '21', '22', '23', '120'];
  const moved = ['8', '8', '108', '108', '108'];
  expect(await taken(crm)).toEqual([...once, ...moved].sort((a, b) => Number(a) - Number(b)));
});

test('a partition that came later is captured too, whoever made it', async () => {
  const crm = await parted();
  const role = `keeper_${crm.schema}`;
  await pool.query(`CREATE ROLE ${role}; GRANT USAGE, CREATE ON SCHEMA ${crm.schema} TO ${role}`);
  await crm.sql(`ALTER TABLE people OWNER TO ${role}; SET ROLE ${role};
    CREATE TABLE people_3 PARTITION OF people FOR VALUES FROM (300) TO (400); RESET ROLE`);
  await crm.sql(
    `MERGE INTO people t USING generate_series(1, 2) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET id = t.id + 300`,
  );
  expect(await marked(crm)).toEqual(['1', '2', '301', '302']);
  const { warnings, leftOver, complete } = await captureState(pool, crm.owner, crm.captured);
  expect({ warnings, leftOver, complete }).toEqual({
    warnings: [expect.stringContaining('people_3 has come to')],
    leftOver: [],
    complete: true,
  });
  await installCapture(pool, crm.owner, crm.captured);
  await crm.sql(`ALTER TABLE people DETACH PARTITION people_3`);
  expect(await captureState(pool, crm.owner, crm.captured)).toMatchObject({
    leftOver: [expect.stringContaining('people_3')],
  });
  await removeCapture(pool, crm.owner);
  expect(await crm.sql(`SELECT tgname FROM pg_trigger WHERE starts_with(tgname, 'syncline_${crm.owner.no}_')`)).toEqual(
    [],
  );
  await pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
});

test('status tells a trigger of moves that is off on one partition, or gone', async () => {
  const crm = await parted();
  const states = async () =>
    (await captureState(pool, crm.owner, crm.captured)).triggers
      .filter(({ state }) => state !== 'installed')
      .map(({ table, event, state }) => `${table.split('.')[1]} ${event} ${state}`);
  const name = `syncline_${crm.owner.no}_moved_in`;
  const { touched } = await captureState(pool, crm.owner, crm.captured);
  await crm.sql(`ALTER TABLE people_2a DISABLE TRIGGER ${name}`);
  expect(await states()).toEqual(['people moved_in off']);
  await crm.sql(`ALTER TABLE people_2a ENABLE TRIGGER ${name}`);
  expect(await states()).toEqual([]);
  expect((await captureState(pool, crm.owner, crm.captured)).touched).not.toBe(touched);
  await crm.sql(`DROP TRIGGER ${name} ON people; DROP TRIGGER syncline_${crm.owner.no}_moving ON people_2`);
  expect(await states()).toEqual(['people moved_in missing', 'people_2 moving missing']);
  expect(await installCapture(pool, crm.owner, crm.captured)).toMatchObject({ complete: true });
});

test('install gives way to a writer who has a partition and waits for its table', async () => {
  const crm = await parted();
  const url = world.servers.databaseUrl;
  const [first, writer] = [new pg.Client({ connectionString: url }), new pg.Client({ connectionString: url })];
  await Promise.all([first.connect(), writer.connect()]);
  const waiting = async (of: string) =>
    (
      await pool.query(
        `SELECT 1 FROM pg_locks WHERE NOT granted AND relation = '${crm.schema}.people'::regclass AND mode = $1`,
        [of],
      )
    ).rows.length > 0;
  await first.query(`BEGIN; LOCK TABLE ONLY ${crm.schema}.people IN ROW EXCLUSIVE MODE`);
  const install = installCapture(pool, crm.owner, crm.captured);
  const refused = expect(install).rejects.toThrow('people was written without a pause');
  // It has done the partitions, and none of them is held by it any more.
  await until('it waits for the table', () => waiting('ShareRowExclusiveLock'));
  await writer.query(`BEGIN; UPDATE ${crm.schema}.people_1 SET name = 'by the writer' WHERE id = 1`);
  const written = writer.query(`UPDATE ${crm.schema}.people SET name = 'by the writer' WHERE id = 2`);
  await until('the writer waits behind it', () => waiting('RowExclusiveLock'));
  await first.query('COMMIT');
  await Promise.all([written, refused]);
  await writer.query('COMMIT');
  await Promise.all([first.end(), writer.end()]);
  expect(await captureState(pool, crm.owner, crm.captured)).toMatchObject({ complete: true });
  expect(await taken(crm)).toEqual(['1', '2']);
});
