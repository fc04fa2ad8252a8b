import { describe, expect, test } from 'vitest';
import { takeClaim } from '../db/claims.ts';
import { storedConnection } from '../db/connections.ts';
import { type Flying, openCalls } from '../db/hubspot/calls.ts';
import { takeTurn } from '../db/hubspot/turns.ts';
import type { HubspotProgress } from '../workflows/hubspot.view.ts';
import { type Crm, type CrmOptions, openCrm } from './harness/crm.ts';
import { failureOfRun } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const open = () => openCrm(world, { users: 3, options: { callsPerWindow: 10_000, settleSeconds: 2 } });

/** Leaves a call under way of which nobody waits for the answer. */
async function killed(crm: Crm, call: Flying): Promise<void> {
  const run = { workflowId: 'killed', runId: 'killed' };
  const isOpen = async () => false;
  const claim = await takeClaim(crm.pool, { connection: crm.name, pipeline: 'hubspot', ...run, isOpen });
  if ('heldBy' in claim) throw new Error(`held by ${claim.heldBy.workflowId}`);
  const { turn } = await takeTurn(crm.pool, claim);
  await openCalls(crm.pool, turn, [call], 500);
}

test.concurrent('values that go back behind a call without an answer are sent again: the call may have landed', async () => {
  const crm = await open();
  await crm.sync();
  crm.source.setFaults([{ type: 'silent', applied: true, times: 1 }]);
  await crm.sql(`UPDATE users SET name = 'passing' WHERE id = 2`);
  const run = await crm.start();
  await until('the call without an answer', async () => crm.source.calls.byName.upsert === 2);
  await crm.sql(`UPDATE users SET name = 'Name 2' WHERE id = 2`);
  expect(await run.result()).toMatchObject({ outcome: 'whole', written: 1, unanswered: 1 });
  await crm.expectSame();
});

test.concurrent('values that go back behind the call of a killed worker are sent again', async () => {
  const crm = await open();
  await crm.sync();
  await killed(crm, { keys: ['2'], ids: null });
  // What the worker had sent lands, and nobody is there for the answer.
  crm.source.contacts.upsert({ idProperty: 'app_user_id', id: '2', properties: { firstname: 'passing' } });
  expect(await crm.difference()).toMatchObject({ other: ['2'] });
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
  await crm.expectSame();
});

test.concurrent('what an answer confirms stands, though its other rows end the run for the mapping', async () => {
  const crm = await open();
  await crm.sync();
  await crm.sql(`UPDATE users SET name = 'passing'`);
  const written = crm.source.contacts.upsert({
    idProperty: 'app_user_id',
    id: '1',
    properties: { firstname: 'passing' },
  });
  const { id } = (written as { contact: { id: string } }).contact;
  const failed = [{ isValid: false, message: 'x', error: 'PROPERTY_DOESNT_EXIST', name: 'app_plan' }];
  const error = {
    category: 'VALIDATION_ERROR',
    message: `Property values were not valid: ${JSON.stringify(failed)}`,
    context: { objectWriteTraceId: ['1', '2'] },
  };
  const body = { results: [{ id, objectWriteTraceId: '0', properties: {} }], numErrors: 2, errors: [error] };
  crm.source.setFaults([{ type: 'status', status: 207, body, on: 'upsert', times: 1 }]);
  expect(await failureOfRun(crm.sync())).toMatchObject({
    type: 'InvalidInput',
    message: expect.stringContaining('refused the mapping "app_plan" (property_doesnt_exist)'),
  });
  expect(await crm.parked()).toEqual(new Map());
  await crm.sql(`UPDATE users SET name = 'Name ' || id`);
  expect(await crm.sync(), 'the others were as they are').toMatchObject({ written: 1, unchanged: 2 });
  await crm.expectSame();
});

test.concurrent('one who is sent by hand and not answered is marked, though nothing of him had changed', async () => {
  const crm = await open();
  await crm.sync();
  crm.source.setFaults([{ type: 'silent', applied: false, times: 1 }]);
  crm.source.contacts.upsert({ idProperty: 'app_user_id', id: '2', properties: { firstname: 'by hand' } });
  await crm.sync({ only: { user: '2' } });
  await crm.sync();
  await crm.expectSame();
});

