import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { describeResult } from '../workers/cli/follow.hubspot.ts';
import type { HubspotSyncResult } from '../workflows/hubspot.ts';
import { openCrm } from './harness/crm.ts';
import { until } from './harness/until.ts';
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

  test('a company changes while others come to it: neither transaction sees the other, and nobody keeps its old name', async () => {
    const crm = await openCrm(world, { users: 20 });
    await crm.sync();
    const begin = async () => {
      const client = new pg.Client({ connectionString: world.servers.databaseUrl });
      await client.connect();
      await client.query(`BEGIN; SET LOCAL search_path = ${crm.schema}`);
      return client;
    };
    const [people, company] = [await begin(), await begin()];
    await people.query(`INSERT INTO users (id, company_id) VALUES (900, 5)`);
    await people.query(`UPDATE users SET company_id = 5 WHERE id = 1`);
    await company.query(`UPDATE companies SET name = 'Other' WHERE id = 5`);
    await people.query('COMMIT');
    expect(await crm.sync()).toMatchObject({ written: 2 });
    expect(crm.source.contacts.seen('app_user_id').get('900')).toMatchObject({ app_company: 'Company 5' });
    await company.query('COMMIT');
    await Promise.all([people.end(), company.end()]);
    expect(await crm.sync(), 'one change of the log, three users').toMatchObject({ drained: 1, written: 3 });
    await crm.expectSame();
  });

  test('a run ends under changes that never end: the few of the last moment are the next run’s, and it says so', async () => {
    const crm = await openCrm(world, { users: 5, sandbox: { latencyMs: 400 } });
    const run = await crm.start();
    for (const calls of [1, 2, 3]) {
      await until(`call ${calls}`, async () => crm.source.calls.byName.upsert === calls);
      await crm.sql(`UPDATE users SET name = $1 WHERE id = 2`, [`change ${calls}`]);
    }
    const result = (await run.result()) as HubspotSyncResult;
    expect(result).toMatchObject({ outcome: 'whole', written: 7, calls: 3, left: 1 });
    expect(describeResult(crm.name, result)[1]).toBe(
      '1 user changed while the last were sent: the next run sends them',
    );
    expect(await crm.sync()).toMatchObject({ written: 1, calls: 1, left: 0 });
    await crm.expectSame();
  });
});
