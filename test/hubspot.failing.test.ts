import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { mappingSchema } from '../connectors/hubspot/mapping.ts';
import { installCapture } from '../db/capture.ts';
import { storedConnection } from '../db/connections.ts';
import { openCli } from './harness/cli.ts';
import { type Crm, type CrmOptions, openCrm } from './harness/crm.ts';
import { failureOfRun } from './harness/platforms.ts';

const { world, cli } = await openCli();
const name = { firstname: { sql: 'u.name', type: 'string' } };

/** Five users whose mapping calls functions of the test's own; `@` is the schema. */
async function opened(mapping: Record<string, unknown>, functions = 'SELECT', given: CrmOptions = {}): Promise<Crm> {
  const crm = await openCrm(world, { users: 5, capture: false, ...given });
  await crm.sql(functions);
  const own = JSON.parse(JSON.stringify({ tables: {}, where: 'true', ...mapping }).replaceAll('@', `${crm.schema}.`));
  crm.mapping = { ...crm.mapping, ...own };
  await crm.options({ mapping: crm.mapping });
  await installCapture(world.pool, await storedConnection(world.pool, crm.name), v.parse(mappingSchema, crm.mapping));
  return crm;
}

/** A function that fails for the note `bad`, with a code of its own. */
const raises = (code: string) => `CREATE FUNCTION checked(note text) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN
  IF note = 'bad' THEN RAISE EXCEPTION 'no' USING ERRCODE = '${code}'; END IF; RETURN coalesce(note, '1'); END $f$`;
const checked = { properties: { ...name, app_note: { sql: '@checked(u.note)', type: 'string' } } };

describe('a user whose expressions fail is set aside alone', () => {
  const properties = {
    string: 'app_note',
    number: 'app_orders',
    date: 'app_signed_up',
    datetime: 'app_seen_at',
    bool: 'app_active',
    boolean: 'app_active',
    enumeration: 'app_interests',
  };
  const of = (type: keyof typeof properties, sql: string, zone?: string) => ({
    properties: { ...name, [properties[type]]: { sql, type, zone } },
  });
  const where = (sql: string) => ({ properties: name, where: sql });
  const path = `coalesce(u.note, '$.a')::jsonpath`;
  test.each<[what: string, code: string, bad: string, mapping: Record<string, unknown>, functions?: string]>([
    ['a function with a code of its own', 'MY001', 'bad', checked, raises('MY001')],
    ['a function that speaks as the server', 'XX000', 'bad', checked, raises('XX000')],
    ['a function that speaks of rights', '42501', 'bad', checked, raises('42501')],
    ['a function that speaks of time', '57014', 'bad', checked, raises('57014')],
    ['a function that speaks of other transactions', '40001', 'bad', checked, raises('40001')],
    ['a function that speaks of a lock', '55P03', 'bad', checked, raises('55P03')],
    ['a function that speaks of memory', '53200', 'bad', checked, raises('53200')],
    ['a function that reads a file', '58P01', 'bad', checked, raises('58P01')],
    ['a function that says nothing more', 'P0001', 'bad', checked, raises('P0001')],
    ['the condition, by a function', 'MY001', 'bad', where(`@checked(u.note) = '1'`), raises('MY001')],
    ['the condition, by a cast', '22P02', 'x', where(`coalesce(u.note, '1')::int > 0`)],
    ['the condition, by a path', '42601', '$$', where(`jsonb_path_exists('{"a":1}', ${path})`)],
    ['a text', '42601', '$$', of('string', `jsonb_path_query_first('{"a":1}', ${path})::text`)],
    ['the name of a table', '42P01', 'no_such', of('string', `coalesce(u.note, 'pg_class')::regclass::text`)],
    ['the name of a type', '42704', 'no_such', of('string', `coalesce(u.note, 'text')::regtype::text`)],
    ['a length', '54000', '2000000000', of('number', `length(repeat('xx', coalesce(u.note, '1')::int))`)],
    ['a number', '22P02', 'x', of('number', 'u.note::numeric')],
    ['two rows', '21000', 'x', of('number', '(SELECT x FROM generate_series(1, length(u.note) + 1) x)')],
    ['a day', '22007', 'x', of('date', 'u.note::date')],
    ['a moment', '22008', '2026-02-31', of('datetime', 'u.note::timestamp', 'Europe/Berlin')],
    ['yes or no', '22P02', 'x', of('bool', 'u.note::boolean')],
    ['yes or no by its long name', '22P02', 'x', of('boolean', 'u.note::boolean')],
    ['choices', '22P02', 'x', of('enumeration', 'u.note::text[]')],
  ])('%s (%s)', async (_what, code, bad, mapping, functions) => {
    const crm = await opened(mapping, functions);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 5 });
    await crm.sql('UPDATE users SET note = $1 WHERE id = 3', [bad]);
    expect(await crm.sync(), 'he alone').toMatchObject({ outcome: 'partial', written: 0, refusedHere: 1 });
    const parked = new Map([['3', `mapping_failed ${code}`]]);
    expect(await crm.parked()).toEqual(parked);
    await crm.sql(`UPDATE users SET name = name || ' Other'`);
    expect(await crm.sync(), 'among others').toMatchObject({ outcome: 'partial', written: 4, refusedHere: 1 });
    expect(await crm.parked()).toEqual(parked);
    await crm.sql('UPDATE users SET note = NULL WHERE id = 3');
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
    expect(await crm.parked()).toEqual(new Map());
  });

  test('in a first run, of many', async () => {
    const crm = await opened(checked, raises('MY001'), { users: 300 });
    await crm.sql(`UPDATE users SET note = 'bad' WHERE id IN (1, 10, 77, 300)`);
    expect(await crm.sync()).toMatchObject({ outcome: 'partial', written: 296, refusedHere: 4 });
    expect([...(await crm.parked()).keys()].sort()).toEqual(['1', '10', '300', '77']);
  });

  test('in a first run, of whose users the first ones all fail', async () => {
    const crm = await opened(checked, raises('MY001'), { users: 150 });
    await crm.sql(`UPDATE users SET note = 'bad' WHERE id <= 60`);
    await crm.sql('CLUSTER users USING users_pkey');
    expect(await crm.sync({ rejects: 'accept' })).toMatchObject({ outcome: 'partial', written: 90, refusedHere: 60 });
    expect(await cli(`hubspot check --connection ${crm.name}`)).toMatchObject({ code: 0 });
  });

  test('and is told to the person who asks for him', async () => {
    const crm = await opened(checked, raises('MY001'));
    await crm.sql(`UPDATE users SET note = 'bad' WHERE id = 1`);
    expect(await failureOfRun(crm.sync({ only: { user: '1' } }))).toMatchObject({
      type: 'InvalidInput',
      message: expect.stringMatching(/cannot be evaluated for this user \(SQLSTATE MY001\)\. .*hubspot preview 1/),
    });
    expect(await cli(`hubspot check --connection ${crm.name}`)).toMatchObject({ code: 0 });
  });
});

