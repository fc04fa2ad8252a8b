import { expect, test } from 'vitest';
import { openTokens } from '../activities/http/auth.ts';
import { openThrottle } from '../activities/http/throttle.ts';
import { Breaker } from '../activities/hubspot/breaker.ts';
import { openClient } from '../activities/hubspot/client.ts';
import { DueRows } from '../activities/hubspot/due.ts';
import { Feed } from '../activities/hubspot/feed.ts';
import { Ledger } from '../activities/hubspot/ledger.ts';
import { readOptions } from '../activities/hubspot/open.ts';
import { Decider } from '../activities/hubspot/outgoing.ts';
import { Tally } from '../activities/hubspot/tally.ts';
import { noCounts } from '../connectors/hubspot/counts.ts';
import { probeMapping } from '../db/capture.ts';
import { takeClaim } from '../db/claims.ts';
import { createPool } from '../db/client.ts';
import { loadConnection, storedConnection } from '../db/connections.ts';
import { logOf } from '../db/hubspot/drain.ts';
import { MappedReader } from '../db/hubspot/mapped.ts';
import { type Settled, settleRows } from '../db/hubspot/settle.ts';
import { nextDirty, releaseParked } from '../db/hubspot/syncs.ts';
import { takeTurn } from '../db/hubspot/turns.ts';
import { otherUsers } from '../db/hubspot/users.ts';
import { openCrm } from './harness/crm.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const options = { callsPerWindow: 10_000, inFlight: 2 };

test('contacts are looked up by key: a part of 500 users reads no other contact', async () => {
  const pool = createPool({ url: world.servers.databaseUrl, size: 1 });
  world.onClose(() => pool.end());
  const crm = await openCrm(world, { users: 3_000 });
  const { name: connection } = crm;
  const { mapping } = readOptions({ ...(await storedConnection(pool, connection)), credential: null });
  const reader = new MappedReader(pool, mapping, await probeMapping(pool, mapping));
  await pool.query(`INSERT INTO syncline.hubspot_dirty (connection_id, key, version) SELECT '${connection}', n::text, 1 FROM generate_series(1, 3000) n;
    INSERT INTO syncline.hubspot_contacts (connection_id, key) SELECT '${connection}', n::text FROM generate_series(1, 3000) n;
    ANALYZE syncline.hubspot_dirty; ANALYZE syncline.hubspot_contacts`);
  const walked = async () => {
    // No other session has read them yet: this test is the first of its database.
    await pool.query('SELECT pg_stat_force_next_flush()');
    const { rows } = await pool.query(
      `SELECT seq_tup_read::int AS walked, idx_tup_fetch::int AS fetched FROM pg_stat_user_tables WHERE schemaname = 'syncline' AND relname = 'hubspot_contacts'`,
    );
    return rows[0];
  };
  const before = await walked();
  expect(await reader.read({ connection, after: null, limit: 500, bytes: 1e9, judged: '' })).toHaveLength(500);
  const after = await walked();
  expect(after.walked - before.walked).toBe(0);
  expect(after.fetched - before.fetched).toBe(500);
});

test('while nothing can be written down no more calls leave than a kill may repeat', async () => {
  const slow = await openCrm(world, { users: 1_500, options });
  const other = await openCrm(world, { users: 1_500, options });
  const lock = await world.pool.connect();
  try {
    await lock.query('BEGIN');
    // Whoever settles this user of this connection waits.
    await lock.query(`INSERT INTO syncline.hubspot_contacts (connection_id, key) VALUES ($1, '1')`, [slow.name]);
    const run = await slow.start();
    await until('calls that are answered', async () => slow.source.calls.byName.upsert === 2);
    // A whole run of another connection meanwhile, of 15 calls.
    expect(await other.sync()).toMatchObject({ outcome: 'whole', calls: 15 });
    expect(slow.source.calls.byName.upsert).toBe(2);
    await lock.query('ROLLBACK');
    expect(await run.result()).toMatchObject({ outcome: 'whole', written: 1_500, calls: 15 });
  } finally {
    await lock.query('ROLLBACK');
    lock.release();
  }
  await slow.expectSame();
});

test('a call leaves with the token of its permit: none is asked for between the moment it is said to leave and its first byte', async () => {
  const { pool, key } = world;
  const crm = await openCrm(world, { users: 1, key: false, capture: false });
  const throttle = openThrottle(pool);
  const tokens = openTokens({ pool, key });
  world.onClose(() => Promise.all([throttle.close(), tokens.close()]).then(() => undefined));
  let asked = 0;
  const watched: typeof tokens = {
    current: (ask, signal) => {
      asked += 1;
      return tokens.current(ask, signal);
    },
    replace: (ask, version, signal) => tokens.replace(ask, version, signal),
    close: () => tokens.close(),
  };
  const connection = await loadConnection(pool, key, crm.name);
  const client = openClient({ throttle, tokens: watched }, connection, { timeoutSeconds: 5 });
  const permit = await client.permit(AbortSignal.timeout(10_000));
  expect(crm.source.calls.byName).toEqual({ token: 1 });
  expect((await client.send(permit, 'GET', '/account-info/2026-03/details')).status).toBe(200);
  expect(crm.source.calls.byName).toEqual({ token: 1, account: 1 });
  expect(asked, 'nor are the stored ones read').toBe(1);
});

