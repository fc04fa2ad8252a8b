import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { connectors } from '../connectors/index.ts';
import { storedConnection } from '../db/connections.ts';
import { leave } from '../db/disconnect.ts';
import { define, people } from './harness/audience.ts';
import { openCli } from './harness/cli.ts';
import { everyRow } from './harness/whole.ts';

const { world, cli, connected, decimated, fresh, liveUsers, pausedRun, sandbox, shop } = await openCli();
const { pool } = world;

const isThere = async (name: string) => (await cli(`status ${name}`)).code === 0;
const rowsOf = async (table: string, name: string): Promise<number> =>
  (await pool.query(`SELECT count(*)::int AS n FROM ${table} WHERE connection_id = $1`, [name])).rows[0].n;

async function synced(): Promise<string> {
  const name = await connected(await sandbox());
  expect((await cli(`start orgSync ${name} --wait`)).code).toBe(0);
  return name;
}

test('says what goes, by table; asks for the name; then nothing of it is left', async () => {
  const name = await synced();
  const tried = await cli(`disconnect ${name} --dry-run`);
  expect(tried).toMatchObject({ code: 0, err: '' });
  expect(tried.out).toMatch(
    new RegExp(
      `^Would delete connection ${name} \\(scim\\), its credential, and of these tables so many rows:\n( {2}\\S+ +\\d+\n)+$`,
    ),
  );
  expect(tried.out).toMatch(/^ {2}org\.users +60$/m);
  expect(tried.out).toMatch(/^ {2}syncline\.claims +1$/m);
  // Tables without rows are not named.
  expect(tried.out).not.toContain('stripe');

  expect(await cli(`disconnect ${name}`)).toEqual({
    code: 2,
    out: tried.out.replace('Would delete', 'To be deleted:'),
    err: `syncline: Nobody can be asked here; nothing was deleted. Delete it with: npx syncline disconnect ${name} --yes\n`,
  });
  expect((await cli(`disconnect ${name} --keep-rows`)).err).toContain(
    `npx syncline disconnect ${name} --keep-rows --yes`,
  );
  const mistyped = await cli(`disconnect ${name}`, { types: ['yes'] });
  expect([mistyped.code, mistyped.out]).toEqual([
    1,
    expect.stringMatching(/Type the name .*: \nNothing was deleted\.\n$/),
  ]);
  expect(await liveUsers(name)).toBe(60);
  expect(await isThere(name)).toBe(true);

  const said = await cli(`disconnect ${name}`, { types: [name] });
  expect(said).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/The name is free\.\n$/) });
  for (const table of ['org.users', 'org.groups', 'org.memberships', 'org.plans', 'syncline.claims'])
    expect(await rowsOf(table, name), table).toBe(0);
  expect((await cli(`disconnect ${name} --yes`)).err).toContain(
    `Connection "${name}" does not exist. Known connections: `,
  );
});

test('--keep-rows leaves what others read, and the name finds it again', async () => {
  const [org, { name, source }] = [await synced(), await shop({}, '--option', 'snapshot=true')];
  expect((await cli(`start platformSync ${name} --wait`)).code).toBe(0);
  expect(await rowsOf('kuaishou.orders_snapshots', name)).toBe(60);
  const tried = await cli(`disconnect ${name} --keep-rows --dry-run`);
  const [gone, stay] = tried.out.split(
    'These rows stay, and nobody updates them; connected again under this name, it finds them:\n',
  );
  expect(gone).toMatch(/^ {2}syncline\.passes +\d+$/m);
  expect(gone).toMatch(/^ {2}kuaishou\.orders_snapshots +60$/m);
  expect(stay).toMatch(/^ {2}kuaishou\.orders +60$/m);
  for (const one of [name, org])
    expect((await cli(`disconnect ${one} --keep-rows --yes`)).out).toMatch(
      new RegExp(`Disconnected ${one}: [\\d,]+ rows deleted, [\\d,]+ rows stay\\. The name is free\\.\n$`),
    );
  const held = async () =>
    Promise.all(
      [
        ['kuaishou.orders', name],
        ['kuaishou.orders_snapshots', name],
        ['syncline.streams', name],
        ['org.users', org],
        ['org.plans', org],
      ].map(([table, one]) => rowsOf(table as string, one as string)),
    );
  expect(await held()).toEqual([60, 0, 0, 60, 0]);

  const { platform, baseUrl, credential, options } = source.connection();
  const settings = Object.entries(options).flatMap(([key, value]) => ['--option', `${key}=${value}`]);
  const line = [
    'connect',
    name,
    '--platform',
    platform,
    '--url',
    baseUrl,
    ...settings,
    '--no-probe',
    '--credential-env',
    'SHOP',
  ];
  expect((await cli(line, { env: { SHOP: JSON.stringify(credential) } })).code).toBe(0);
  expect((await cli(`start platformSync ${name} --wait`)).code).toBe(0);
  expect((await held()).slice(0, 3)).toEqual([60, 0, expect.any(Number)]);
  expect((await cli(`disconnect ${name} --yes`)).code).toBe(0);
  expect((await held()).slice(0, 3)).toEqual([0, 0, 0]);
});

