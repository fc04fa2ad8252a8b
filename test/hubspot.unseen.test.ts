import { describe, expect, onTestFinished, test } from 'vitest';
import { openCli } from './harness/cli.ts';
import { type Crm, type CrmOptions, openCrm } from './harness/crm.ts';

const { world, cli } = await openCli();
const open = (given: CrmOptions = {}) =>
  openCrm(world, { users: 5, ...given, options: { callsPerWindow: 10_000, ...given.options } });

describe('a property that somebody deleted at HubSpot and made again is sent to everybody', () => {
  /** Its values go with it. */
  function drop({ source: { contacts } }: Crm, property: string) {
    const known = contacts.catalog.get(property)!;
    contacts.catalog.delete(property);
    for (const contact of contacts.all()) delete (contact.properties as Record<string, string>)[property];
    return known;
  }

  test('by check --create', async () => {
    const crm = await open();
    await crm.sync();
    drop(crm, 'app_company');
    expect(await cli(`hubspot check --connection ${crm.name} --create`)).toMatchObject({ code: 0 });
    expect((await cli(`status ${crm.name}`)).out).toContain('everybody is to be sent again');
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 5 });
    await crm.expectSame();
    expect(await crm.sync(), 'once').toMatchObject({ looked: 0 });
  });

  test('by a person there', async () => {
    const crm = await open();
    await crm.sync();
    const known = drop(crm, 'app_company');
    crm.source.contacts.catalog.set('app_company', { ...known, createdAt: '2026-01-01T00:00:00.000Z' });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 5 });
    await crm.expectSame();
    expect(await crm.sync(), 'once').toMatchObject({ looked: 0 });
  });
});

test('a day by a cast is the same in whatever zone the database is', async () => {
  const properties = { app_signed_up: { sql: 'u.seen_at::date', type: 'date' } };
  const crm = await open({ mapping: { properties, tables: {} } });
  await crm.sql(`UPDATE users SET seen_at = '2026-01-01 23:30Z'`);
  const role = (await crm.sql('SELECT quote_ident(current_user) AS role'))[0]!.role;
  const preview = async () => (await cli(`hubspot preview 1 --connection ${crm.name}`)).out;
  const first = await preview();
  expect(first).toContain(String(Date.UTC(2026, 0, 1)));
  // Of this role in this database alone; the command line opens sessions of its own.
  const zone = `ALTER ROLE ${role} IN DATABASE ${(await crm.sql('SELECT quote_ident(current_database()) AS name'))[0]!.name}`;
  await crm.sql(`${zone} SET timezone = 'Asia/Tokyo'`);
  onTestFinished(async () => void (await crm.sql(`${zone} RESET timezone`)));
  expect(await preview()).toBe(first);
});
