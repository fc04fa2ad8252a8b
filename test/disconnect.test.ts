import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pgSchema, text } from 'drizzle-orm/pg-core';
import * as v from 'valibot';
import { describe, expect, onTestFinished, test } from 'vitest';
import { streamTables } from '../activities/tables.ts';
import { mappingSchema } from '../connectors/hubspot/mapping.ts';
import { applyGrants } from '../db/audience/callbacks.ts';
import { saveCampaign } from '../db/audience/campaigns.ts';
import { unsubscribe } from '../db/audience/unsubscribes.ts';
import { installCapture } from '../db/capture.ts';
import { type Claim, ClaimLost, takeClaim, writeUnderClaim } from '../db/claims.ts';
import { ConnectionUnknown, saveConnection, storedConnection } from '../db/connections.ts';
import { referencesTo } from '../db/disconnect/references.ts';
import { ownedTables, schemaTables } from '../db/disconnect/tables.ts';
import { countRows, deleteRows, leave, pageRows } from '../db/disconnect.ts';
import { ensureTable, sqlName } from '../db/streams.ts';
import { claimRefresh, storeToken } from '../db/tokens.ts';
import { kuaishou } from '../sandbox/kuaishou.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, launch, people } from './harness/audience.ts';
import { openCli } from './harness/cli.ts';
import { openCrm } from './harness/crm.ts';
import { openShop } from './harness/platforms.ts';
import { openStripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { everyRow, plant } from './harness/whole.ts';

const { world, cli, connected, environment, fresh, sandbox } = await openCli();
const { pool, key } = world;
/** Ids of schedules and runs come from names, and Temporal is shared: each is used once. */
const place = {
  ...world,
  async connect({ tenant, options = {}, ...input }: Parameters<typeof world.connect>[0]) {
    const id = fresh();
    await saveConnection(pool, key, { ...input, options, id, tenant: tenant ?? id });
    return id;
  },
};
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());
const hook = () =>
  place.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: receiver.secret }),
  });
const directory = (id: string) => ({
  ...{ id, tenant: id, platform: 'scim', baseUrl: 'https://directory.invalid', options: {}, credential: null },
});
const stranger = () => place.connect({ platform: 'scim', baseUrl: 'https://directory.invalid', credential: 'secret' });
const shop = () => place.connect({ platform: 'kuaishou', baseUrl: 'https://shop.invalid', credential: null });
const tablesOf = (name: string) => ownedTables(pool, name, streamTables(), null);
const closed = async () => false;
const numberOf = async (id: string) => (await storedConnection(pool, id)).no;
const left = async (name: string) => countRows(pool, name, await tablesOf(name));

/** Tables that are no business of ours, though they look as if they were. */
const foreign = ['public.notes', 'kuaishou.notes', 'stripe.notes', 'audience.notes'];

