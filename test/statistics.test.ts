import { expect, test } from 'vitest';
import { takeClaim } from '../db/claims.ts';
import { transaction } from '../db/client.ts';
import { closePass } from '../db/close.ts';
import { saveConnection } from '../db/connections.ts';
import { buryItems } from '../db/items.ts';
import { openPass, type PassRequest } from '../db/passes.ts';
import { ensureTable, type StreamTable } from '../db/streams.ts';
import { brokenLists, orphanedLists } from '../db/stripe/verify.ts';
import { cutIds, type IdSource, keepVisits, waitingIds } from '../db/visits.ts';
import { openCrm } from './harness/crm.ts';
import { openWorld } from './harness/world.ts';

/*
 * All tables were analysed while they held small connections, and nobody analyses them again. Of a large one that comes the
 * planner expects a single row; a plan that walks its rows for each row of another table takes minutes, not seconds.
 */

const world = await openWorld();
const siblings = 5;

/** Analyses every table as it is, and keeps autovacuum from doing it later. */
async function grownStale(): Promise<void> {
  const { rows } = await world.pool.query(
    `SELECT c.oid::regclass::text AS name FROM pg_class c WHERE c.relkind = 'r'
       AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')`,
  );
  for (const { name } of rows) await world.pool.query(`ALTER TABLE ${name} SET (autovacuum_enabled = off)`);
  await world.pool.query('ANALYZE');
}

test('a directory: first fill, nothing changed, a third changed', async () => {
  const guard = { count: 100_000, percent: 100 };
  const options = { usersWithoutGroup: 'accept', guards: { users: guard, membershipsPercent: 100 } };
  for (let seed = 1; seed <= siblings; seed++) {
    const { name, source } = await world.scim({ users: 50, groups: 5, seed }, options);
    await world.run(name);
    source.change({ share: 0.2 });
    await world.run(name);
  }
  await grownStale();
  // As long as another run analyses the tables, `finish` leaves it to that one.
  const other = await world.pool.connect();
  try {
    await other.query(`SELECT pg_advisory_lock(hashtextextended('syncline org statistics', 0))`);
    const { name, source } = await world.scim(
      { users: 20_000, groups: 1_300, prepared: true, maxPageSize: 5_000 },
      options,
    );
    expect((await world.run(name)).users).toMatchObject({ added: 20_000 });
    expect((await world.run(name)).users).toMatchObject({ added: 0, edited: 0, deleted: 0 });
    const changed = source.change({ share: 0.3, seed: 4 });
    const { added, removed: deleted } = changed;
    expect((await world.run(name)).users).toMatchObject({ added, deleted });
  } finally {
    other.release(true);
  }
});

test('contacts: everybody, a third changed, a third gone', async () => {
  const options = { callsPerWindow: 10_000, mode: 'mirror', archivePercent: 100 };
  for (let i = 0; i < siblings; i++) await (await openCrm(world, { users: 50, options })).sync();
  await grownStale();
  const crm = await openCrm(world, { users: 30_000, options });
  await crm.sql('ANALYZE users, orders, companies');
  expect(await crm.sync()).toMatchObject({ written: 30_000 });
  await crm.sql(`UPDATE users SET name = name || '.' WHERE id % 3 = 0`);
  expect(await crm.sync()).toMatchObject({ written: 10_000 });
  await crm.sql('DELETE FROM users WHERE id % 3 = 0');
  expect(await crm.sync()).toMatchObject({ archived: 10_000 });
});

/** Parents `p1`, `p2`, … with an item each, and a list that names every tenth as gone; every fifth is deleted. */
const parents: StreamTable = { schema: 'stale', name: 'parents', columns: [] };
const listed: StreamTable = { schema: 'stale', name: 'listed', columns: [] };
const items: StreamTable = {
  schema: 'stale',
  name: 'items',
  columns: [{ name: 'parent_id', type: 'text' }],
  index: 'parent_id',
};

