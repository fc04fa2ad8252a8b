import { expect, test } from 'vitest';
import { takeClaim } from '../db/claims.ts';
import { openCalls } from '../db/hubspot/calls.ts';
import { takeTurn } from '../db/hubspot/turns.ts';
import { openCrm } from './harness/crm.ts';
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