test('a row that cannot be mapped is set aside alone, though another one is marked before it while it is looked for', async () => {
  const { pool } = world;
  const crm = await openCrm(world, {
    users: 0,
    mapping: { properties: { app_orders: { sql: '1 / (u.id - 2)', type: 'number' } }, tables: {} },
  });
  const { name } = crm;
  await crm.sql(`INSERT INTO users (id) VALUES (1), (10), (2), (3)`);
  const stored = await storedConnection(pool, name);
  const opened = readOptions({ ...stored, credential: null });
  const { mapping } = opened;
  const probe = await probeMapping(pool, mapping);
  const run = { workflowId: name, runId: name, isOpen: async () => false };
  const claim = await takeClaim(pool, { connection: name, pipeline: 'hubspot', ...run });
  if ('heldBy' in claim) throw new Error('held');
  await pool.query('INSERT INTO syncline.hubspot_syncs (connection_id) VALUES ($1)', [name]);
  const { turn } = await takeTurn(pool, claim);
  const mark = (...keys: string[]) =>
    pool.query(
      `INSERT INTO syncline.hubspot_dirty (connection_id, key, version) SELECT $1, key, nextval('syncline.hubspot_versions') FROM unnest($2::text[]) key`,
      [name, keys],
    );
  await mark('1', '2', '3');

  const tally = new Tally(noCounts, 0);
  const log = logOf(stored.no, mapping, probe);
  const ledger = new Ledger({ pool, turn, log, judged: '', tally, landMs: 1_000, awayMost: 1 });
  const real = new MappedReader(pool, mapping, probe);
  let marked = false;
  const reader = {
    read: async (range: Parameters<MappedReader['read']>[0]) => {
      try {
        return await real.read(range);
      } catch (error) {
        // The next reading is of its key.
        if (range.limit === 1 && !marked) await mark('10');
        marked ||= range.limit === 1;
        throw error;
      }
    },
  } as MappedReader;
  const decider = new Decider(opened, {}, false);
  const breaker = new Breaker({ percent: null, tally, count: async () => null });
  const settings = { breaker, mapping, judged: '', settleMs: 0, archives: null, connection: name, ending: () => false };
  const nextKey = (after: string | null) => nextDirty(pool, name, after);
  const others = async function* () {};
  const feed = new Feed({ ...settings, reader, decider, ledger, tally, nextKey, others }, 1);
  const sent: string[] = [];
  for (let batch = await feed.next(); batch !== null; batch = await feed.next())
    sent.push(...batch.rows.map(({ row }) => row.key));
  await ledger.idle();
  expect(marked).toBe(true);
  expect(sent.sort()).toEqual(['1', '10', '3']);
  expect(await crm.parked()).toEqual(new Map([['2', 'mapping_failed 22012']]));
});

