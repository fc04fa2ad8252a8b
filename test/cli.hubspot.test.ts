import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { mappingSchema } from '../connectors/hubspot/mapping.ts';
import { hubspotOptions } from '../connectors/hubspot.ts';
import { openCli } from './harness/cli.ts';
import { openCrm } from './harness/crm.ts';
import { until } from './harness/until.ts';

const { world, cli, fresh } = await openCli();
const folder = mkdtempSync(join(tmpdir(), 'syncline-mapping-'));

/** Tables and an account; the connection is made by the command line. */
async function connected(users = 5, change: (mapping: Record<string, unknown>) => void = () => undefined) {
  const crm = await openCrm(world, { users, capture: false, options: { callsPerWindow: 10_000 } });
  const mapping = structuredClone(crm.mapping);
  change(mapping);
  const file = join(folder, `${fresh()}.json`);
  writeFileSync(file, JSON.stringify(mapping));
  const name = fresh();
  const env = { CRM_TOKEN: crm.source.token };
  const said = await cli(
    `connect ${name} --platform hubspot --url ${crm.source.url} --mapping ${file} --option settleSeconds=0 --option callsPerWindow=10000 --credential-env CRM_TOKEN`,
    { env },
  );
  return { crm, name, file, said, env };
}

describe('from nothing to contacts', () => {
  test('connect says what is missing, install and check repair it, start sends, status and rejects tell', async () => {
    const { crm, name, file, said, env } = await connected();
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toContain(`npx syncline capture install ${name}`);
    expect(said.out).toContain('a run would not begin');
    expect(said.out).toContain(
      `Saved connection ${name}: hubspot, tenant ${name}, ${crm.source.url}/, credential sealed.`,
    );

    expect(await cli(`capture status ${name}`)).toMatchObject({
      code: 1,
      out: expect.stringMatching(/users\s+insert\s+missing/),
    });
    expect(await cli(`start hubspotSync ${name} --wait`)).toMatchObject({
      code: 1,
      err: expect.stringContaining('Changes are not captured'),
    });
    expect(await cli(`capture install ${name}`)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/are captured for \S+ \(12 triggers\)/),
    });
    expect(await cli(`capture status ${name}`)).toMatchObject({
      code: 0,
      out: expect.stringContaining(
        `Every change of the columns that the expressions of ${name} read is captured; none that functions read`,
      ),
    });
    expect(await cli(`hubspot check --connection ${name}`)).toMatchObject({
      code: 0,
      out: expect.stringContaining('9 properties fit the account and the database'),
    });

    const again = await cli(`connect ${name} --mapping ${file}`, { env });
    expect(again.out, 'captured already').toMatch(/Next: npx syncline start hubspotSync \S+ --wait\n$/);

    const before = await cli(`hubspot preview 3 --connection ${name}`);
    expect(before).toMatchObject({ code: 0, out: expect.stringContaining('a run would send it: batch/upsert') });
    expect(JSON.parse(before.out.slice(before.out.indexOf('{')))).toMatchObject({
      inputs: [
        { id: '3', idProperty: 'app_user_id', properties: { firstname: 'Name 3', app_signed_up: '1583193600000' } },
      ],
    });
    expect(await cli(`hubspot sync 3 --connection ${name}`)).toMatchObject({
      code: 0,
      out: expect.stringContaining('Whole: 1 written'),
    });
    expect((await cli(`hubspot preview 3 --connection ${name}`)).out).toContain('HubSpot holds these values already');
    expect((await cli(`hubspot preview 99 --connection ${name}`)).out).toContain(
      'User 99 is not there: nothing would be sent.',
    );

    await crm.sql(`UPDATE users SET plan = 'secret plan 9' WHERE id = 4`);
    const run = await cli(`start hubspotSync ${name} --wait`);
    expect(run).toMatchObject({
      code: 1,
      out: expect.stringContaining('Partial: 3 written, 1 set aside, 1 look found nothing to send; 1 call'),
    });
    const rejects = await cli(`rejects ${name}`);
    expect(rejects.out).toContain(
      `${name} contacts 4: invalid_option (app_plan: a text of 13 characters (letters, digits, spaces))`,
    );
    expect(rejects.out).toMatch(
      /the value is none of the options of the property; correct the value .*\n\s+first seen .* ago\)/,
    );
    expect(rejects.out, 'a value is personal').not.toContain('secret plan');
    expect((await cli(`rejects ${name} --show-records`)).out).toContain('secret plan 9');
    expect((await cli('rejects hubspot')).out).toContain(`${name} contacts 4`);
    expect(JSON.parse((await cli(`rejects ${name} --json`)).out).rejects.rows[0]).toMatchObject({
      sourceId: '4',
      shape: 'a text of 13 characters (letters, digits, spaces)',
    });

    const status = await cli(`status ${name}`);
    expect(status.out).toMatch(/contacts\s+4 confirmed; nothing to send/);
    expect(status.out).toContain(`1 user; why: npx syncline rejects ${name}`);
    expect(await cli(`start hubspotSync ${name} --wait`), 'nothing changed').toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /Whole: 0 written, 0 set aside;.*\n1 user set aside by runs before.*\nWhy: npx syncline rejects/,
      ),
    });
    crm.source.addOption('app_plan', 'secret plan 9');
    expect(await cli(`replay ${name} --rejects --wait`)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/Tried again: 1 user set aside before[\s\S]*Whole: 1 written/),
    });
    expect(await cli(`replay ${name} --rejects`)).toMatchObject({ out: expect.stringContaining('nothing to replay') });
    expect(await cli(`capture remove ${name}`)).toMatchObject({
      code: 0,
      out: expect.stringContaining('are no longer captured'),
    });
  });

  test('check --create makes what is missing, with type, options and uniqueness', async () => {
    const { crm, name } = await connected(2, (mapping) => {
      Object.assign(mapping, { idProperty: 'our_id' });
      Object.assign(mapping.properties as object, {
        our_level: { sql: `'gold'`, type: 'enumeration', options: ['gold', 'silver'], label: 'Level' },
        our_day: { sql: 'u.signed_up', type: 'date' },
      });
    });
    await cli(`capture install ${name}`);
    const before = await cli(`hubspot check --connection ${name}`);
    expect(before).toMatchObject({
      code: 1,
      out: expect.stringContaining('mapping.properties.our_level: the account has no property "our_level"'),
    });
    const made = await cli(`hubspot check --connection ${name} --create`);
    expect(made).toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /Made the property our_day\.[\s\S]*Made the property our_id\.[\s\S]*11 properties fit/,
      ),
    });
    expect(crm.source.contacts.catalog.get('our_level')).toMatchObject({
      type: 'enumeration',
      label: 'Level',
      options: [{ value: 'gold' }, { value: 'silver' }],
    });
    expect(crm.source.contacts.catalog.get('our_id')).toMatchObject({ hasUniqueValue: true });
    expect(await cli(`start hubspotSync ${name} --wait`)).toMatchObject({ code: 0 });
    expect(crm.source.contacts.seen('our_id').get('2')).toMatchObject({ our_level: 'gold' });
  });

  test('another id is refused once contacts are known, and nothing is changed', async () => {
    const { name, file, env } = await connected(3);
    const mapping = JSON.parse(readFileSync(file, 'utf8'));
    const other = join(folder, `${fresh()}.json`);
    writeFileSync(other, JSON.stringify({ ...mapping, idProperty: 'email' }));
    expect(await cli(`connect ${name} --mapping ${other}`, { env }), 'nobody was sent yet').toMatchObject({ code: 0 });
    expect(await cli(`connect ${name} --mapping ${file}`, { env })).toMatchObject({ code: 0 });
    await cli(`capture install ${name}`);
    expect(await cli(`start hubspotSync ${name} --wait`)).toMatchObject({ code: 0 });
    expect(await cli(`connect ${name} --mapping ${other}`, { env })).toMatchObject({
      code: 2,
      err: expect.stringMatching(
        /mapping\.idProperty: got "email", accepted "app_user_id": 3 contacts of "\S+" are known under it[\s\S]*npx syncline disconnect/,
      ),
    });
    expect(await cli(`start hubspotSync ${name} --wait`)).toMatchObject({
      code: 0,
      out: expect.stringContaining('0 written'),
    });
  });

  test('another key and another table are refused once contacts are known, unless they were renamed', async () => {
    const { crm, name, file, env } = await connected(5, (mapping) => {
      Object.assign(mapping, {
        leave: 'archive',
        tables: {},
        properties: { firstname: { sql: 'u.name', type: 'string' } },
      });
    });
    await crm.sql(`ALTER TABLE users ADD COLUMN legacy bigint UNIQUE; UPDATE users SET legacy = 6 - id;
      ALTER TABLE users ALTER legacy SET NOT NULL; CREATE TABLE people (LIKE users INCLUDING ALL);
      INSERT INTO people (id, name, legacy) SELECT i, 'Person ' || i, i FROM generate_series(1, 3) i`);
    const mapping = JSON.parse(readFileSync(file, 'utf8'));
    const change = (part: object) => {
      writeFileSync(file, JSON.stringify({ ...mapping, ...part }));
      return cli(`connect ${name} --mapping ${file}`, { env });
    };
    expect(await change({ key: 'legacy' }), 'nobody was sent yet').toMatchObject({ code: 0 });
    await change({});
    await cli(`capture install ${name}`);
    expect(await cli(`start hubspotSync ${name} --wait`)).toMatchObject({ code: 0 });
    const told = (said: string) => ({ code: 2, err: expect.stringContaining(said) });
    const key = 'mapping.key: got "legacy", accepted "id": 5 contacts';
    expect(await change({ key: 'legacy' })).toMatchObject(told(key));
    const people = { from: `${crm.schema}.people` };
    const table = `mapping.from: got "${crm.schema}.people", accepted "${crm.schema}.users": 5 contacts`;
    expect(await change(people)).toMatchObject(told(table));
    const same = async (part: object) => {
      expect(await change(part)).toMatchObject({ code: 0 });
      expect(await cli(`capture install ${name}`)).toMatchObject({ code: 0 });
      expect((await cli(`start hubspotSync ${name} --wait`)).out).toContain('0 written');
    };
    await crm.sql('ALTER TABLE users RENAME TO members; ALTER TABLE members RENAME id TO uid');
    expect(await change(people), 'gone, and another').toMatchObject(told(table));
    await same({ from: `${crm.schema}.members`, key: 'uid' });
    await crm.sql('ALTER TABLE members DROP COLUMN note, DROP COLUMN uid');
    expect(await change({ from: `${crm.schema}.members`, key: 'legacy' })).toMatchObject(
      told('mapping.key: got "legacy", accepted "uid"'),
    );
  });

  test('connect with a mapping that cannot be used says to repair it first', async () => {
    const { said } = await connected(1, (mapping) => {
      Object.assign(mapping.properties as object, { email: { sql: 'u.nothing', type: 'string' } });
    });
    expect(said.out).toMatch(/Next: repair the mapping or its tables, then npx syncline connect \S+ --mapping FILE\n$/);
  });

  test('every 3 minutes unless somebody says otherwise', async () => {
    const { name } = await connected();
    expect(await cli(`schedule ${name}`)).toMatchObject({ code: 0, out: expect.stringContaining('Made the schedule') });
    expect((await cli('schedule list')).out).toMatch(new RegExp(`${name}\\s+every 3 min`));
    expect(await cli(`schedule delete ${name}`)).toMatchObject({ code: 0 });
  });
});