test('refuses while a run is open or a schedule is there, with the commands', async () => {
  const { name } = await pausedRun();
  const outside = fresh();
  expect((await cli(`schedule ${name} --every 1d`)).code).toBe(0);
  await world.client.schedule.create({
    scheduleId: outside,
    spec: { intervals: [{ every: '1d' }] },
    action: {
      type: 'startWorkflow',
      workflowType: 'orgSync',
      taskQueue: world.config.taskQueue,
      args: [{ connection: name }],
    },
  });
  const named = async () => (await cli(`disconnect ${name} --yes`)).err.includes(outside);
  await expect.poll(named, { timeout: 20_000 }).toBe(true);
  expect(await cli(`disconnect ${name} --yes`)).toEqual({
    code: 1,
    out: '',
    err: `syncline: ${name} is in use; nothing was deleted: a run is open (orgSync-${name}): npx syncline cancel ${name}; a schedule runs it: npx syncline schedule delete ${name}; a schedule made outside runs it: temporal schedule delete --schedule-id ${outside}. Then: npx syncline disconnect ${name}\n`,
  });
  const tried = await cli(`disconnect ${name} --dry-run`);
  expect(tried).toMatchObject({ code: 0, err: '' });
  expect(tried.out).toMatch(/^Would delete connection /);
  expect(tried.out.split('It would be refused now, and nothing deleted:\n')[1]).toBe(
    `  a run is open (orgSync-${name}): npx syncline cancel ${name}\n  a schedule runs it: npx syncline schedule delete ${name}\n  a schedule made outside runs it: temporal schedule delete --schedule-id ${outside}\n`,
  );
  expect((await cli(`schedule delete ${name}`)).code).toBe(0);
  await world.client.schedule.getHandle(outside).delete();
  expect((await cli(`cancel ${name}`)).code).toBe(0);
  await expect.poll(async () => (await cli(`disconnect ${name} --yes`)).code, { timeout: 20_000 }).toBe(0);

  // Parked and started under an id of somebody's own: the claim knows.
  const { name: parked } = await decimated();
  const run = await world.start(parked);
  await expect.poll(() => rowsOf('org.plans', parked), { timeout: 20_000 }).toBe(2);
  expect((await cli(`disconnect ${parked} --yes`)).err).toContain(
    `a run is open (${run.workflowId}): npx syncline cancel ${parked}`,
  );
  expect(await liveUsers(parked)).toBe(60);
  await run.terminate();
  expect((await cli(`disconnect ${parked} --yes`)).code).toBe(0);
});

test('unknown names, campaigns, platforms of somebody, and what is begun already', async () => {
  expect(await cli('disconnect No')).toMatchObject({
    code: 2,
    err: expect.stringContaining('connection: got "No", accepted a name'),
  });
  const name = await synced();
  expect(await cli(`disconnect ${name}x --yes`)).toMatchObject({
    code: 1,
    err: expect.stringMatching(new RegExp(`Connection "${name}x" does not exist. Known connections: .*${name}`)),
  });
  await pool.query(`UPDATE syncline.connections SET platform = 'lanterns' WHERE id = $1`, [name]);
  expect(await cli(`disconnect ${name} --yes`)).toMatchObject({
    code: 1,
    out: '',
    err: expect.stringContaining(`"${name}" is of platform lanterns, which has no connector here`),
  });
  const own = join(import.meta.dirname, 'harness/lanterns/connector.ts');
  onTestFinished(() => void delete connectors.lanterns);
  expect((await cli(`disconnect ${name} --dry-run`, { env: { SYNCLINE_CONNECTORS: own } })).code).toBe(0);
  await pool.query(`UPDATE syncline.connections SET platform = 'scim' WHERE id = $1`, [name]);

  const crowd = await people(world, { count: 1 });
  const campaign = await define(world, { connection: crowd }, name);
  expect(await cli(`disconnect ${campaign} --yes`)).toMatchObject({
    code: 2,
    err: expect.stringContaining(`"${campaign}" is a campaign, no connection.`),
  });
  // What was to stay is not deleted by the command that is to follow.
  expect((await cli(`disconnect ${name} --keep-rows --yes`)).err).toMatch(
    new RegExp(`\\. Then: npx syncline disconnect ${name} --keep-rows\n$`),
  );
  // A draft too: nobody else says where it is to be deleted.
  expect((await cli(`disconnect ${name} --yes`)).err).toContain(
    `campaign ${campaign} uses it: npx syncline campaign purge ${campaign}`,
  );
  expect(await cli(`disconnect ${name} --dry-run`)).toMatchObject({
    code: 0,
    out: expect.stringMatching(
      new RegExp(`deleted:\n  campaign ${campaign} uses it: npx syncline campaign purge ${campaign}\n$`),
    ),
  });
  expect(await cli(`campaign purge ${campaign}`)).toMatchObject({ code: 0, err: '' });

  const { no } = await storedConnection(pool, name);
  expect(await leave(pool, { id: name, no, keepRows: false }, [], async () => false)).toBeNull();
  expect(await cli(`disconnect ${name} --keep-rows --yes`)).toMatchObject({
    code: 2,
    err: `syncline: --keep-rows: the rows of "${name}" are being deleted already. Finish that with: npx syncline disconnect ${name}\n`,
  });
  expect((await cli(`disconnect ${name}`, { types: [''] })).out).toContain('Nothing more was deleted.');
  expect((await cli(`disconnect ${name} --yes`)).out).toContain(`To be deleted: what is left of connection ${name}`);
});