describe('two connections of each pipeline', () => {
  const pairs = new Map<string, [string, string]>();

  test('are run', async () => {
    const org = async () => {
      const name = await connected(await sandbox({ users: 12, groups: 3 }));
      expect((await world.run(name)).outcome).toBe('applied');
      return name;
    };
    const reads = async () => {
      const one = await openShop(place, kuaishou, { rows: 30 }, { snapshot: true });
      await one.sync();
      return one.name;
    };
    const stripe = async () => {
      const one = await openStripeAccount(place, { counts: { customers: 20, invoices: 10, subscriptions: 5 } });
      await one.copy();
      return one.name;
    };
    const crm = async () => {
      const one = await openCrm(place, { users: 5 });
      await one.sync();
      return one.name;
    };
    for (const [kind, open] of Object.entries({ org, shop: reads, stripe, crm }))
      pairs.set(kind, [await open(), await open()]);
    const sent = async () => {
      const [crowd, channel] = [await people(place, { count: 3 }), await hook()];
      const name = await define(place, { connection: crowd }, channel);
      await (await launch(place, name)).result();
      return { crowd, channel, name };
    };
    const [a, b] = [await sent(), await sent()];
    pairs.set('people', [a.crowd, b.crowd]).set('channel', [a.channel, b.channel]);
    for (const name of foreign)
      await pool.query(
        `CREATE SCHEMA IF NOT EXISTS ${name.split('.')[0]}; CREATE TABLE ${name} (connection_id text, id text, note text)`,
      );
    for (const [name] of pairs.values())
      for (const table of foreign) await pool.query(`INSERT INTO ${table} VALUES ($1, '1', 'ours')`, [name]);

    // In use: said with the command, and nothing is deleted.
    const before = await everyRow(pool);
    for (const name of [a.crowd, a.channel]) {
      const said = await cli(`disconnect ${name} --yes`);
      expect(said).toEqual({
        code: 1,
        out: '',
        err: `syncline: ${name} is in use; nothing was deleted: campaign ${a.name} uses it: npx syncline campaign purge ${a.name}. Then: npx syncline disconnect ${name}\n`,
      });
    }
    const [crmName] = pairs.get('crm') as [string, string];
    expect((await cli(`disconnect ${crmName} --yes`)).err).toMatch(
      new RegExp(
        `^syncline: ${crmName} is in use; nothing was deleted: changes of .* are captured for it: npx syncline capture remove ${crmName}. Then: `,
      ),
    );
    expect((await cli(`disconnect ${crmName} --dry-run`)).out).toMatch(
      new RegExp(`^ {2}changes of .* are captured for it: npx syncline capture remove ${crmName}$`, 'm'),
    );
    expect(await everyRow(pool)).toEqual(before);
    expect((await cli(`campaign purge ${a.name} --dry-run`)).out).toContain(`Would delete campaign ${a.name}: 3 rows`);
    expect((await cli(`campaign purge ${a.name}`)).out).toContain(`Deleted campaign ${a.name}: 3 rows of deliveries.`);
    expect((await cli(`capture remove ${crmName}`)).code).toBe(0);
  });

  test('every table of ours is met, those of users never', async () => {
    const { rows } = await pool.query(
      `SELECT DISTINCT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('connection_id', 'plan_id', 'pass_id', 'campaign_no')
       WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^(app_|pg_|org_stage)'`,
    );
    const [one] = pairs.get('shop') as [string, string];
    const owned = (await tablesOf(one)).map(({ schema, name }) => `${schema}.${name}`);
    expect(owned).toContain('kuaishou.orders_snapshots');
    // A campaign that stands keeps both from leaving, and its deliveries go with it.
    const besides = ['audience.campaigns', 'audience.deliveries', ...foreign];
    expect(rows.map(({ name }) => name).sort()).toEqual([...owned, ...besides].sort());
    expect(new Set(owned).size).toBe(owned.length);
  });

  test.each(['org', 'shop', 'stripe', 'crm', 'people', 'channel'])(
    '%s: the one goes whole, all else stays',
    async (kind) => {
      const [name, other] = pairs.get(kind) as [string, string];
      const tables = await tablesOf(name);
      for (const one of [name, other]) await plant(pool, one, tables);
      await pool.query(
        `INSERT INTO syncline.budgets (platform, scope, rate) SELECT 'x', s, 0 FROM unnest($1::text[]) s`,
        [[name, `${name}/orders`, `${name}x`, `/${name}`, other]],
      );
      const before = await everyRow(pool);
      const { rows: numbered } = await pool.query(
        `SELECT (SELECT max(id) FROM org.plans WHERE connection_id = c.id) AS plan, (SELECT max(id) FROM syncline.passes WHERE connection_id = c.id) AS pass
       FROM unnest($1::text[]) c(id)`,
        [[name, other]],
      );
      const cutOff = numbered.map(({ plan, pass }) => [`org_stage.p${plan}_users`, `syncline_pass.p${pass}`]);
      for (const table of cutOff.flat()) await pool.query(`CREATE TABLE IF NOT EXISTS ${table} (id text)`);
      const hasRows = (await left(name)).map(sqlName);
      expect(hasRows.sort()).toEqual([...tables, { schema: 'syncline', name: 'budgets' }].map(sqlName).sort());
      const numbers = (table: string) =>
        new Set(before.get(table)!.flatMap((row) => (row.connection_id === name ? [row.id] : [])));
      const [plans, passes] = [numbers('org.plans'), numbers('syncline.passes')];
      const isIts = (table: string, row: Record<string, unknown>) =>
        !foreign.includes(table) &&
        (row.connection_id === name ||
          (table === 'syncline.connections' && row.id === name) ||
          (table === 'syncline.budgets' && (row.scope === name || String(row.scope).startsWith(`${name}/`))) ||
          (!('connection_id' in row) && (plans.has(row.plan_id as number) || passes.has(row.pass_id as number))));

      expect(await cli(`disconnect ${name} --yes`)).toMatchObject({
        code: 0,
        err: '',
        out: expect.stringMatching(new RegExp(`Disconnected ${name}: [\\d,]+ rows deleted. The name is free.\n$`)),
      });
      const after = await everyRow(pool);
      for (const [table, rows] of before)
        expect(after.get(table) ?? [], table).toEqual(rows.filter((row) => !isIts(table, row)));
      for (const table of cutOff[0]!) expect(after.has(table), table).toBe(false);
      for (const table of cutOff[1]!) {
        expect(after.has(table), table).toBe(true);
        await pool.query(`DROP TABLE ${table}`);
      }
      const traces = [...after].filter(
        ([table, rows]) => !foreign.includes(table) && rows.some((row) => row.connection_id === name),
      );
      expect(traces).toEqual([]);
    },
  );
});

