import type { WorkflowHandle } from '@temporalio/client';
import * as v from 'valibot';
import { describe, expect, onTestFinished, test } from 'vitest';
import { mappingSchema } from '../connectors/hubspot/mapping.ts';
import { captureStanding, installCapture } from '../db/capture.ts';
import { storedConnection } from '../db/connections.ts';
import { pause, resume } from '../workflows/control.ts';
import { openCli } from './harness/cli.ts';
import { type Crm, openCrm } from './harness/crm.ts';
import { until } from './harness/until.ts';

const { world, cli } = await openCli();
const { pool } = world;

const owner = (crm: Crm) => storedConnection(pool, crm.name);
const mappingOf = (crm: Crm) => v.parse(mappingSchema, crm.mapping);

/** Keys in the log; null stands for everybody. Empties it. */
async function taken(crm: Crm): Promise<(string | null)[]> {
  const { no } = await owner(crm);
  const { rows } = await pool.query(`DELETE FROM syncline_capture.log_${no} RETURNING key`);
  return rows.map(({ key }) => key).sort();
}

async function fresh(): Promise<Crm> {
  const crm = await openCrm(world, { users: 20 });
  await taken(crm);
  return crm;
}

describe('a changed table never fails the statements of its owner', () => {
  test.each<[string, string, string]>([
    [
      'a renamed column',
      'ALTER TABLE users RENAME COLUMN name TO full_name',
      `UPDATE users SET note = 'x' WHERE id = 1`,
    ],
    ['a dropped column', 'ALTER TABLE users DROP COLUMN plan', `UPDATE users SET note = 'x' WHERE id = 1`],
    ['a renamed key', 'ALTER TABLE users RENAME COLUMN id TO uid', `INSERT INTO users (uid) VALUES (900)`],
    [
      'a link made anew as a virtual column',
      'ALTER TABLE orders DROP COLUMN user_id; ALTER TABLE orders ADD COLUMN user_id bigint GENERATED ALWAYS AS (id + 0) VIRTUAL',
      'DELETE FROM orders WHERE id = 1',
    ],
    ['a renamed link', 'ALTER TABLE orders RENAME COLUMN user_id TO owner', 'DELETE FROM orders WHERE id = 1'],
  ])('%s marks everybody', async (_, change, statement) => {
    const crm = await fresh();
    // The function is planned before, as it is in a session that lives on.
    await crm.sql(`UPDATE users SET name = 'before' WHERE id = 1`);
    await taken(crm);
    await crm.sql(change);
    await crm.sql(statement);
    expect(await taken(crm)).toEqual([null]);
  });

  test('a log that is gone is told, and fails nobody', async () => {
    const crm = await fresh();
    const { no } = await owner(crm);
    await pool.query(`DROP TABLE syncline_capture.log_${no}`);
    await crm.sql(`UPDATE users SET name = 'x' WHERE id = 1`);
    expect(await captureStanding(pool, await owner(crm), mappingOf(crm))).toMatchObject({
      complete: false,
      log: false,
    });
    expect(await installCapture(pool, await owner(crm), mappingOf(crm))).toMatchObject({ complete: true });
  });

  test('what refuses the values of a row still is the owner’s to hear', async () => {
    const crm = await fresh();
    await expect(crm.sql(`INSERT INTO users (id) VALUES (1)`)).rejects.toMatchObject({ code: '23505' });
  });

  test('capture status says that the mapping no longer fits, and what that means', async () => {
    const crm = await fresh();
    await crm.sql('ALTER TABLE users RENAME COLUMN name TO full_name');
    const said = await cli(`capture status ${crm.name}`);
    expect(said).toMatchObject({ code: 1, err: '' });
    expect(said.out).toContain('The mapping no longer fits its tables:');
    expect(said.out).toContain('column u.name does not exist');
    expect(said.out).toMatch(/every change of .*users that needs what is gone marks everybody, and no run begins/);
    expect(JSON.parse((await cli(`capture status ${crm.name} --json`)).out)).toMatchObject({
      complete: false,
      misfit: [expect.stringContaining('u.name')],
    });
    await crm.sql('ALTER TABLE users RENAME COLUMN full_name TO name');
    expect(await cli(`capture status ${crm.name}`)).toMatchObject({ code: 0 });
  });
});

