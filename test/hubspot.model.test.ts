import { expect, test } from 'vitest';
import type { HubspotFault } from '../sandbox/hubspot.ts';
import { randomOf } from './chaos/kills.ts';
import { changeUsers, disagreement, modelRules } from './harness/crm.changes.ts';
import { openCrm } from './harness/crm.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const first = Math.floor(Date.now() / 1000) % 100_000;

/** Failures by chance; kills are met in test/chaos/hubspot.chaos.test.ts. */
const failures: HubspotFault[] = [
  { type: 'silent', applied: true, share: 0.04 },
  { type: 'silent', applied: false, lateMs: 600, share: 0.04 },
  { type: 'status', status: 502, share: 0.04 },
  { type: 'status', status: 423, share: 0.02 },
  { type: 'empty', share: 0.03 },
  { type: 'partial', rows: 5, share: 0.04 },
  { type: 'slow', ms: 200, share: 0.1 },
];

test.each([0, 1])(
  'random changes and failures, seed +%i: HubSpot equals the mapped rows but for exactly the parked ones',
  async (n) => {
    const seed = first + n;
    const random = randomOf(seed);
    // One of two answers row by row, the other refuses whole batches.
    const sandbox = { mode: n % 2 === 0 ? ('trace' as const) : ('all-or-nothing' as const), rules: modelRules, seed };
    // Both ids in each run of the test; who left is archived, or stays.
    const byMail = seed % 2 === 0;
    const options = {
      mode: random() < 0.5 ? 'mirror' : 'upsert',
      rejectPercent: 100,
      callsPerWindow: 10_000,
      isolationCalls: 10_000,
      settleSeconds: 1,
    };
    const crm = await openCrm(world, { users: 600, byMail, options, sandbox });
    for (let round = 1; round <= 4; round++) {
      await changeUsers(crm, random, 5, round);
      crm.source.setFaults(round % 2 === 0 ? failures : []);
      const run = await crm.start();
      // While it sends, and behind its last look at the log.
      await changeUsers(crm, random, 3, round + 100);
      await run.result();
      crm.source.setFaults([]);
      await crm.sync();
      expect(await disagreement(crm), `seed ${seed}, ${options.mode}, round ${round}`).toBeNull();
    }
  },
  120_000,
);