test('a table added to the schema is met by its connection_id, else nobody may forget to say how', () => {
  const added = pgSchema('syncline').table('added', { connectionId: text('connection_id') });
  expect(schemaTables([added])).toEqual([
    { schema: 'syncline', name: 'added', owner: 'connection_id', by: 'connection', kept: false },
  ]);
  const forgotten = pgSchema('syncline').table('forgotten', { passId: text('pass_id') });
  expect(() => schemaTables([forgotten])).toThrow('syncline.forgotten: nobody has said whose its rows are');
  const files = readdirSync(join(import.meta.dirname, '../db/schema')).map((file) => file.replace('.ts', ''));
  // As drizzle.config.ts reads them: all files of the folder.
  expect(files.sort()).toEqual(['audience', 'hubspot', 'org', 'platform', 'stripe', 'syncline']);
});

test('the table of a stream that the connector lost is met, by our columns and not by its name alone', async () => {
  const [name, other] = [await shop(), await shop()];
  await ensureTable(pool, { schema: 'kuaishou', name: 'former', columns: [] });
  await pool.query('CREATE TABLE kuaishou.mine (connection_id text, id text, data jsonb)');
  for (const id of [name, other]) {
    for (const stream of ['former', 'mine'])
      await pool.query(`INSERT INTO syncline.streams (connection_id, stream, scope) VALUES ($1, $2, 's')`, [
        id,
        stream,
      ]);
    await pool.query(
      `INSERT INTO kuaishou.former (connection_id, id, data, generation, synced_at) VALUES ($1, '1', '{}', 1, now())`,
      [id],
    );
    await pool.query(`INSERT INTO kuaishou.mine VALUES ($1, '1', '{}')`, [id]);
  }
  expect((await cli(`disconnect ${name} --yes`)).out).toMatch(/^ {2}kuaishou\.former +1$/m);
  const { rows } = await pool.query(
    'SELECT connection_id AS id FROM kuaishou.former UNION ALL SELECT connection_id FROM kuaishou.mine',
  );
  expect(rows.map(({ id }) => id).sort()).toEqual([name, other, other].sort());
});

