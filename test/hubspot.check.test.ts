import { expect, test } from 'vitest';
import { releaseParked } from '../db/hubspot/syncs.ts';
import { openCli } from './harness/cli.ts';
import { type Crm, type CrmOptions, openCrm } from './harness/crm.ts';
import { failureOfRun } from './harness/platforms.ts';
import { until } from './harness/until.ts';

const { world, cli } = await openCli();
const open = (given: CrmOptions = {}) =>
  openCrm(world, { users: 5, ...given, options: { callsPerWindow: 10_000, ...given.options } });
const one = (crm: Crm, user: string) => failureOfRun(crm.sync({ only: { user } }));
const out = (code: number, said: RegExp) => ({ code, out: expect.stringMatching(said) });
const err = (said: RegExp) => ({ code: 1, err: expect.stringMatching(said) });

test('one user: what is no key, nobody, and one who cannot be mapped are told at once', async () => {
  const crm = await open();
  const name = crm.name;
  const key = /got "abc", accepted a key of the users, which is a value of \S+users\.id \(bigint\)/;
  expect(await cli(`hubspot preview abc --connection ${name}`)).toMatchObject(err(key));
  expect(await one(crm, 'abc')).toMatchObject({ type: 'InvalidInput', message: expect.stringMatching(key) });
  expect(await cli(`hubspot sync 99999 --connection ${name}`)).toMatchObject(
    err(/No such user: no row of \S+users has "99999" as its id/),
  );
  expect(await crm.sync({ only: { user: '3' } })).toMatchObject({ outcome: 'whole', written: 1 });
  await crm.sql('UPDATE users SET hidden = true WHERE id = 4');
  expect(await crm.sync({ only: { user: '4' } })).toMatchObject({ outcome: 'whole', written: 0, unchanged: 1 });

  const properties = { app_orders: { sql: '1 / (u.id - 2)', type: 'number' } };
  const failing = await open({ mapping: { properties, tables: {} } });
  expect(await one(failing, '2')).toMatchObject({
    type: 'InvalidInput',
    message: expect.stringMatching(
      /cannot be evaluated for this user \(SQLSTATE 22012\)\. Look at it with: npx syncline hubspot preview 2/,
    ),
  });
});

test('a first run behind one user is a first run: that it looks at everybody is no news', async () => {
  const crm = await open();
  const told = async (input: Record<string, unknown> = {}) => {
    const run = await crm.start(input);
    await run.result();
    const { events } = await run.fetchHistory();
    const begun = events?.find(
      (event) => event.activityTaskCompletedEventAttributes,
    )?.activityTaskCompletedEventAttributes;
    return JSON.parse(Buffer.from(begun?.result?.payloads?.[0]?.data ?? []).toString()).mark;
  };
  expect(await told({ only: { user: '5' } })).toBeNull();
  expect(await told()).toBeNull();
  await crm.options({ mapping: { ...crm.mapping, where: 'true' } });
  await cli(`capture install ${crm.name}`);
  expect(await told({ only: { user: '5' } })).toBe('all');
  expect(await told(), 'nobody has looked yet').toBe('all');
  expect(await told()).toBeNull();
});

test('one user whose call had no answer is sent again, and the run is not over before', async () => {
  const crm = await open({ sandbox: { faults: [{ type: 'empty', times: 1 }] } });
  expect(await crm.sync({ only: { user: '3' } })).toMatchObject({ outcome: 'whole', written: 1, unanswered: 1 });
});

test('a preview says that a user is parked, why, and what brings it back', async () => {
  const crm = await open({ sandbox: { rules: { firstname: '^(?!Mallory)' } } });
  await crm.sql(`UPDATE users SET name = 'Mallory' WHERE id = 2`);
  expect(await crm.sync()).toMatchObject({ refusedThere: 1 });
  const preview = await cli(`hubspot preview 2 --connection ${crm.name}`);
  expect(preview).toMatchObject(
    out(1, /User 2 is in scope and parked: validation_rule \(firstname\), .*\nA run sends it again when its values/),
  );
  expect(preview.out).toContain(`npx syncline replay ${crm.name} --rejects`);
  expect(preview.out).not.toContain('a run would send it');
  await crm.sql(`UPDATE users SET name = 'Other' WHERE id = 2`);
  expect(await cli(`hubspot preview 2 --connection ${crm.name}`)).toMatchObject(out(0, /a run would send it/));
});