async function fillTables(connection: string, count: number): Promise<void> {
  const directory = { platform: 'scim', baseUrl: 'https://directory.invalid', credential: null, options: {} };
  await saveConnection(world.pool, world.key, { id: connection, tenant: connection, ...directory });
  const fill = (table: string, more: string, id: string, value: string) =>
    world.pool.query(
      `INSERT INTO stale.${table} (connection_id, id, data, generation, synced_at, row_version${more})
       SELECT $1, ${id}, '{}', 1, now() - interval '1 hour', i ${value} FROM generate_series(1, $2::int) i`,
      [connection, count],
    );
  await fill('parents', ', deleted_at', `'p' || i`, `, CASE WHEN i % 5 = 0 THEN now() END`);
  await fill('items', ', parent_id', `'p' || i || '/1'`, `, 'p' || i`);
  await fill('listed', '', `'p' || i`, '');
  await world.pool.query(`UPDATE stale.listed SET synced_at = now() WHERE connection_id = $1 AND data = '{}'`, [
    connection,
  ]);
  await world.pool.query(`DELETE FROM stale.listed WHERE connection_id = $1 AND row_version % 10 <> 1`, [connection]);
}

/** Asks for every parent, as the reading of details does, and ends the pass. @returns ids that were asked for */
async function readDetails(connection: string): Promise<number> {
  const { pool } = world;
  const run = { workflowId: `w-${connection}`, runId: 'r', isOpen: async () => false };
  const claim = await takeClaim(pool, { connection, pipeline: 'platform/details', ...run });
  if ('heldBy' in claim) expect.fail('the claim is held');
  const request: PassRequest = {
    claim,
    stream: 'details',
    kind: 'incremental',
    scope: '',
    fromMs: null,
    toMs: null,
    keepsSeen: false,
  };
  const source: IdSource = { parent: parents, path: null, all: false, withDeleted: true, also: [], range: null };
  const { pass } = await openPass(pool, request, async (client, id) => {
    await cutIds(client, { ...request, startedMs: 0 }, id, source, 1_000);
    return [];
  });
  const { rows } = await pool.query('SELECT no FROM syncline.slices WHERE pass_id = $1', [pass.id]);
  let asked = 0;
  for (const { no } of rows) {
    const ids = await waitingIds(pool, pass, no, 1_000);
    asked += ids.length;
    const visited = ids.map((one) => ({ ...one, atMs: Date.now() }));
    await transaction(pool, { name: 'visit' }, (client) =>
      keepVisits(client, pass, parents, { visited, found: [], gone: [] }),
    );
    expect(await waitingIds(pool, pass, no, 1_000)).toEqual([]);
  }
  await pool.query('UPDATE syncline.slices SET done = true WHERE pass_id = $1', [pass.id]);
  const few = { count: 0, percent: 0, smallCount: 0, smallPercent: 0 };
  await closePass(pool, pass, parents, {
    scope: '',
    sweep: false,
    guard: few,
    force: false,
    listed,
    items: [items],
    snapshots: 0,
  });
  return asked;
}

test('rows that are read for others, and items that go with their parents', async () => {
  for (const table of [parents, listed, items]) await ensureTable(world.pool, table);
  for (let i = 0; i < siblings; i++) {
    await fillTables(`small${i}`, 50);
    await readDetails(`small${i}`);
  }
  await grownStale();
  await fillTables('swift', 30_000);
  const ids = Array.from({ length: 5_000 }, (_, i) => `p${(i + 1) * 5}`);
  await transaction(world.pool, { name: 'bury' }, (client) => buryItems(client, { items, parents }, 'swift', 1, ids));
  const living = async () => {
    const { rows } = await world.pool.query(
      `SELECT count(*)::int AS n FROM stale.items WHERE connection_id = 'swift' AND deleted_at IS NULL`,
    );
    return rows[0].n;
  };
  expect(await living()).toBe(25_000);
  await fillTables('whole', 30_000);
  expect(await orphanedLists(world.pool, parents, items, 'whole')).toHaveLength(6_000);
  await world.pool.query(
    `UPDATE stale.parents SET data = '{"list": {"has_more": false, "data": [1]}}' WHERE connection_id = 'whole'`,
  );
  await world.pool.query(`DELETE FROM stale.items WHERE connection_id = 'whole' AND parent_id = 'p1'`);
  const all = Array.from({ length: 30_000 }, (_, i) => `p${i + 1}`);
  expect(await brokenLists(world.pool, parents, items, 'whole', 'list', all)).toEqual(['p1']);
  expect(await readDetails('swift'), 'everyone').toBe(30_000);
  expect(await living(), 'a fifth and, listed as gone, a tenth are deleted').toBe(21_000);
  expect(await readDetails('swift'), 'nobody is another one').toBe(0);
});
