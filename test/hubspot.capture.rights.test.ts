import * as v from 'valibot';
import { describe, expect, onTestFinished, test } from 'vitest';
import { proveMapping } from '../activities/hubspot/begin.ts';
import { checkMapping, previewUser, readOptions } from '../activities/hubspot/desk.ts';
import { mappingSchema } from '../connectors/hubspot/mapping.ts';
import { captureStanding, installCapture, removeCapture } from '../db/capture.ts';
import { createPool, type Pool } from '../db/client.ts';
import { storedConnection } from '../db/connections.ts';
import { migrate } from '../db/migrate.ts';
import { plainMessage } from '../workers/cli/trouble.ts';
import { type Crm, openCrm } from './harness/crm.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const { pool } = world;
const database = new URL(world.servers.databaseUrl).pathname.slice(1);

const owner = (crm: Crm) => storedConnection(pool, crm.name);
const mappingOf = (crm: Crm) => v.parse(mappingSchema, crm.mapping);

/** A role of its own with the least rights on the tables of a CRM, and a pool that logs in as it. */
async function least(crm: Crm): Promise<{ role: string; own: Pool }> {
  const role = `syncer_${crm.schema}`;
  await pool.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT ALL ON SCHEMA syncline, syncline_capture TO ${role};
    GRANT ALL ON ALL TABLES IN SCHEMA syncline TO ${role}; GRANT USAGE ON SCHEMA ${crm.schema} TO ${role};
    GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA ${crm.schema} TO ${role}`);
  const url = new URL(world.servers.databaseUrl);
  url.username = role;
  url.password = 'pw';
  const own = createPool({ url: url.href, size: 2 });
  onTestFinished(async () => {
    await own.end();
    await pool.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
  });
  return { role, own };
}

describe('rights', () => {
  test('row-level security is a missing right, and a user it hides never reads as deleted', async () => {
    const crm = await openCrm(world, { users: 5, capture: false });
    const { role, own } = await least(crm);
    await crm.sql(`ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON users USING (id < 3)`);
    const stored = { ...(await owner(crm)), credential: null };
    const install = async () => installCapture(own, stored, mappingOf(crm));
    await expect(install()).rejects.toThrow(
      new RegExp(`sight of every row of "${crm.schema}"."users".*: ALTER ROLE "${role}" BYPASSRLS;`),
    );
    await pool.query(`ALTER ROLE ${role} BYPASSRLS`);
    expect(await install()).toMatchObject({ complete: true });
    await pool.query(`ALTER ROLE ${role} NOBYPASSRLS`);

    const opened = readOptions(stored);
    await expect(proveMapping(own, opened)).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining(`ALTER ROLE "${role}" BYPASSRLS;`),
    });
    const hidden = previewUser(own, stored, '4');
    await expect(hidden, 'not gone, but refused').rejects.toThrow(`ALTER ROLE "${role}" BYPASSRLS;`);

    await pool.query(
      `ALTER TABLE ${crm.schema}.users OWNER TO ${role}; ALTER TABLE ${crm.schema}.users FORCE ROW LEVEL SECURITY`,
    );
    await expect(proveMapping(own, opened)).rejects.toThrow(
      `ALTER TABLE "${crm.schema}"."users" NO FORCE ROW LEVEL SECURITY;`,
    );
    await crm.sql('ALTER TABLE users NO FORCE ROW LEVEL SECURITY');
    await proveMapping(own, opened);
  });

  test('each missing right is named with a statement that works as typed', async () => {
    const crm = await openCrm(world, { users: 5, capture: false });
    const { role, own } = await least(crm);
    const more = `more_${crm.schema}`;
    await pool.query(`CREATE SCHEMA ${more}; CREATE FUNCTION ${more}."Score"(n bigint, t text DEFAULT 'x') RETURNS bigint LANGUAGE sql AS 'SELECT n';
      REVOKE EXECUTE ON FUNCTION ${more}."Score" FROM PUBLIC; REVOKE TEMPORARY ON DATABASE ${database} FROM PUBLIC;
      REVOKE ALL ON SCHEMA syncline_capture, ${crm.schema} FROM ${role}`);
    const score = { sql: `${more}."Score"(u.id)`, type: 'number' as const };
    const mapping = { ...mappingOf(crm), properties: { ...mappingOf(crm).properties, app_orders: score } };
    const fewer = { ...mapping, tables: { [`${crm.schema}.companies`]: mapping.tables[`${crm.schema}.companies`]! } };
    const stored = { ...(await owner(crm)), credential: null };
    const opened = readOptions({ ...stored, options: { ...stored.options, mapping: fewer } });
    const install = () => installCapture(own, stored, fewer);

    const granted = await grantAll(install);
    expect(granted).toEqual([
      `GRANT TEMPORARY ON DATABASE "${database}" TO "${role}"`,
      `GRANT USAGE ON SCHEMA "${crm.schema}", "${more}" TO "${role}"`,
      `GRANT EXECUTE ON FUNCTION ${more}."Score"(n bigint, t text) TO "${role}"`,
      `GRANT USAGE ON SCHEMA syncline_capture TO "${role}"`,
      `GRANT CREATE ON SCHEMA syncline_capture TO "${role}"`,
    ]);
    expect(await install()).toMatchObject({ complete: true });

    const { no } = stored;
    await pool.query(`ALTER TABLE syncline_capture.log_${no} OWNER TO CURRENT_USER; REVOKE EXECUTE ON FUNCTION ${more}."Score" FROM ${role};
      REVOKE USAGE ON SCHEMA syncline_capture FROM ${role}`);
    expect(await checkMapping(own, opened)).toMatchObject({
      rights: [
        { what: expect.stringContaining('"Score"') },
        {
          what: expect.stringMatching(/^USAGE on SCHEMA syncline_capture for .*changes are lost until then/),
          lost: true,
        },
        { what: expect.stringContaining(`SELECT, INSERT, DELETE on syncline_capture.log_${no} for `), lost: true },
      ],
    });
    await grantAll(() => proveMapping(own, opened));
    await proveMapping(own, opened);
    await expect(install()).rejects.toThrow(`ALTER TABLE syncline_capture.log_${no} OWNER TO "${role}";`);
    await pool.query(`GRANT TEMPORARY ON DATABASE ${database} TO PUBLIC`);
  });
});

test('with the least rights, triggers are taken away again, also by a mapping that reads less', async () => {
  const crm = await openCrm(world, { users: 5, capture: false });
  const { role, own } = await least(crm);
  const stored = { ...(await owner(crm)), credential: null };
  const { no } = stored;
  await installCapture(own, stored, mappingOf(crm));
  const fewer = { ...mappingOf(crm), properties: { firstname: mappingOf(crm).properties.firstname! }, tables: {} };
  await pool.query(`DELETE FROM syncline_capture.log_${no}`);
  expect(await installCapture(own, stored, fewer)).toMatchObject({ complete: true, leftOver: [] });
  expect((await pool.query(`SELECT key FROM syncline_capture.log_${no}`)).rows, 'everybody').toEqual([{ key: null }]);
  expect(await removeCapture(own, stored)).toEqual([`${crm.schema}.users`]);
  const left = `SELECT proname FROM pg_proc WHERE pronamespace = 'syncline_capture'::regnamespace AND starts_with(proname, 'c${no}_')`;
  expect((await pool.query(left)).rows).toEqual([]);

  await installCapture(pool, stored, fewer);
  const statements = await grantAll(() => removeCapture(own, stored));
  expect(statements).toHaveLength(5);
  expect(statements).toContain(`ALTER TABLE syncline_capture.log_${no} OWNER TO "${role}"`);
});

test('a key that may not be read is a missing right, though every mapped column may', async () => {
  const crm = await openCrm(world, { users: 5 });
  const { role, own } = await least(crm);
  await pool.query(`REVOKE SELECT ON ${crm.schema}.users FROM ${role};
    GRANT SELECT (email, name, plan, interests, signed_up, seen_at, active, hidden, company_id) ON ${crm.schema}.users TO ${role};
    GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA syncline_capture TO ${role}`);
  const stored = { ...(await owner(crm)), credential: null };
  const mapping = { ...mappingOf(crm), properties: { firstname: mappingOf(crm).properties.firstname! }, tables: {} };
  await installCapture(pool, stored, mapping);
  const opened = readOptions({ ...stored, options: { ...stored.options, mapping } });
  const grant = `GRANT SELECT ON "${crm.schema}"."users" TO "${role}"`;
  expect(await checkMapping(own, opened)).toMatchObject({ rights: [{ grant }] });
  await expect(proveMapping(own, opened)).rejects.toThrow(grant);
  await pool.query(`GRANT SELECT (id) ON ${crm.schema}.users TO ${role}`);
  await proveMapping(own, opened);
});

test('who installed loses its rights: writers go on, status, check and a run name the grant, and everybody is marked', async () => {
  const crm = await openCrm(world, { users: 5, capture: false });
  const { role, own } = await least(crm);
  const stored = { ...(await owner(crm)), credential: null };
  const { no, id } = stored;
  await installCapture(own, stored, mappingOf(crm));
  await pool.query('INSERT INTO syncline.hubspot_syncs (connection_id) VALUES ($1)', [id]);
  const log = `syncline_capture.log_${no}`;
  const lost: [string, string][] = [
    [`REVOKE USAGE ON SCHEMA syncline_capture FROM ${role}`, `GRANT USAGE ON SCHEMA syncline_capture TO "${role}"`],
    [`ALTER TABLE ${log} OWNER TO CURRENT_USER`, `GRANT INSERT ON ${log} TO "${role}"`],
  ];
  for (const [statement, grant] of lost) {
    const before = await proveMapping(pool, readOptions(stored));
    await pool.query(statement);
    await crm.sql(`UPDATE users SET name = name || '!'; DELETE FROM orders; TRUNCATE orders`);
    const rights = [{ what: expect.stringContaining(`npx syncline capture install ${id}`), grant, lost: true }];
    expect(await captureStanding(pool, stored, mappingOf(crm))).toMatchObject({ rights });
    await expect(proveMapping(pool, readOptions(stored))).rejects.toThrow(`${grant};`);
    const { rows } = await pool.query(
      'UPDATE syncline.hubspot_syncs SET mark = NULL RETURNING mark, mark_list AS list',
    );
    expect(rows[0].list).toBe('contacts');
    await pool.query(`UPDATE syncline.hubspot_syncs SET mark_list = NULL; ${grant}`);
    expect(await captureStanding(pool, stored, mappingOf(crm))).toMatchObject({ complete: true, rights: [] });
    expect(await proveMapping(pool, readOptions(stored)), 'though no run came meanwhile').not.toBe(before);
  }
});

test('rights on what is our own are named as well: to make it, and whatever a command meets', async () => {
  const crm = await openCrm(world, { capture: false });
  const { role, own } = await least(crm);
  const url = new URL(world.servers.databaseUrl);
  url.username = role;
  url.password = 'pw';
  await expect(migrate(url.href)).rejects.toThrow(
    `As its owner, or a superuser: GRANT CREATE ON DATABASE "${database}" TO "${role}";`,
  );
  await pool.query(`REVOKE ALL ON SCHEMA syncline FROM ${role}`);
  const refused = await storedConnection(own, crm.name).catch(plainMessage);
  expect(refused).toMatch(
    /permission denied for schema syncline \(SQLSTATE 42501\).*docs\/operate\.md#rights-of-the-database-user/,
  );
});

/** Does what each refusal says, as it is typed, until nothing is refused. @returns the statements */
async function grantAll(work: () => Promise<unknown>): Promise<string[]> {
  const done: string[] = [];
  for (;;) {
    const refusal = await work().then(
      () => null,
      (error: Error) => error.message,
    );
    if (refusal === null) return done;
    const statements = refusal.match(/(GRANT|ALTER) [^;]+(?=;)/g) ?? expect.fail(refusal);
    for (const statement of statements) await pool.query(statement);
    done.push(...statements);
  }
}