test('while the breaker holds, rejects says that nobody comes back alone, and replay is the way', async () => {
  const { crm, name } = await connected(60);
  await cli(`capture install ${name}`);
  await crm.sql(`UPDATE users SET plan = 'none of them'`);
  expect(await cli(`start hubspotSync ${name} --wait`)).toMatchObject({
    code: 1,
    err: expect.stringContaining('more than the option rejectPercent allows'),
  });
  const { out } = await cli(`rejects ${name}`);
  expect(out).toMatch(
    new RegExp(`the breaker holds: .* Behind corrected values: npx syncline replay ${name} --rejects`),
  );
  expect(out).not.toContain('come back by themselves');
  await crm.sql(`UPDATE users SET plan = 'free' WHERE id > 1`);
  expect((await cli(`start hubspotSync ${name} --wait`)).code, 'corrected values alone are not enough').toBe(1);
  expect((await cli(`replay ${name} --rejects --wait`)).out).toContain('59 written');
  expect((await cli(`rejects ${name}`)).out).toContain('come back by themselves');
});

test('a run that waits for the daily limit is running, and goes on at once behind resume', async () => {
  const { crm, name } = await connected();
  await cli(`capture install ${name}`);
  crm.source.contacts.create({ properties: { email: 'user3@example.org' } });
  crm.source.setFaults([{ type: 'rate', policy: 'DAILY', on: 'upsert' }]);
  await cli(`start hubspotSync ${name}`);
  const status = await until('the wait', async () => {
    const { out } = await cli(`status ${name}`);
    return out.includes('waits for') ? out : undefined;
  });
  expect(status).toMatch(/run +running, since/);
  expect(status).toMatch(/waits for +the account's calls of today are used up/);
  crm.source.setFaults([]);
  expect(await cli(`resume ${name}`)).toMatchObject({
    code: 0,
    out: expect.stringContaining(`The wait for the daily limit of ${name} is lifted.`),
  });
  const { out } = await until('the end', async () => {
    const said = await cli(`rejects ${name}`);
    return said.out.includes('conflict') ? said : undefined;
  });
  expect(out, 'the contact that has the value').toMatch(
    /contacts 3: conflict\n.*npx syncline replay cli-\w+ --rejects\n.*, contact \d+, reject \d+/,
  );
  expect(crm.source.contacts.seen('app_user_id').size).toBe(4);
});

describe('what is typed wrong is told by place, value got and values accepted', () => {
  test.each<[string, (mapping: Record<string, unknown>) => void, RegExp]>([
    [
      'a type',
      (m) => Object.assign((m.properties as { email: object }).email, { type: 'text' }),
      /mapping\.properties\.email\.type: got "text", accepted \("string" \| "number"/,
    ],
    [
      'an unknown field',
      (m) => Object.assign(m, { form: 'x' }),
      /unknown field "mapping\.form" \(accepted: from, key, idProperty/,
    ],
    [
      'a property',
      (m) => Object.assign(m.properties as object, { appPlan: { sql: 'u.plan', type: 'string' } }),
      /unknown field "mapping\.properties\.appPlan" \(accepted: the internal name of a property: a-z, 0-9 and _/,
    ],
    [
      'a table',
      (m) => Object.assign(m, { from: 'users' }),
      /mapping\.from: got "users", accepted schema and table such as app\.users/,
    ],
    [
      'no properties',
      (m) => Object.assign(m, { properties: {} }),
      /mapping\.properties: got Object, accepted at least one property/,
    ],
    [
      'a slip in a field that must be there',
      (m) => {
        const { properties, ...rest } = m;
        for (const key of Object.keys(m)) delete m[key];
        return Object.assign(m, rest, { propertys: properties });
      },
      /mapping\.properties: got nothing, accepted .*; beside it: unknown field "propertys"/,
    ],
    [
      'what to do with who leaves',
      (m) => Object.assign(m, { leave: 'forget' }),
      /mapping\.leave: got "forget", accepted \("update" \| "archive" \| "leave"\)/,
    ],
  ])('%s', async (_, change, message) => {
    const { said } = await connected(1, change);
    expect(said).toMatchObject({ code: 2, err: expect.stringMatching(message) });
  });

  test.each<[string, RegExp]>([
    [
      'connect NAME --platform hubspot --mapping /nowhere.json --no-credential',
      /--mapping: got "\/nowhere\.json", which cannot be read \(ENOENT\)/,
    ],
    ['connect NAME --platform hubspot --no-credential', /mapping: got nothing, accepted Object/],
    [
      'hubspot check --connection nobody',
      /Connection "nobody" does not exist.* --platform hubspot --mapping FILE --credential-env VARIABLE/,
    ],
    ['capture status nobody', /connect nobody --platform hubspot --mapping FILE/],
    ['start hubspotSync nobody', /connect nobody --platform hubspot --mapping FILE/],
    [
      'start hubspotSync NAME --streams orders',
      /--streams belongs to platformSync and segmentSync, not to hubspotSync/,
    ],
    [
      'start platformSync NAME',
      /platformSync does not read connection ".*" of platform hubspot\. The workflow for it is hubspotSync/,
    ],
    ['replay NAME --from 2026-01-01 --to 2026-02-01', /Contacts of HubSpot are written, not read: accepted: --rejects/],
    ['rejects NAME --stream orders', /--stream: got "orders", accepted contacts/],
  ])('%s', async (line, message) => {
    const { name } = await connected(1);
    const made = line.startsWith('connect') ? fresh() : name;
    const said = await cli(line.replace('NAME', made));
    expect(said.code).not.toBe(0);
    expect(said.err).toMatch(message);
  });
});

test('the mapping that the guide shows is one', () => {
  const guide = readFileSync(new URL('../docs/hubspot.md', import.meta.url), 'utf8');
  const [, json = ''] = /```json\n([\s\S]*?)```/.exec(guide) ?? [];
  const mapping = v.parse(mappingSchema, JSON.parse(json));
  expect(Object.keys(mapping.properties)).toContain('app_orders');
  const landing = v.getDefaults(v.strictObject(hubspotOptions.entries)) as {
    settleSeconds: number;
    rejectPercent: number;
  };
  expect(landing, 'numbers of the text').toMatchObject({ timeoutSeconds: 30, settleSeconds: 100, rejectPercent: 5 });
});