test.each(['NO ACTION', 'CASCADE', 'SET NULL'])(
  'rows of others that point at it keep it, ON DELETE %s',
  async (rule) => {
    const [name, other] = [await synced(), await synced()];
    await pool.query(
      `CREATE TABLE public.desks (connection_id text, person text COLLATE "C", FOREIGN KEY (connection_id, person) REFERENCES org.users (connection_id, id) ON DELETE ${rule});
     INSERT INTO public.desks SELECT connection_id, id FROM org.users`,
    );
    onTestFinished(async () => void (await pool.query('DROP TABLE public.desks')));
    const before = await everyRow(pool);
    const { rows } = await pool.query('SELECT count(*)::int AS n FROM public.desks WHERE connection_id = $1', [name]);
    expect(rows[0].n).toBe(60);
    const reason = `60 rows of public.desks point at rows of org.users that would go (desks_connection_id_person_fkey): delete or move them first, or let those stay: npx syncline disconnect ${name} --keep-rows`;
    expect(await cli(`disconnect ${name} --yes`)).toEqual({
      code: 1,
      out: '',
      err: `syncline: ${name} is in use; nothing was deleted: ${reason}. Then: npx syncline disconnect ${name}\n`,
    });
    const tried = await cli(`disconnect ${name} --dry-run`);
    expect(tried).toMatchObject({ code: 0, err: '' });
    expect(tried.out).toMatch(/^ {2}org\.users +60$/m);
    expect(tried.out.endsWith(`\nIt would be refused now, and nothing deleted:\n  ${reason}\n`)).toBe(true);
    expect(await everyRow(pool)).toEqual(before);

    expect((await cli(`disconnect ${name} --keep-rows --dry-run`)).out).not.toContain('refused');
    expect((await cli(`disconnect ${name} --keep-rows --yes`)).code).toBe(0);
    expect(await rowsOf('public.desks', name)).toBe(60);
    await pool.query('DELETE FROM public.desks WHERE connection_id = $1', [other]);
    expect((await cli(`disconnect ${other} --yes`)).code).toBe(0);
    expect([await rowsOf('org.users', name), await rowsOf('org.users', other)]).toEqual([60, 0]);
  },
);

test('a row that points at it from in between is named, and it goes on behind it', async () => {
  const name = await synced();
  const { no } = await storedConnection(pool, name);
  expect(await leave(pool, { id: name, no, keepRows: false }, [], async () => false)).toBeNull();
  await pool.query(
    `CREATE TABLE public.desks (connection_id text, person text COLLATE "C", FOREIGN KEY (connection_id, person) REFERENCES org.users (connection_id, id));
     INSERT INTO public.desks SELECT connection_id, id FROM org.users WHERE connection_id = '${name}' LIMIT 1`,
  );
  const said = await cli(`disconnect ${name} --yes`);
  expect(said.err).toMatch(
    new RegExp(
      `^syncline: Rows of public.desks point at rows of ${name} \\(desks_connection_id_person_fkey\\); \\d+ rows of it are deleted. Delete those, then go on with: npx syncline disconnect ${name}\n$`,
    ),
  );
  expect(said.code).toBe(1);
  expect(await rowsOf('public.desks', name)).toBe(1);
  await pool.query('DROP TABLE public.desks');
  expect((await cli(`disconnect ${name} --yes`)).code).toBe(0);
  expect(await rowsOf('org.users', name)).toBe(0);
});
