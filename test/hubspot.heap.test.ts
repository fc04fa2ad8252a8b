import { readFileSync } from 'node:fs';
import { expect, inject, it } from 'vitest';
import { openCrm } from './harness/crm.ts';
import { startWorkerProcess } from './harness/worker-process.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const { servers, key, config } = world;
const worker = startWorkerProcess({
  servers,
  key,
  bundle: inject('shared').bundle,
  taskQueue: config.taskQueue,
  heapMb: 96,
});
world.onClose(() => worker.stop());

const users = 60_000;

it('all 60,000 rows dirtied by one UPDATE are sent by a worker with a heap of 96 MB', async () => {
  const crm = await openCrm(world, { users, options: { callsPerWindow: 10_000 } });
  expect(await worker.whileAlive(crm.sync())).toMatchObject({ outcome: 'whole', written: users, calls: users / 100 });
  await crm.sql(`UPDATE users SET name = 'all at once ' || id, seen_at = seen_at + interval '1 day'`);
  expect(await worker.whileAlive(crm.sync())).toMatchObject({
    outcome: 'whole',
    drained: users,
    written: users,
  });
  await crm.expectSame();
  const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${worker.pid}/status`, 'utf8'))?.[1]) / 1_024;
  process.stdout.write(`resident at most: ${Math.round(peak)} MB\n`);
}, 240_000);