describe('a run that begins in between', () => {
  const run = { workflowId: 'w', runId: 'r' };
  const claimOf = async (connection: string, pipeline: string) =>
    (await takeClaim(pool, { connection, pipeline, ...run, isOpen: closed })) as Claim;

  test('has its claim before and keeps the connection, or gets none', async () => {
    const name = await stranger();
    const leaving = { id: name, no: await numberOf(name), keepRows: false };
    await claimOf(name, 'org');
    expect(await leave(pool, leaving, await tablesOf(leaving.id), async () => true)).toMatchObject({
      holders: [{ pipeline: 'org', ...run }],
    });
    expect(await storedConnection(pool, name)).toMatchObject({ hasCredential: true });

    // The row is locked while Temporal is asked: who takes a claim then waits, and finds nothing.
    let late: Promise<unknown> | undefined;
    const done = await leave(pool, leaving, await tablesOf(leaving.id), async () => {
      late = claimOf(name, 'platform/orders').catch((error: unknown) => error);
      await until('the claim to wait', async () => {
        const { rows } = await pool.query(
          `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO syncline.claims%' AND datname = current_database()`,
        );
        return rows.length > 0;
      });
      return false;
    });
    expect(done).toBeNull();
    expect(await late).toBeInstanceOf(ConnectionUnknown);
    expect(((await late) as Error).message).toBe(
      `Connection "${name}" is being disconnected. Finish that with: npx syncline disconnect ${name}`,
    );
    await deleteRows(pool, leaving, await tablesOf(name), () => undefined);
    await expect(claimOf(name, 'org')).rejects.toThrow(`Connection "${name}" does not exist.`);
    expect(await left(name)).toEqual([]);
  });

  test('the write in hand is waited for, the next one finds no claim', async () => {
    const name = await stranger();
    const leaving = { id: name, no: await numberOf(name), keepRows: false };
    const claim = await claimOf(name, 'org');
    const write = (work: () => Promise<unknown> = async () => undefined) =>
      writeUnderClaim(pool, claim, { name: 'write' }, async (client) => {
        await client.query(
          `INSERT INTO org.groups (connection_id, id, tenant, name, generation) VALUES ($1, gen_random_uuid(), 't', 'n', 1)`,
          [name],
        );
        await work();
      });
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const writing = write(() => held);
    await until('the write', async () => {
      const { rows } = await pool.query(
        `SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction' AND application_name = 'syncline write ${name}'`,
      );
      return rows.length > 0;
    });
    expect(await cli(`disconnect ${name} --yes`)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`A write for ${name} is still under way`),
    });
    expect(await storedConnection(pool, name)).toMatchObject({ hasCredential: true });
    let gone = false;
    const going = leave(pool, leaving, await tablesOf(leaving.id), closed).then((uses) => {
      gone = true;
      return uses;
    });
    await until('the wait for it', async () => {
      const { rows } = await pool.query(
        `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE FROM syncline.claims%' AND datname = current_database()`,
      );
      return rows.length > 0;
    });
    expect(gone).toBe(false);
    go();
    await writing;
    expect(await going).toBeNull();
    await expect(write()).rejects.toBeInstanceOf(ClaimLost);
    await deleteRows(pool, leaving, await tablesOf(name), () => undefined);
    expect(await left(name)).toEqual([]);
  });

  test('an activity of before writes nothing for a connection of the same name', async () => {
    const name = await stranger();
    const claim = await claimOf(name, 'org');
    const leaving = { id: name, no: await numberOf(name), keepRows: false };
    await leave(pool, leaving, await tablesOf(leaving.id), closed);
    await deleteRows(pool, leaving, await tablesOf(name), () => undefined);
    await saveConnection(pool, key, directory(name));
    const mine = await claimOf(name, 'org');
    const write = (by: Claim) => writeUnderClaim(pool, by, { name: 'write' }, async () => 'written');
    await expect(write(claim)).rejects.toBeInstanceOf(ClaimLost);
    expect(await write(mine)).toBe('written');
  });

  test.each(['leaving', 'gone'])('nothing else makes a first row once it is %s', async (when) => {
    const [name, other] = [await stranger(), await hook()];
    const crm = await openCrm(place, { users: 1, capture: false });
    const owner = await storedConnection(pool, crm.name);
    const tokenAt = { connection: name, no: await numberOf(name), origin: 'o' };
    const asks = { holder: 'h', version: 0, heldMs: 1_000, freshMs: 1_000 };
    expect(await claimRefresh(pool, tokenAt, asks)).toEqual({ lostSince: null });
    for (const id of [name, crm.name]) {
      const leaving = { id, no: await numberOf(id), keepRows: false };
      await leave(pool, leaving, await tablesOf(leaving.id), closed);
      if (when === 'gone') await deleteRows(pool, leaving, await tablesOf(id), () => undefined);
    }
    const grant = { access: 'a', askedMs: Date.now(), expiresMs: Date.now() + 1_000 };
    expect(await storeToken(pool, key, tokenAt, 0, grant)).toBe(false);
    await expect(claimRefresh(pool, tokenAt, asks)).rejects.toBeInstanceOf(ConnectionUnknown);
    for (const [audience, channel] of [
      [name, other],
      [other, name],
    ] as const)
      await expect(saveCampaign(pool, fresh(), { audience: { connection: audience }, channel })).rejects.toBeInstanceOf(
        ConnectionUnknown,
      );
    expect(await unsubscribe(pool, { connection: name, kind: 'user', value: 'u', channel: '' }, false)).toBe(false);
    const told = { address: 'a', template: 't', change: 'one-more', event: 'e' } as const;
    expect(await applyGrants(pool, name, [told])).toBe(0);
    await expect(installCapture(pool, owner, v.parse(mappingSchema, crm.mapping))).rejects.toBeInstanceOf(
      ConnectionUnknown,
    );
    expect(await world.fail(name)).toMatchObject({ type: 'ConnectionUnknown' });
    if (when === 'leaving') {
      await expect(saveConnection(pool, key, directory(name))).rejects.toThrow('is being disconnected');
      expect((await cli(`connect ${name} --platform scim --url https://h --no-credential --no-probe`)).err).toContain(
        'is being disconnected',
      );
      expect((await cli('status')).out).toContain(
        `Connection "${name}" is being disconnected. Finish that with: npx syncline disconnect ${name}`,
      );
      expect((await cli(`status ${name}`)).err).toContain('is being disconnected');
    }
    expect(await left(name)).toEqual([]);
    const { rows } = await pool.query(`SELECT tgname FROM pg_trigger WHERE tgrelid = '${crm.schema}.users'::regclass`);
    expect(rows).toEqual([]);
  });
});