test('a preview before the first run judges by the properties of today, and says so where it cannot', async () => {
  const crm = await open();
  await crm.sql(`UPDATE users SET plan = 'platinum' WHERE id = 2`);
  const preview = () => cli(`hubspot preview 2 --connection ${crm.name}`);
  expect(await preview()).toMatchObject(
    out(1, /in scope and would be set aside: invalid_option \(app_plan\)\n[\s\S]*"app_plan": "platinum"/),
  );
  crm.source.setFaults([{ type: 'status', status: 403, on: 'properties' }]);
  expect(await preview()).toMatchObject(
    out(0, /^Not compared with the properties of the account, which no run has read yet: .*403[\s\S]*would send it/),
  );
});

test('a preview in mode insert says that a known contact is passed by', async () => {
  const crm = await open({ options: { mode: 'insert' } });
  expect(await crm.sync()).toMatchObject({ written: 5 });
  await crm.sql(`UPDATE users SET name = 'Other' WHERE id = 2`);
  expect(await cli(`hubspot preview 2 --connection ${crm.name}`)).toMatchObject(
    out(0, /HubSpot has its contact and mode insert changes none, so a run would skip it/),
  );
});

test('check names options that the account lacks, and a run begins all the same', async () => {
  const properties = {
    app_plan: { sql: 'u.plan', type: 'enumeration', options: ['free', 'vip', 'gold'] },
  };
  const crm = await open({ mapping: { properties, tables: {} } });
  const check = () => cli(`hubspot check --connection ${crm.name}`);
  expect(await check()).toMatchObject(
    out(1, /app_plan\.options: the property lacks "vip", "gold" in the account; add them at HubSpot[\s\S]*would begin/),
  );
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 5 });
  for (const option of ['vip', 'gold']) crm.source.addOption('app_plan', option);
  expect(await check()).toMatchObject(out(0, /1 properties fit/));
});

test('check names a zone that is none, values for who left that the account refuses, and enumerations without options', async () => {
  const zoned = await open({
    mapping: { properties: { app_signed_up: { sql: 'u.seen_at', type: 'date', zone: 'Europe/Berln' } }, tables: {} },
  });
  const zone = /app_signed_up\.zone: got "Europe\/Berln", accepted a zone that Postgres knows/;
  expect(await cli(`hubspot check --connection ${zoned.name}`)).toMatchObject(out(1, zone));
  expect(await failureOfRun(zoned.sync())).toMatchObject({
    type: 'InvalidInput',
    message: expect.stringContaining('cannot be used (mapping.properties.app_signed_up.zone)'),
  });

  const left = await open({ mapping: { leave: 'update', leaveValues: { app_plan: 'gone', app_note: 'left' } } });
  expect(await cli(`hubspot check --connection ${left.name}`)).toMatchObject(
    out(
      1,
      /leaveValues\.app_plan: got "gone" \(invalid_option\), accepted "free", "team", "enterprise"[\s\S]*would begin/,
    ),
  );

  const typed = await open({ mapping: { leave: 'update', leaveValues: { app_notee: 'left' } } });
  expect(await cli(`hubspot check --connection ${typed.name} --create`), 'a slip makes no property').toMatchObject(
    out(1, /mapping\.leaveValues\.app_notee: the account has no property.*mapping\.properties has it with a type/),
  );
  expect(typed.source.contacts.catalog.has('app_notee')).toBe(false);

  const properties = { our_level: { sql: 'u.plan', type: 'enumeration' } };
  const bare = await open({ mapping: { properties, tables: {} } });
  expect(await cli(`hubspot check --connection ${bare.name} --create`)).toMatchObject(
    out(1, /our_level: the account has no property "our_level"; --create makes it once "options" beside "sql" lists/),
  );
  expect(bare.source.contacts.catalog.has('our_level')).toBe(false);
  bare.source.addProperty({ name: 'our_level', type: 'enumeration' });
  expect(await cli(`hubspot check --connection ${bare.name}`)).toMatchObject(
    out(1, /our_level\.type: the property has no options in the account, which refuses every value/),
  );
});