describe('what fails for everybody sets nobody aside', () => {
  const table = `CREATE TABLE lookup AS SELECT 'one' AS text`;
  const reads = `CREATE FUNCTION looked(note text) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $f$ BEGIN
    RETURN (SELECT text || coalesce(note, '') FROM lookup); END $f$`;
  const looked = { properties: { ...name, app_note: { sql: '@looked(u.note)', type: 'string' } } };

  test('a table that a function reads', async () => {
    const crm = await opened(looked, `${table}; ${reads}`);
    await crm.sync();
    await crm.sql(`UPDATE users SET note = 'other' WHERE id <= 3; ALTER TABLE lookup RENAME TO away`);
    expect(await failureOfRun(crm.sync())).toMatchObject({
      type: 'Defect',
      message: expect.stringMatching(
        / refused a statement \(SQLSTATE 42P01\)\. The worker's log .*: npx syncline status$/,
      ),
    });
    expect(await crm.parked()).toEqual(new Map());
    await crm.sql('ALTER TABLE away RENAME TO lookup');
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 3 });
  });
});

test('a user whose condition fails keeps his contact from another, who is not taken for the one who fails', async () => {
  const mapping = { where: `coalesce(u.note, '1')::int > 0`, leave: 'leave' };
  const crm = await openCrm(world, { users: 5, byMail: true, mapping });
  await crm.sync();
  await crm.sql(`UPDATE users SET note = 'x' WHERE id = 1`);
  await crm.sync();
  await crm.sql(
    `INSERT INTO users (id, email) VALUES (6, 'user1@example.org'); UPDATE users SET name = 'Other' WHERE id = 3`,
  );
  expect(await crm.sync()).toMatchObject({ written: 1, refusedHere: 1 });
  const parked = new Map([
    ['1', 'mapping_failed 22P02'],
    ['6', 'duplicate_id email'],
  ]);
  expect(await crm.parked()).toEqual(parked);
  await crm.sql(`UPDATE users SET note = '0' WHERE id = 1`);
  await crm.sync();
  await crm.sql(`UPDATE users SET name = 'Heir' WHERE id = 6`);
  expect(await crm.sync(), 'who left has it no more').toMatchObject({ outcome: 'whole', written: 1 });
});