test('killed in the middle it goes on, in pages of 10,000 rows; the name may be given again then', async () => {
  const [name, other] = [await stranger(), await stranger()];
  const many = 150_000;
  for (const id of [name, other])
    await pool.query(
      `INSERT INTO org.memberships (connection_id, user_id, group_id, is_primary, generation)
       SELECT $1, 'u' || i / 2, 'g' || i % 2, true, 1 FROM generate_series(1, $2) i`,
      [id, id === name ? many : 10],
    );
  const rowsOf = async (id: string): Promise<number> =>
    (await pool.query('SELECT count(*)::int AS n FROM org.memberships WHERE connection_id = $1', [id])).rows[0].n;
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(import.meta.dirname, '../workers/cli.ts'), 'disconnect', name, '--yes'],
    { env: { ...process.env, ...environment }, stdio: 'ignore' },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  await until('the first pages to go', async () => (await rowsOf(name)) < many);
  child.kill('SIGKILL');
  expect(await ended).toEqual([null, 'SIGKILL']);
  await until('its last statement to end', async () => {
    const { rows } = await pool.query(
      `SELECT 1 FROM pg_stat_activity WHERE application_name = 'syncline cli' AND datname = current_database()`,
    );
    return rows.length === 0;
  });
  const rest = await rowsOf(name);
  expect(rest).toBeGreaterThan(0);
  expect(rest % pageRows).toBe(0);
  await expect(storedConnection(pool, name)).rejects.toBeInstanceOf(ConnectionUnknown);
  const sees: string[] = [];
  const said = await cli(`disconnect ${name}`, { types: [name], sees });
  expect(said).toMatchObject({ code: 0, err: '' });
  expect(said.out).toContain(`To be deleted: what is left of connection ${name}`);
  expect(said.out).toContain(`Disconnected ${name}: ${rest.toLocaleString('en')} rows deleted. The name is free.`);
  expect(sees.length).toBe(rest > pageRows ? Math.ceil(rest / pageRows) : 0);
  expect([await rowsOf(name), await rowsOf(other)]).toEqual([0, 10]);

  // Two at once, one of which is late: the name belongs to somebody else by then.
  await saveConnection(pool, key, directory(name));
  await plant(pool, name, await tablesOf(name));
  const before = await left(name);
  const stale = { id: name, no: (await numberOf(name)) - 1, keepRows: false };
  await deleteRows(pool, stale, await tablesOf(name), () => undefined);
  expect(await left(name)).toEqual(before);
  expect(await storedConnection(pool, name)).toMatchObject({ id: name });
});