test('a credential of another account is told by check and by connect, which does not save it', async () => {
  const crm = await open();
  await crm.sync();
  const other = await openCrm(world, { capture: false });
  const env = { OTHER_TOKEN: other.source.token };
  const told = err(
    /has sent to account \d+, and its credential is for account \d+.*\(npx syncline connect OTHER --platform/,
  );
  const url = `connect ${crm.name} --url ${other.source.url} --credential-env OTHER_TOKEN`;
  expect(await cli(url, { env })).toMatchObject(told);
  expect(await crm.sync(), 'as it was').toMatchObject({ outcome: 'whole' });
  expect(await cli(`${url} --no-probe`, { env })).toMatchObject({ code: 0 });
  expect(await cli(`hubspot check --connection ${crm.name}`)).toMatchObject(told);
});

test('a run under way asks for the account of a credential that was changed, and sends nothing to another one', async () => {
  const limited = { type: 'rate', policy: 'TEN_SECONDLY_ROLLING', retryAfter: 4, times: 1 } as const;
  const waits = async () => {
    const crm = await open({ sandbox: { faults: [limited] } });
    const run = await crm.start();
    await until('the wait', async () => crm.source.calls.refused > 0);
    return { crm, run };
  };
  const [same, other] = await Promise.all([waits(), waits()]);
  const account = await openCrm(world, { capture: false });
  const env = { CONSENT: JSON.stringify(same.crm.source.consent()), OTHER_TOKEN: account.source.token };
  const connect = (name: string, rest: string) => cli(`connect ${name} ${rest} --no-probe`, { env });
  expect(await connect(same.crm.name, '--credential-env CONSENT')).toMatchObject({ code: 0 });
  const url = `--url ${account.source.url} --credential-env OTHER_TOKEN`;
  expect(await connect(other.crm.name, url)).toMatchObject({ code: 0 });
  expect(await failureOfRun(other.run.result())).toMatchObject({
    type: 'InvalidInput',
    message: expect.stringMatching(/has sent to account \d+, and its credential is for account \d+/),
  });
  expect(account.source.calls.byName.upsert ?? 0).toBe(0);
  expect(await same.run.result(), 'another credential of the same').toMatchObject({ outcome: 'whole', written: 5 });
  expect(same.crm.source.calls.byName.account).toBe(2);
});

test('status says that everybody is to be sent again, while the property that was lost is not there', async () => {
  const crm = await open();
  await crm.sync();
  const status = async () => (await cli(`status ${crm.name}`)).out;
  expect(await status()).toContain('5 confirmed; nothing to send');
  const company = crm.source.contacts.catalog.get('app_company')!;
  crm.source.contacts.catalog.delete('app_company');
  expect(await failureOfRun(crm.sync())).toMatchObject({ type: 'InvalidInput' });
  expect(await status()).toContain('5 confirmed; everybody is to be sent again');
  expect(await status()).not.toContain('nothing to send');
  crm.source.contacts.catalog.set('app_company', company);
  expect(await crm.sync()).toMatchObject({ written: 5 });
  expect(await status()).toContain('5 confirmed; nothing to send');
});

test('a credential of an app is told by what is wrong with it: a field, the secret, the consent', async () => {
  const crm = await open({ key: false });
  await crm.sync();
  const good = crm.source.consent();
  const told = async (credential: object) => {
    const env = { APP: JSON.stringify(credential) };
    const { code, err } = await cli(`connect ${crm.name} --credential-env APP`, { env });
    return `${code} ${err}`;
  };
  expect(await told({ ...good, clientSecret: undefined })).toMatch(/^1 .*lacks clientSecret; accepted: the token/);
  expect(await told({ clientId: 'a' })).toMatch(/^1 .*lacks clientSecret, refreshToken; accepted/);
  expect(await told({ ...good, refreshToken: 'gone' })).toMatch(/^1 .*takes the refresh token no longer/);
  expect(await told(good)).toMatch(/^0 $/);
  expect(await told({ ...good, clientSecret: 'wrong' }), 'though a token is kept').toMatch(
    /^1 .*HubSpot does not take the app that asks \(invalid_client\): its id or secret in the credential is wrong/,
  );
  await crm.sql(`UPDATE users SET name = 'later'`);
  expect(await crm.sync(), 'nothing of it was saved').toMatchObject({ written: 5 });
});

test('check says that the calls of today are used up', async () => {
  const crm = await open({ sandbox: { faults: [{ type: 'rate', policy: 'DAILY', on: 'properties', times: 1 }] } });
  expect(await cli(`hubspot check --connection ${crm.name}`)).toMatchObject(
    err(/The account's calls of today are used up \(HubSpot's daily limit\)/),
  );
});