test.concurrent.each([
  ['update', 'upsert', 0],
  ['insert', 'upsert', 3],
])('contacts that mode %s left as they are are sent in mode %s', async (mode, then, there) => {
  const crm = await open();
  for (let id = 1; id <= there; id++)
    crm.source.contacts.upsert({ idProperty: 'app_user_id', id: String(id), properties: { firstname: 'before' } });
  await crm.options({ mode });
  expect(await crm.sync()).toMatchObject({ written: 0, passed: 3 });
  await crm.options({ mode: then });
  expect(await crm.sync()).toMatchObject({ written: 3 });
  await crm.expectSame();
});

test.concurrent('an account that a property was taken from is sent to anew once it is there again', async () => {
  const crm = await open();
  await crm.sync();
  const { catalog } = crm.source.contacts;
  const property = catalog.get('app_company')!;
  catalog.delete('app_company');
  for (const { properties } of crm.source.contacts.all()) delete properties.app_company;
  await expect(crm.sync()).rejects.toThrow();
  catalog.set('app_company', property);
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 3 });
  await crm.expectSame();
});

test.concurrent('while a row waits for its call, the changes of others are at HubSpot within seconds', async () => {
  const crm = await openCrm(world, { users: 2, options: { callsPerWindow: 10_000, settleSeconds: 600 } });
  await crm.sync();
  crm.source.setFaults([{ type: 'silent', applied: false, times: 1 }]);
  await crm.sql(`UPDATE users SET name = 'waits' WHERE id = 1`);
  const run = await crm.start();
  const wait = () =>
    until('the wait', async () => {
      const seen = await run.query<HubspotProgress>('progress').catch(() => undefined);
      const told = /^1 rows wait for calls without an answer, until those can no longer land: until (\S+)$/;
      return seen?.held === 1 && told.exec(seen.notes.join())?.[1];
    });
  const name = (user: string) => crm.source.contacts.seen('app_user_id').get(user)?.firstname;
  const until1 = Date.parse(await wait());
  for (const change of ['first', 'second']) {
    await crm.sql('UPDATE users SET name = $1 WHERE id = 2', [change]);
    await until(`the ${change} change of the other`, async () => name('2') === change);
    expect(Math.abs(Date.parse(await wait()) - until1), 'it says the same').toBeLessThan(10_000);
  }
  expect(until1 - Date.now(), 'long before').toBeGreaterThan(400_000);
  expect(name('1'), 'is not sent again').toBe('Name 1');
  await run.cancel();
  await run.result().catch(() => undefined);
});

