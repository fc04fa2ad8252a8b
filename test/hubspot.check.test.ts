import { expect, test } from 'vitest';
import { openCli } from './harness/cli.ts';
import { type CrmOptions, openCrm } from './harness/crm.ts';

const { world, cli } = await openCli();
const open = (given: CrmOptions = {}) =>
  openCrm(world, { users: 5, ...given, options: { callsPerWindow: 10_000, ...given.options } });
const out = (code: number, said: RegExp) => ({ code, out: expect.stringMatching(said) });
const err = (said: RegExp) => ({ code: 1, err: expect.stringMatching(said) });

test('one user: what is no key, nobody, and one who cannot be mapped are told at once', async () => {
  const crm = await open();
  const name = crm.name;
  const key = /got "abc", accepted a key of the users, which is a value of \S+users\.id \(bigint\)/;
  expect(await cli(`hubspot sync abc --connection ${name}`)).toMatchObject(err(key));
  expect(await cli(`hubspot preview abc --connection ${name}`)).toMatchObject(err(key));
  expect(await cli(`hubspot sync 99999 --connection ${name}`)).toMatchObject(
    err(/No such user: no row of \S+users has "99999" as its id/),
  );
  expect(await cli(`hubspot sync 3 --connection ${name}`)).toMatchObject(out(0, /Whole: 1 written/));
  await crm.sql('UPDATE users SET hidden = true WHERE id = 4');
  expect(await cli(`hubspot sync 4 --connection ${name}`)).toMatchObject(out(0, /Whole: 0 written, 1 unchanged/));

  const properties = { app_orders: { sql: '1 / (u.id - 2)', type: 'number' } };
  const failing = await open({ mapping: { properties, tables: {} } });
  expect(await cli(`hubspot sync 2 --connection ${failing.name}`)).toMatchObject(
    err(/cannot be evaluated for this user \(SQLSTATE 22012\)\. Look at it with: npx syncline hubspot preview 2/),
  );
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

test('a preview in mode insert says that a known contact is passed by', async () => {
  const crm = await open({ options: { mode: 'insert' } });
  expect(await crm.sync()).toMatchObject({ written: 5 });
  await crm.sql(`UPDATE users SET name = 'Other' WHERE id = 2`);
  expect(await cli(`hubspot preview 2 --connection ${crm.name}`)).toMatchObject(
    out(0, /HubSpot has its contact and mode insert changes none, so a run would skip it/),
  );
});
