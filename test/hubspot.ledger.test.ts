import { expect, test } from 'vitest';
import { openCrm } from './harness/crm.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const options = { callsPerWindow: 10_000, inFlight: 2 };

test('while nothing can be written down no more calls leave than a kill may repeat', async () => {
  const slow = await openCrm(world, { users: 1_500, options });
  const other = await openCrm(world, { users: 1_500, options });
  const lock = await world.pool.connect();
  try {
    await lock.query('BEGIN');
    // Whoever settles this user of this connection waits.
    await lock.query(`INSERT INTO syncline.hubspot_contacts (connection_id, key) VALUES ($1, '1')`, [slow.name]);
    const run = await slow.start();
    await until('calls that are answered', async () => slow.source.calls.byName.upsert === 4);
    // A whole run of another connection meanwhile, of 15 calls.
    expect(await other.sync()).toMatchObject({ outcome: 'whole', calls: 15 });
    expect(slow.source.calls.byName.upsert).toBe(4);
    await lock.query('ROLLBACK');
    expect(await run.result()).toMatchObject({ outcome: 'whole', written: 1_500, calls: 15 });
  } finally {
    await lock.query('ROLLBACK');
    lock.release();
  }
  await slow.expectSame();
});