test('parked rows are replayed beside a settlement of theirs, whatever the order in which either meets them', async () => {
  const { pool } = world;
  const { name } = await openCrm(world, { users: 0, capture: false });
  const run = { workflowId: name, runId: name, isOpen: async () => false };
  const claim = await takeClaim(pool, { connection: name, pipeline: 'hubspot', ...run });
  if ('heldBy' in claim) throw new Error('held');
  await pool.query('INSERT INTO syncline.hubspot_syncs (connection_id) VALUES ($1)', [name]);
  const { turn } = await takeTurn(pool, claim);
  await pool.query(
    `INSERT INTO syncline.hubspot_contacts (connection_id, key, parked_hash, parked_under) SELECT $1, key::text, '', '' FROM generate_series(9, 1, -1) key`,
    [name],
  );
  const outcome = { kind: 'confirmed', hubspotId: null, remoteId: null, left: false } as const;
  const hash = '00'.repeat(16);
  const rows = Array.from({ length: 9 }, (_, i) => ({ key: `${i + 1}`, version: 1, hash, wasParked: true, outcome }));
  const waiting = async () =>
    (
      await pool.query(
        `SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
    ).rows[0].count;
  const lock = await pool.connect();
  try {
    await lock.query('BEGIN');
    await lock.query(`SELECT 1 FROM syncline.hubspot_contacts WHERE connection_id = $1 AND key = '5' FOR UPDATE`, [
      name,
    ]);
    const replayed = releaseParked(pool, name);
    await until('the replay has the last of them', async () => (await waiting()) === 1);
    const settled = settleRows(pool, turn, { rows, calls: [], judged: '' });
    const both = Promise.allSettled([replayed, settled]);
    await until('the settlement waits too', async () => (await waiting()) === 2);
    await lock.query('COMMIT');
    expect(await both).toMatchObject([{ status: 'fulfilled', value: 9 }, { status: 'fulfilled' }]);
  } finally {
    await lock.query('ROLLBACK');
    lock.release();
  }
});

test('rows that take too long together are read in parts, and the next pass begins with such', async () => {
  const { pool } = world;
  const slowly = { app_note: { sql: `(SELECT 'x' FROM pg_sleep(0.02 + u.id * 0))`, type: 'string' } };
  const crm = await openCrm(world, { users: 40, mapping: { properties: slowly, tables: {} } });
  const { name: connection } = crm;
  const { mapping } = readOptions({ ...(await storedConnection(pool, connection)), credential: null });
  const real = new MappedReader(pool, mapping, await probeMapping(pool, mapping));
  await pool.query(
    `INSERT INTO syncline.hubspot_dirty (connection_id, key, version) SELECT $1, n::text, 1 FROM generate_series(1, 40) n`,
    [connection],
  );
  const limits: number[] = [];
  const reader = {
    read: (range: Parameters<MappedReader['read']>[0]) => {
      limits.push(range.limit);
      return real.read(range);
    },
  };
  const never = {
    ledger: {} as Ledger,
    tally: {} as Tally,
    nextKey: async () => null,
    others: async function* () {},
  };
  const pass = async () => {
    const due = new DueRows({ reader, connection, judged: '', partMs: 250, ...never });
    const keys: string[] = [];
    for (let rows = await due.next(); rows !== null; rows = await due.next()) keys.push(...rows.map(({ key }) => key));
    return keys.length;
  };
  expect(await pass()).toBe(40);
  expect(limits[0]).toBe(500);
  const most = limits.at(-1)!;
  expect(most).toBeLessThan(16);
  limits.length = 0;
  expect(await pass()).toBe(40);
  expect(limits[0], 'twice as many are tried').toBe(2 * most);
});

test('a user who is too slow alone is set aside, and those behind him are read together', async () => {
  const { pool } = world;
  const slowly = {
    app_note: { sql: `(SELECT 'x' FROM pg_sleep(CASE u.id WHEN 1 THEN 2 ELSE 0 END))`, type: 'string' },
  };
  const crm = await openCrm(world, { users: 60, mapping: { properties: slowly, tables: {} } });
  const { name: connection } = crm;
  const { mapping } = readOptions({ ...(await storedConnection(pool, connection)), credential: null });
  const reader = new MappedReader(pool, mapping, await probeMapping(pool, mapping));
  await pool.query(
    `INSERT INTO syncline.hubspot_dirty (connection_id, key, version) SELECT $1, n::text, 1 FROM generate_series(1, 60) n`,
    [connection],
  );
  const aside: Settled[] = [];
  const due = new DueRows({
    ...{ reader, connection, judged: '', partMs: 300 },
    ledger: { settle: (rows: readonly Settled[]) => void aside.push(...rows) } as Ledger,
    tally: new Tally({ ...noCounts }, 0),
    nextKey: (after) => nextDirty(pool, connection, after),
    others: (key) => otherUsers(pool, connection, mapping, key),
  });
  const parts: number[] = [];
  for (let rows = await due.next(); rows !== null; rows = await due.next()) parts.push(rows.length);
  expect(aside).toMatchObject([{ key: '1', outcome: { kind: 'parked', code: 'mapping_failed', property: '57014' } }]);
  expect(parts.reduce((all, one) => all + one)).toBe(59);
  expect(parts.length, 'parts').toBeLessThan(12);
});

test('a table that goes while nobody is left to be sent is a failure, and not read again for ever', async () => {
  const { pool } = world;
  const crm = await openCrm(world, {
    users: 0,
    mapping: { properties: { firstname: { sql: 'u.name', type: 'string' } }, tables: {} },
  });
  const { name: connection } = crm;
  const { mapping } = readOptions({ ...(await storedConnection(pool, connection)), credential: null });
  const reader = new MappedReader(pool, mapping, await probeMapping(pool, mapping));
  await crm.sql('ALTER TABLE users RENAME TO away');
  const due = new DueRows({
    ...{ reader, connection, judged: '', ledger: {} as Ledger, tally: {} as Tally },
    nextKey: (after) => nextDirty(pool, connection, after),
    others: async function* () {},
  });
  const read = async () => {
    // The statement is made for 500 rows, 250 and so on down to one.
    for (let parts = 0; parts < 20; parts++) expect(await due.next()).toEqual([]);
  };
  await expect(read()).rejects.toMatchObject({ code: '42P01' });
});
