import { expect, test } from 'vitest';
import { takeClaim } from '../db/claims.ts';
import { openCalls } from '../db/hubspot/calls.ts';
import { takeTurn } from '../db/hubspot/turns.ts';
import { openCrm } from './harness/crm.ts';
import { failureOfRun } from './harness/platforms.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const open = () => openCrm(world, { users: 3, options: { callsPerWindow: 10_000, settleSeconds: 2 } });

test('values that go back behind a call without an answer are sent again: the call may have landed', async () => {
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

test('values that go back behind the call of a killed worker are sent again', async () => {
  const crm = await open();
  await crm.sync();
  const run = { workflowId: 'killed', runId: 'killed' };
  const isOpen = async () => false;
  const claim = await takeClaim(crm.pool, { connection: crm.name, pipeline: 'hubspot', ...run, isOpen });
  if ('heldBy' in claim) throw new Error(`held by ${claim.heldBy.workflowId}`);
  const { turn } = await takeTurn(crm.pool, claim);
  await openCalls(crm.pool, turn, [['2']], 500);
  // What the worker had sent lands, and nobody is there for the answer.
  crm.source.contacts.upsert({ idProperty: 'app_user_id', id: '2', properties: { firstname: 'passing' } });
  expect(await crm.difference()).toMatchObject({ other: ['2'] });
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1 });
  await crm.expectSame();
});

test('one who is sent by hand and not answered is marked, though nothing of him had changed', async () => {
  const crm = await open();
  await crm.sync();
  crm.source.setFaults([{ type: 'silent', applied: false, times: 1 }]);
  crm.source.contacts.upsert({ idProperty: 'app_user_id', id: '2', properties: { firstname: 'by hand' } });
  await crm.sync({ only: { user: '2' } });
  await crm.sync();
  await crm.expectSame();
});

test.each([
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

test('an account that a property was taken from is sent to anew once it is there again', async () => {
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

test('a credential of another account is refused before anything is sent', async () => {
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