test('an array wants a property of several values, and --create makes one', async () => {
  const interests = { sql: 'u.interests', type: 'enumeration', options: ['news', 'offers'] };
  const crm = await open({
    mapping: { properties: { our_interests: interests, our_one: { ...interests, sql: 'u.interests[1]' } }, tables: {} },
  });
  expect(await cli(`hubspot check --connection ${crm.name} --create`)).toMatchObject(out(0, /Made the property/));
  expect(crm.source.contacts.catalog.get('our_interests')).toMatchObject({ fieldType: 'checkbox' });
  expect(crm.source.contacts.catalog.get('our_one')).toMatchObject({ fieldType: 'select' });
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 5 });

  const single = await open({
    mapping: { properties: { app_plan: { sql: 'u.interests', type: 'enumeration' } }, tables: {} },
  });
  expect(await cli(`hubspot check --connection ${single.name}`)).toMatchObject(
    out(1, /app_plan\.sql: got an array, accepted one value, since the property takes one \(select\)/),
  );
});

test('a breaker that tripped holds until the mapping is another, parked rows are replayed, and not for one user', async () => {
  const crm = await open({ users: 600, sandbox: { rules: { firstname: '^(?!Bad)' } } });
  await crm.sql(`UPDATE users SET name = 'Bad'`);
  const first = await failureOfRun(crm.sync());
  expect(first).toMatchObject({ type: 'TooManyRejects' });
  const calls = crm.source.calls.byName.upsert;
  const { message } = await failureOfRun(crm.sync());
  expect(message, 'the same sentence').toBe((first as { message: string }).message);
  expect(crm.source.calls.byName.upsert, 'and not one call').toBe(calls);
  expect(await crm.sync({ only: { user: '600' } }), 'one user goes').toMatchObject({ outcome: 'partial' });

  await crm.sql(`UPDATE users SET name = 'Good'`);
  await releaseParked(world.pool, crm.name);
  expect(await crm.sync(), 'parked rows are replayed').toMatchObject({ outcome: 'whole', written: 600 });

  await crm.sql(`UPDATE users SET name = 'Bad'`);
  expect(await failureOfRun(crm.sync())).toMatchObject({ type: 'TooManyRejects' });
  const firstname = { sql: `'Good ' || length(u.name)`, type: 'string' };
  const properties = { ...(crm.mapping.properties as object), firstname };
  await crm.options({ mapping: { ...crm.mapping, properties } });
  expect(await crm.sync()).toMatchObject({ outcome: 'whole' });
  expect(await crm.parked()).toEqual(new Map());
});

test('a tripped breaker is let go by a person, and holds no later run', async () => {
  const crm = await open({ users: 600, sandbox: { rules: { firstname: '^(?!Bad)' } } });
  await crm.sql(`UPDATE users SET name = 'Bad' WHERE id <= 300`);
  expect(await failureOfRun(crm.sync())).toMatchObject({ type: 'TooManyRejects' });
  await crm.sync({ rejects: 'accept' });
  expect((await crm.parked()).size).toBe(300);
  await crm.sql(`UPDATE users SET name = 'Good' WHERE id = 1`);
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
});
