import { expect, test } from 'vitest';
import { probeMapping } from '../db/capture.ts';
import { openCrm } from './harness/crm.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

test('a semicolon stands inside a literal, and two statements are refused', async () => {
  const properties = {
    app_note: { sql: "array_to_string(u.interests, ';')", type: 'string' },
  };
  const crm = await openCrm(world, { users: 3, mapping: { properties, tables: {} } });
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 3 });
  const noted = [...crm.source.contacts.all()].map(({ properties: held }) => held.app_note);
  expect(noted).toContain('news;offers');

  const sql = `u.name) AS p0 FROM ${crm.schema}.users u; DROP TABLE ${crm.schema}.orders; SELECT (1`;
  const two = { ...crm.mapping, properties: { app_note: { sql } }, tables: {}, columns: [] };
  const { where: _where, ...rest } = two as typeof two & { where?: string };
  await expect(probeMapping(world.pool, rest as never)).rejects.toThrow(/app_note\.sql: Postgres does not take it/);
  expect(await crm.sql('SELECT count(*)::int AS n FROM orders')).toEqual([{ n: 1 }]);
});

test('a reject that was resolved and comes up again counts from then', async () => {
  const crm = await openCrm(world, { users: 5 });
  const seen = async () => {
    const { rows } = await world.pool.query(
      `SELECT first_seen AS first, last_seen AS last, resolved_at AS resolved FROM syncline.rejects WHERE connection_id = $1`,
      [crm.name],
    );
    return rows[0];
  };
  await crm.sql(`UPDATE users SET plan = 'platinum' WHERE id = 3`);
  await crm.sync();
  const once = await seen();
  await crm.sql(`UPDATE users SET name = 'Still bad' WHERE id = 3`);
  await crm.sync();
  const still = await seen();
  expect(still.first, 'met again while open').toEqual(once.first);
  expect(still.last.getTime()).toBeGreaterThan(once.last.getTime());
  await crm.sql(`UPDATE users SET plan = 'free' WHERE id = 3`);
  await crm.sync();
  const { resolved } = await seen();
  await crm.sql(`UPDATE users SET plan = 'platinum' WHERE id = 3`);
  await crm.sync();
  const again = await seen();
  expect(again.resolved).toBeNull();
  expect(again.first.getTime()).toBeGreaterThanOrEqual(resolved.getTime());
});
