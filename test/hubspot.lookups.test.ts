import { expect, test } from 'vitest';
import { type Crm, type CrmOptions, openCrm } from './harness/crm.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const fast = { callsPerWindow: 10_000, settleSeconds: 1 };
const open = (given: CrmOptions = {}) => openCrm(world, { users: 3, ...given, options: { ...fast, ...given.options } });

type Faults = Parameters<Crm['source']['setFaults']>[0];

/** A run that looks for the contact of one whose only call was not answered, and who was deleted since. */
async function archiving(given: CrmOptions, faults: Faults) {
  const crm = await open({ ...given, options: { mode: 'mirror' } });
  await crm.sync();
  crm.source.setFaults([{ type: 'silent', applied: true, on: 'upsert', times: 1 }, ...faults]);
  await crm.sql(`INSERT INTO users (id, email) VALUES (9, 'late@example.org')`);
  const run = await crm.start();
  await until('the call without an answer', async () => crm.source.calls.byName.upsert === 2);
  await crm.sql('DELETE FROM users WHERE id = 9');
  return { crm, run };
}

test.concurrent.each<[string, Faults[number]]>([
  ['the burst limit', { type: 'rate', policy: 'SECONDLY', retryAfter: 1, on: 'read', times: 1 }],
  ['a lock of the account', { type: 'status', status: 423, on: 'read', times: 1 }],
])('a look-up waits for %s as a call that writes does, and its row is not unanswered', async (_, fault) => {
  const { crm, run } = await archiving({}, [fault]);
  expect(await run.result()).toMatchObject({ outcome: 'whole', archived: 1, unanswered: 1, waits: 1 });
  await crm.expectSame();
});

test.concurrent('a look-up gets another token for one that ended', async () => {
  const { crm, run } = await archiving({ key: false }, [{ type: 'status', status: 401, on: 'read', times: 1 }]);
  expect(await run.result()).toMatchObject({ outcome: 'whole', archived: 1, unanswered: 1 });
  expect(crm.source.calls.byName).toMatchObject({ token: 2, read: 2 });
  await crm.expectSame();
});

test.concurrent('a look-up that the daily limit refuses is what the run waits for, and sets nobody aside', async () => {
  const crm = await open({ options: { adopt: 'email' } });
  crm.source.contacts.create({ properties: { email: 'user2@example.org', firstname: 'theirs' } });
  crm.source.setFaults([{ type: 'rate', policy: 'DAILY', on: 'read' }]);
  const run = await crm.start();
  const progress = await until('the wait', async () => {
    const seen = await run.query<{ notes: string[] }>('progress').catch(() => undefined);
    return seen && seen.notes.length > 0 ? seen : undefined;
  });
  expect(progress, 'the others are written').toMatchObject({ written: 2, dirty: 1, held: 0, waits: 1, again: 0 });
  expect(progress.notes.join()).toMatch(/calls of today are used up/);
  await run.cancel();
  await run.result().catch(() => undefined);
  expect(await crm.parked()).toEqual(new Map());
});
