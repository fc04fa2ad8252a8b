import { describe, expect, test } from 'vitest';
import { openCrm } from './harness/crm.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();

describe('users to contacts, end to end', () => {
  test('everybody goes the first time, then only what changed, by few calls', async () => {
    const crm = await openCrm(world, { users: 1_234 });
    expect(await crm.sync()).toMatchObject({ outcome: 'whole', written: 1_234, calls: 13 });
    await crm.expectSame();

    expect(await crm.sync(), 'nothing changed').toMatchObject({ outcome: 'whole', looked: 0, calls: 0 });
    await crm.sql(`UPDATE users SET name = 'Other' WHERE id <= 150`);
    await crm.sql(`UPDATE users SET note = 'not mapped'`);
    expect(await crm.sync()).toMatchObject({ drained: 150, written: 150, calls: 2 });
    await crm.expectSame();
  });
});
