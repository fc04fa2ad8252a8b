import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { mappingSchema } from '../connectors/hubspot/mapping.ts';
import { captureStanding, installCapture } from '../db/capture.ts';
import { storedConnection } from '../db/connections.ts';
import { openCli } from './harness/cli.ts';
import { type Crm, openCrm } from './harness/crm.ts';

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
    ['a renamed link', 'ALTER TABLE orders RENAME COLUMN user_id TO owner', 'DELETE FROM orders WHERE id = 1'],
    [
      'a users table of another name',
      'ALTER TABLE users RENAME TO people',
      `UPDATE companies SET name = 'x' WHERE id = 1`,
    ],
    [
      'a link of another type',
      `ALTER TABLE companies ALTER COLUMN id TYPE text`,
      `UPDATE companies SET name = 'x' WHERE id = '1'`,
    ],
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