test('two at once: the slower deletes nothing of a connection that got the name meanwhile', async () => {
  const name = await stranger();
  const leaving = { id: name, no: await numberOf(name), keepRows: false };
  await pool.query(
    `INSERT INTO org.memberships (connection_id, user_id, group_id, is_primary, generation)
     SELECT $1, lpad(i::text, 9, '0'), 'g', true, 1 FROM generate_series(1, $2) i`,
    [name, 2.5 * pageRows],
  );
  expect(await leave(pool, leaving, await tablesOf(leaving.id), closed)).toBeNull();
  expect(await leave(pool, leaving, await tablesOf(leaving.id), closed)).toBeNull();
  await expect(leave(pool, { ...leaving, keepRows: true }, await tablesOf(name), closed)).rejects.toThrow(
    'is being disconnected',
  );
  const holder = await pool.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT 1 FROM org.memberships WHERE connection_id = $1 AND user_id = $2 FOR UPDATE', [
    name,
    String(1.5 * pageRows).padStart(9, '0'),
  ]);
  const slower = deleteRows(pool, leaving, await tablesOf(name), () => undefined);
  await until('its second page to wait', async () => {
    const { rows } = await pool.query(
      `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'WITH page%' AND datname = current_database()`,
    );
    return rows.length > 0;
  });
  // What the faster one does last, and what may follow at once.
  await pool.query('DELETE FROM syncline.connections WHERE id = $1', [name]);
  await saveConnection(pool, key, directory(name));
  await holder.query('COMMIT');
  holder.release();
  await slower;
  expect(await left(name)).toMatchObject([{ name: 'memberships', rows: pageRows / 2 }]);
  expect(await storedConnection(pool, name)).toMatchObject({ id: name });
});

