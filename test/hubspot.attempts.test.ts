import { expect, test } from 'vitest';
import { openCli } from './harness/cli.ts';
import { openCrm } from './harness/crm.ts';
import { failureOfRun } from './harness/platforms.ts';

const { world, cli } = await openCli();

/** Five calls without an answer in a row fail the attempt; Temporal makes another one. */
const outage = (after: number) => ({ type: 'status', status: 502, after, times: 5 }) as const;
const options = { callsPerWindow: 10_000, inFlight: 1 };

test('a run counts what its failed attempts did', async () => {
  const crm = await openCrm(world, { users: 1_000, options, sandbox: { faults: [outage(3), outage(6)] } });
  expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1_000, calls: 20, unanswered: 1_000 });
  await crm.expectSame();
});

test('the breaker counts the rows that failed attempts set aside', async () => {
  const crm = await openCrm(world, {
    users: 1_000,
    options,
    sandbox: { rules: { firstname: '^(?!bad)' }, faults: [outage(3), outage(6)] },
  });
  // One in ten: thirty in each attempt, of which none alone would be too many.
  await crm.sql(`UPDATE users SET name = 'bad' WHERE id % 10 = 0`);
  expect(await failureOfRun(crm.sync())).toMatchObject({
    type: 'TooManyRejects',
    message: expect.stringMatching(/^[5-7]\d of 1000 rows were refused \([5-7]\.\d %\)/),
  });
  const { size } = await crm.parked();
  expect(size).toBeGreaterThan(50);
  expect(size).toBeLessThanOrEqual(80);
});

test('its progress shows what the slice in hand has done, and no total that nobody knows', async () => {
  // The fourth call is waited for until the test has looked.
  const crm = await openCrm(world, {
    users: 700,
    options: { ...options, timeoutSeconds: 120 },
    sandbox: { faults: [{ type: 'hang', after: 3 }] },
  });
  const run = await crm.start();
  const seen = async () => (await cli(`status ${crm.name}`)).out;
  await expect.poll(seen, { timeout: 50_000 }).toMatch(/sends +contacts 300 so far, 4 calls/);
  expect(await seen()).toMatch(/at work: sendContacts .*looked 500 written 300 calls 4/);
  crm.source.setFaults([]);
  await run.cancel();
});
