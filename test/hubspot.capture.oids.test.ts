import * as v from 'valibot';
import { expect, test } from 'vitest';
import { mappingSchema } from '../connectors/hubspot/mapping.ts';
import { captureState, installCapture, removeCapture } from '../db/capture.ts';
import { storedConnection } from '../db/connections.ts';
import { openCrm } from './harness/crm.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const { pool } = world;

/** Catalog columns that hold the oid of a table, with the condition under which they do. */
const places: [table: string, column: string, of?: string][] = [
  ['pg_class', 'oid'],
  ['pg_attribute', 'attrelid'],
  ['pg_type', 'typrelid'],
  ['pg_index', 'indrelid'],
  ['pg_constraint', 'conrelid'],
  ['pg_inherits', 'inhrelid'],
  ['pg_inherits', 'inhparent'],
  ['pg_partitioned_table', 'partrelid'],
  ['pg_depend', 'objid', `classid = 'pg_class'::regclass`],
  ['pg_depend', 'refobjid', `refclassid = 'pg_class'::regclass`],
];

/**
 * Gives the tables of a schema oids that a server has once it has made 2^31 things: its counter can be moved only while it
 * stands still.
 */
async function late(schema: string): Promise<void> {
  const moves = places.map(
    ([table, column, of = 'true']) =>
      `UPDATE pg_catalog.${table} SET ${column} = (${column}::bigint + 3000000000)::oid WHERE ${column} = ANY (late) AND ${of};`,
  );
  await pool.query(`BEGIN; SET LOCAL allow_system_table_mods = on;
    DO $$ DECLARE late oid[] := ARRAY(SELECT oid FROM pg_class WHERE relnamespace = '${schema}'::regnamespace AND relkind IN ('r', 'p'));
      BEGIN ${moves.join('\n')} END $$;
    COMMIT`);
}

test('tables whose oids are beyond 2^31 are captured: of partitions no statement fails, and a join is proven', async () => {
  const crm = await openCrm(world, { capture: false });
  await crm.sql(`CREATE TABLE people (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);
    CREATE TABLE people_1 PARTITION OF people FOR VALUES FROM (1) TO (100);
    CREATE TABLE people_2 PARTITION OF people FOR VALUES FROM (100) TO (300);
    INSERT INTO people SELECT i, 'Name ' || i FROM generate_series(1, 3) i`);
  await late(crm.schema);
  const orders = `${crm.schema}.orders`;
  const mapping = {
    ...{ from: `${crm.schema}.people`, key: 'id', idProperty: 'app_user_id', leave: 'archive' },
    properties: {
      firstname: { sql: 'u.name', type: 'string' },
      app_orders: { sql: `(SELECT count(*) FROM ${orders} o WHERE o.user_id = u.id)`, type: 'number' },
    },
    tables: { [orders]: { key: 'user_id' } },
  };
  await crm.options({ mapping });
  const owner = await storedConnection(pool, crm.name);
  const captured = v.parse(mappingSchema, mapping);
  expect(await installCapture(pool, owner, captured)).toMatchObject({ complete: true, leftOver: [], warnings: [] });
  const [{ oid }] = (await crm.sql(`SELECT 'people'::regclass::oid AS oid`)) as [{ oid: number }];
  expect(oid).toBeGreaterThan(2 ** 31);
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 3 });

  await crm.sql(`UPDATE people SET name = 'other' WHERE id = 1; INSERT INTO orders VALUES (1, 2, 10);
    MERGE INTO people t USING (VALUES (3)) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET id = 103`);
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 3, archived: 1 });
  expect(await captureState(pool, owner, captured)).toMatchObject({ complete: true, leftOver: [] });
  expect(await removeCapture(pool, owner)).toHaveLength(4);
});