describe('rows of a table that is none of ours', () => {
  const member = async () => {
    const name = await stranger();
    await pool.query(
      `INSERT INTO org.users (connection_id, id, tenant, user_name, generation) SELECT $1, i::text, $1, i::text, 1 FROM generate_series(1, 3) i`,
      [name],
    );
    return name;
  };
  const pointing = async (name: string, keepRows = false) => {
    const tables = await tablesOf(name);
    const uses = await leave(pool, { id: name, no: await numberOf(name), keepRows }, tables, async () => true);
    return uses?.references.map(({ table, constraint, rows, to }) => [table, constraint, rows, sqlName(to)]);
  };

  test('keep the connection whose rows they point at, by whatever key; others do not', async () => {
    const [name, other] = [await member(), await member()];
    const plans = (await tablesOf(name)).filter((table) => sqlName(table) === '"org"."plans"');
    await plant(pool, name, plans);
    const { rows } = await pool.query('SELECT id FROM org.plans WHERE connection_id = $1', [name]);
    // Of another collation than ours, a part of them without a key, in partitions, and with children that the key does not bind.
    await pool.query(`
      CREATE SCHEMA "my app";
      CREATE TABLE "my app".desks (whose text, person text, CONSTRAINT sits FOREIGN KEY (whose, person) REFERENCES org.users (connection_id, id) ON DELETE CASCADE);
      INSERT INTO "my app".desks SELECT connection_id, id FROM org.users WHERE id <> '3' UNION ALL VALUES ('${name}', NULL);
      CREATE TABLE "my app".loose () INHERITS ("my app".desks);
      INSERT INTO "my app".loose SELECT connection_id, id FROM org.users;
      CREATE TABLE "my app".keys (person text, whose varchar, CONSTRAINT opens FOREIGN KEY (person, whose) REFERENCES org.users (id, connection_id) ON DELETE SET NULL) PARTITION BY LIST (whose);
      CREATE TABLE "my app".its_keys PARTITION OF "my app".keys FOR VALUES IN ('${name}');
      INSERT INTO "my app".keys SELECT id, connection_id FROM org.users WHERE connection_id = '${name}';
      CREATE TABLE "my app".reviews (plan int, CONSTRAINT reviews FOREIGN KEY (plan) REFERENCES org.plans (id));
      INSERT INTO "my app".reviews VALUES (${rows[0].id});
      CREATE TABLE "my app".customers (sync text CONSTRAINT synced REFERENCES syncline.connections (id) ON DELETE SET NULL);
      INSERT INTO "my app".customers VALUES ('${name}');
      CREATE TABLE "my app".unused (sync text CONSTRAINT unused REFERENCES syncline.connections (id));
    `);
    onTestFinished(async () => void (await pool.query('DROP SCHEMA "my app" CASCADE')));
    const before = await everyRow(pool);
    const always = [
      ['my app.customers', 'synced', 1, '"syncline"."connections"'],
      ['my app.reviews', 'reviews', 1, '"org"."plans"'],
    ];
    expect(await pointing(name, true)).toEqual(always);
    expect(await pointing(name)).toEqual([
      always[0],
      ['my app.desks', 'sits', 2, '"org"."users"'],
      ['my app.keys', 'opens', 3, '"org"."users"'],
      always[1],
    ]);
    expect(await everyRow(pool)).toEqual(before);
    await pool.query(`DELETE FROM "my app".desks WHERE whose = '${other}'`);
    expect(await pointing(other)).toBeUndefined();
  });

  test('that may not be read keep it, if it has rows to point at', async () => {
    const [name, other] = [await member(), await stranger()];
    const tables = await tablesOf(name);
    const users = tables.filter((table) => sqlName(table) === '"org"."users"');
    const schemas = [...new Set(tables.map(({ schema }) => schema))];
    const role = `r_${name.replaceAll('-', '_')}`;
    await pool.query(`
      CREATE TABLE public.secrets (whose text, person text, CONSTRAINT hides FOREIGN KEY (whose, person) REFERENCES org.users (connection_id, id));
      CREATE ROLE ${role}; GRANT USAGE ON SCHEMA ${schemas.join(', ')} TO ${role}; GRANT SELECT ON org.users TO ${role}`);
    onTestFinished(
      async () => void (await pool.query(`DROP TABLE public.secrets; DROP OWNED BY ${role}; DROP ROLE ${role}`)),
    );
    const client = await pool.connect();
    onTestFinished(async () => {
      await client.query('ROLLBACK');
      client.release();
    });
    await client.query(`BEGIN; SET LOCAL ROLE ${role}`);
    const seen = async (id: string) =>
      (await referencesTo(client, id, users, users)).map(({ table, constraint, rows }) => [table, constraint, rows]);
    const hidden = [['public.secrets', 'hides', null]];
    expect([await seen(name), await seen(other)]).toEqual([hidden, []]);
    await pool.query(`GRANT SELECT ON public.secrets TO ${role}; ALTER TABLE public.secrets ENABLE ROW LEVEL SECURITY`);
    expect(await seen(name)).toEqual(hidden);
    await pool.query('ALTER TABLE public.secrets DISABLE ROW LEVEL SECURITY');
    expect(await seen(name)).toEqual([]);
  });

  test('are looked up within seconds for a connection that came after its tables were analysed', async () => {
    const [before, name] = [await member(), await stranger()];
    await pool.query(`
      CREATE TABLE public.badges (whose text, person text, CONSTRAINT opens FOREIGN KEY (whose, person) REFERENCES org.users (connection_id, id)) WITH (autovacuum_enabled = off);
      INSERT INTO public.badges SELECT connection_id, id FROM org.users WHERE connection_id = '${before}';
      ALTER TABLE org.users SET (autovacuum_enabled = off);
      ANALYZE org.users, public.badges`);
    onTestFinished(async () => void (await pool.query('DROP TABLE public.badges')));
    await pool.query(
      `INSERT INTO org.users (connection_id, id, tenant, user_name, generation) SELECT $1, i::text, $1, i::text, 1 FROM generate_series(1, 60000) i`,
      [name],
    );
    await pool.query('INSERT INTO public.badges SELECT connection_id, id FROM org.users WHERE connection_id = $1', [
      name,
    ]);
    expect(await pointing(name)).toEqual([['public.badges', 'opens', 60_000, '"org"."users"']]);
  });
});