describe('virtual generated columns', () => {
  const virtual = async () => {
    const crm = await openCrm(world, { users: 3, capture: false });
    await crm.sql(`ALTER TABLE users ADD COLUMN full_name text GENERATED ALWAYS AS (name || ' ' || coalesce(note, '')) VIRTUAL;
      ALTER TABLE orders ADD COLUMN owner bigint GENERATED ALWAYS AS (user_id + 0) VIRTUAL`);
    return crm;
  };
  const full = { sql: 'u.full_name', type: 'string' as const };

  test('are captured by the columns they are made of', async () => {
    const crm = await virtual();
    const mapping = { ...mappingOf(crm), properties: { firstname: full }, tables: {} };
    await installCapture(pool, await owner(crm), mapping);
    await taken(crm);
    await crm.sql(`UPDATE users SET note = 'x' WHERE id = 1; UPDATE users SET name = 'y' WHERE id = 2`);
    await crm.sql(`UPDATE users SET plan = 'free' WHERE id = 3`);
    expect(await taken(crm)).toEqual(['1', '2']);
    const whole = { ...mapping, properties: { firstname: { ...full, sql: 'to_json(u)::text' } } };
    await installCapture(pool, await owner(crm), whole);
    await taken(crm);
    await crm.sql(`UPDATE users SET extra = '{}' WHERE id = 3`);
    expect(await taken(crm)).toEqual(['3']);
  });

  test('are refused as the column that leads to users', async () => {
    const crm = await virtual();
    const app_orders = {
      sql: `(SELECT count(*) FROM ${crm.schema}.orders o WHERE o.owner = u.id)`,
      type: 'number' as const,
    };
    const tables = { [`${crm.schema}.orders`]: { key: 'owner', columns: [] } };
    await expect(
      installCapture(pool, await owner(crm), { ...mappingOf(crm), properties: { app_orders }, tables }),
    ).rejects.toThrow(`mapping.tables."${crm.schema}.orders".key: got "owner", a virtual generated column`);
    await crm.sql('INSERT INTO orders (id, user_id) VALUES (900, 1)');
  });
});

test('status tells changes that no run has taken, and how old the oldest is', async () => {
  const crm = await fresh();
  await crm.sql(`UPDATE users SET name = 'other'`);
  const { no } = await owner(crm);
  await pool.query(`UPDATE syncline_capture.log_${no} SET at = at - interval '2 hours' WHERE key = '7'`);
  expect((await cli(`status ${crm.name}`)).out).toMatch(
    /0 confirmed; 20 changes in the log, to be taken by a run; the oldest change \S+ \S+ \(2 h ago\)/,
  );
  const said = JSON.parse((await cli(`status ${crm.name} --json`)).out);
  const one = [said].flat(2).flatMap((it) => it.connections ?? it)[0];
  expect(one.standing).toMatchObject({ dirty: 0, logged: 20 });
  expect(one.lagMs).toBeGreaterThanOrEqual(7_200_000);
});

describe('capture is taken away while a run is open', () => {
  /** A run that is paused between two slices, while it waits for a limit of the account. */
  async function waiting(): Promise<{ crm: Crm; run: WorkflowHandle }> {
    const crm = await openCrm(world, {
      users: 5,
      sandbox: { faults: [{ type: 'rate', policy: 'TEN_SECONDLY_ROLLING', retryAfter: 5, on: 'upsert', times: 1 }] },
    });
    const run = await crm.start();
    await until('the account refuses', async () => crm.source.calls.refused > 0);
    await run.executeUpdate(pause);
    return { crm, run };
  }

  test('remove refuses and names the run; with --force the run says what is missing', async () => {
    const { crm, run } = await waiting();
    const refused = await cli(`capture remove ${crm.name}`);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain(`A run of ${crm.name} is open (${run.workflowId})`);
    expect(refused.err).toContain(`npx syncline capture remove ${crm.name} --force`);
    expect(await cli(`capture status ${crm.name}`)).toMatchObject({ code: 0 });

    expect(await cli(`capture remove ${crm.name} --force`)).toMatchObject({ code: 0 });
    await run.executeUpdate(resume);
    await expect(run.result()).rejects.toMatchObject({
      cause: {
        type: 'InvalidInput',
        message: expect.stringMatching(/Changes are not captured: .*npx syncline capture install/),
      },
    });
    expect(await cli(`capture remove ${crm.name}`), 'no run is open').toMatchObject({ code: 0 });
  });
});

test('without a name among several connections, capture says that it takes an argument', async () => {
  await openCrm(world, { capture: false });
  await openCrm(world, { capture: false });
  const said = await cli('capture status');
  expect(said).toMatchObject({
    code: 2,
    err: expect.stringMatching(/say which of .* \(npx syncline capture status NAME\)/),
  });
});

test('writers that fire no trigger are warned of by install, status and check', async () => {
  const crm = await openCrm(world, { users: 2, capture: false });
  const role = `loader_${crm.schema}`;
  // Not connected: it is there, and applies nothing.
  await pool.query(
    `CREATE SUBSCRIPTION feed_${crm.schema} CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)`,
  );
  onTestFinished(async () => {
    await pool.query(`ALTER SUBSCRIPTION feed_${crm.schema} SET (slot_name = NONE)`);
    await pool.query(`DROP SUBSCRIPTION feed_${crm.schema}`);
    await pool.query(`DROP ROLE ${role}`);
  });
  await pool.query(`INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)
    SELECT oid, '${crm.schema}.orders'::regclass, 'r' FROM pg_subscription WHERE subname = 'feed_${crm.schema}'`);
  await pool.query(`CREATE ROLE ${role}; ALTER ROLE ${role} SET session_replication_role = replica`);
  const warnings = [
    expect.stringContaining(`${crm.schema}.orders is fed by the subscription feed_${crm.schema}`),
    expect.stringContaining(`sessions of role ${role} have session_replication_role = replica`),
  ];
  for (const command of ['install', 'status']) {
    const said = await cli(`capture ${command} ${crm.name}`);
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out.split('\n').filter((line) => line.startsWith('Warning: '))).toEqual(warnings);
  }
  const report = JSON.parse((await cli(`hubspot check --connection ${crm.name} --json`)).out);
  expect(report).toMatchObject({ warnings, capture: [] });
});