describe.concurrent('a row that no call about it answers', () => {
  /** Two users whose calls have gone unanswered ten times; the eleventh of user 2 lands late, behind an answer. */
  async function last(): Promise<Crm> {
    const crm = await openCrm(world, { users: 3, options: { callsPerWindow: 10_000, settleSeconds: 2, inFlight: 1 } });
    await crm.sync();
    await crm.sql(`UPDATE users SET name = 'Late' WHERE id < 3`);
    await crm.pool.query(
      `INSERT INTO syncline.hubspot_dirty (connection_id, key, version, tries) SELECT $1, key, nextval('syncline.hubspot_versions'), 10 FROM unnest(ARRAY['1', '2']) key`,
      [crm.name],
    );
    const { no } = await storedConnection(crm.pool, crm.name);
    await crm.pool.query(`DELETE FROM syncline_capture.log_${no}`);
    crm.source.setFaults([{ type: 'silent', applied: false, lateMs: 1_500, after: 1, times: 1 }]);
    return crm;
  }
  const name = (crm: Crm) => crm.source.contacts.seen('app_user_id').get('2')?.firstname;

  test('is set aside when the last of them can no longer land, and a change behind it stands', async () => {
    const crm = await last();
    expect(await crm.sync()).toMatchObject({ outcome: 'partial', written: 1, unanswered: 1, refusedHere: 1 });
    expect(name(crm), 'it has landed').toBe('Late');
    expect(await crm.parked()).toEqual(new Map([['2', 'no_answer']]));
    await crm.sql(`UPDATE users SET name = 'Newer' WHERE id = 2`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
    await crm.expectSame();
  });

  test('begins anew when it changes while it waits', async () => {
    const crm = await last();
    const run = await crm.start();
    await until('the call without an answer', async () => crm.source.calls.byName.upsert === 3);
    await crm.sql(`UPDATE users SET name = 'Newer' WHERE id = 2`);
    expect(await run.result()).toMatchObject({ outcome: 'whole', written: 2, unanswered: 1 });
    expect(await crm.parked()).toEqual(new Map());
    await crm.expectSame();
  });
});

test.concurrent('a look-up that the token may not make ends the run, and nobody is lost', async () => {
  const crm = await openCrm(world, { users: 3, options: { callsPerWindow: 10_000, mode: 'mirror' } });
  await crm.sync();
  await crm.sql(`INSERT INTO users (id, email) VALUES (9, 'late@example.org')`);
  await killed(crm, { keys: ['9'], ids: null });
  crm.source.contacts.upsert({ idProperty: 'app_user_id', id: '9', properties: {} });
  await crm.sql('DELETE FROM users WHERE id = 9');
  crm.source.setFaults([{ type: 'status', status: 403, on: 'read' }]);
  expect(await failureOfRun(crm.sync())).toMatchObject({ type: 'Forbidden' });
  expect(crm.source.calls.byName, 'at once, and nothing is archived').toMatchObject({ read: 1 });
  expect(crm.source.calls.byName.archive).toBeUndefined();
  crm.source.setFaults([]);
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', archived: 1 });
  await crm.expectSame();
});

test.concurrent('a credential of another account is refused before anything is sent', async () => {
  const crm = await open();
  await crm.sync();
  await crm.pool.query(`UPDATE syncline.hubspot_syncs SET account = '7 another-key' WHERE connection_id = $1`, [
    crm.name,
  ]);
  await crm.sql(`UPDATE users SET name = 'other' WHERE id = 2`);
  const before = crm.source.calls.byName.upsert;
  expect(await failureOfRun(crm.sync())).toMatchObject({
    type: 'InvalidInput',
    message: expect.stringContaining(
      `Connection "${crm.name}" has sent to account 7, and its credential is for account`,
    ),
  });
  expect(crm.source.calls.byName.upsert).toBe(before);
});

describe.concurrent('with the mail address as id', () => {
  const options = { callsPerWindow: 10_000, settleSeconds: 2 };
  const byMail = (given: CrmOptions = {}) =>
    openCrm(world, { users: 3, byMail: true, ...given, options: { ...options, ...given.options } });
  const living = (crm: Crm) => [...crm.source.contacts.all()].filter(({ archived }) => !archived);
  const idOf = (crm: Crm, user: string) =>
    living(crm).find(({ properties }) => properties.app_user_id === user)?.id ?? null;

  test('another address is that of the same contact, and one that was deleted there is made anew', async () => {
    const crm = await byMail();
    await crm.sync();
    const before = idOf(crm, '2');
    await crm.sql(`UPDATE users SET email = 'Moved@example.org' WHERE id = 2`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1, calls: 1 });
    expect([idOf(crm, '2'), living(crm).length]).toEqual([before, 3]);
    await crm.expectSame();

    crm.source.contacts.archive(idOf(crm, '3')!);
    await crm.sql(`UPDATE users SET email = 'gone@example.org' WHERE id = 3`);
    expect(await crm.sync({ only: { user: '3' } })).toMatchObject({ outcome: 'whole', written: 1, calls: 2 });
    await crm.expectSame();
  });

  test('an address that changes behind a call without an answer leaves no second contact', async () => {
    const crm = await byMail({ users: 1, sandbox: { faults: [{ type: 'silent', applied: true, times: 1 }] } });
    const run = await crm.start();
    await until('the call without an answer', async () => crm.source.calls.byName.upsert);
    await crm.sql(`UPDATE users SET email = 'moved@example.org' WHERE id = 1`);
    expect(await run.result()).toMatchObject({ outcome: 'whole', written: 1 });
    expect(living(crm)).toHaveLength(1);
    await crm.expectSame();
  });

  test.each(['leave', 'update', 'archive'])('the address of one who left goes to another user: %s', async (leave) => {
    const crm = await byMail({ mapping: { leave, ...(leave === 'update' && { leaveValues: { app_note: 'gone' } }) } });
    await crm.sync();
    const before = idOf(crm, '3');
    await crm.sql(`INSERT INTO users (id, email) SELECT 9, email FROM users WHERE id = 3`);
    await crm.sql(`DELETE FROM users WHERE id = 3`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole' });
    expect(idOf(crm, '9') === before, 'the contact that stayed is his').toBe(leave !== 'archive');
    await crm.expectSame();
    // Who comes back is another contact.
    await crm.sql(`INSERT INTO users (id, email) VALUES (3, 'back@example.org')`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
    await crm.expectSame();
    // A user with a contact of his own gets that address where it is archived; else HubSpot has two contacts, and says so.
    await crm.sql(`UPDATE users SET hidden = true WHERE id = 9`);
    await crm.sql(`UPDATE users SET email = (SELECT email FROM users WHERE id = 9) WHERE id = 1`);
    await crm.sync();
    expect([...(await crm.parked())]).toEqual(leave === 'archive' ? [] : [['1', 'conflict']]);
  });

  test.each([
    ['an update that landed', '2', true],
    ['an update that did not land', '2', false],
    ['a first call that landed', '8', true],
    ['a first call that did not land', '8', false],
  ])('the address of %s goes to another user when its own has left, and he keeps it', async (_, user, applied) => {
    const crm = await byMail();
    await crm.sync();
    const before = idOf(crm, user);
    crm.source.setFaults([{ type: 'silent', applied, times: 1 }]);
    await crm.sql(
      `INSERT INTO users (id, email) VALUES ($1, 'heir@example.org')
      ON CONFLICT (id) DO UPDATE SET email = excluded.email`,
      [user],
    );
    const calls = () => (crm.source.calls.byName.upsert ?? 0) + (crm.source.calls.byName.update ?? 0);
    const run = await crm.start();
    await until('the call without an answer', async () => calls() === 2);
    await crm.sql('UPDATE users SET hidden = true WHERE id = $1', [user]);
    expect(await run.result()).toMatchObject({ outcome: 'whole', written: 0, unanswered: 1 });
    await crm.sql(`INSERT INTO users (id, email) VALUES (9, 'heir@example.org')`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
    await crm.sql(`UPDATE users SET hidden = false, email = 'back@example.org' WHERE id = $1`, [user]);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
    await crm.expectSame();
    expect(idOf(crm, user) === before, 'a contact of his own that nobody took stays his').toBe(
      before !== null && !applied,
    );
    const [users] = await crm.sql('SELECT count(*)::int FROM users');
    expect(living(crm)).toHaveLength(Number(users!.count));
  });

  test('an address that is too long for an index is set aside, and keeps nobody else from being sent', async () => {
    const crm = await byMail();
    const [row] = await crm.sql(
      `UPDATE users SET email = (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 200) i) || '@example.org' WHERE id = 2 RETURNING email`,
    );
    expect(await crm.sync()).toMatchObject({ outcome: 'partial', written: 2, refusedHere: 1 });
    expect(await crm.parked()).toEqual(new Map([['2', 'too_long email']]));
    // A worker that sent it all the same was killed.
    await killed(crm, { keys: ['2'], ids: [String(row!.email)] });
    await crm.sql(`UPDATE users SET email = 'short@example.org' WHERE id = 2`);
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
    await crm.expectSame();
  });

  test('a contact that a killed call made is archived though its user was deleted since', async () => {
    const crm = await byMail({ options: { mode: 'mirror' } });
    await crm.sync();
    await crm.sql(`INSERT INTO users (id, email) VALUES (9, 'Late@example.org')`);
    await killed(crm, { keys: ['9'], ids: ['late@example.org'] });
    crm.source.contacts.upsert({ idProperty: 'email', id: 'late@example.org', properties: { app_user_id: '9' } });
    await crm.sql('DELETE FROM users WHERE id = 9');
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', archived: 1 });
    await crm.expectSame();
  });

  test('whoever takes an address waits for a call that may still bring it for another', async () => {
    const crm = await byMail({ users: 2 });
    crm.source.setFaults([{ type: 'silent', applied: false, lateMs: 1_000, times: 1 }]);
    await crm.sql('UPDATE users SET hidden = true WHERE id = 2');
    const run = await crm.start();
    await until('the call that lands late', async () => crm.source.calls.byName.upsert);
    const [one] = await crm.sql('SELECT email FROM users WHERE id = 1');
    await crm.sql(`UPDATE users SET email = 'other@example.org' WHERE id = 1`);
    await crm.sql('UPDATE users SET hidden = false, email = $1 WHERE id = 2', [one!.email]);
    expect(await run.result()).toMatchObject({ outcome: 'whole' });
    expect(living(crm)).toHaveLength(2);
    await crm.expectSame();
  });
});
