import { expect, inject, it, onTestFinished } from 'vitest';
import { loadConnection, saveConnection } from '../db/connections.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { type CampaignRun, define, launch, mapping, people, tally, userOf } from './harness/audience.ts';
import { until } from './harness/until.ts';
import { startWorkerProcess } from './harness/worker-process.ts';
import { openWorld } from './harness/world.ts';

/** PENDING_ACTIVITY_STATE_CANCEL_REQUESTED */
const cancelRequested = 3;

const world = await openWorld({ worker: false });
const { servers, key, config, pool } = world;
const { bundle } = inject('shared');
const startWorker = () => startWorkerProcess({ servers, key, bundle, taskQueue: config.taskQueue });
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());

/** A campaign whose worker is killed while all six messages are on their way. */
async function lost(policy: string, meanwhile: (run: CampaignRun, connection: string) => Promise<unknown>) {
  const hook = await world.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: receiver.secret }),
    options: { inFlight: 100 },
  });
  const connection = await people(world, { count: 6 });
  const name = await define(world, { connection }, hook, { policy });
  receiver.setFaults([{ type: 'hang' }]);
  const first = startWorker();
  const run = await launch(world, name);
  await first.whileAlive(until('all on their way', async () => receiver.atOnce() === 6));
  await meanwhile(run, connection);
  await first.kill();
  receiver.setFaults([]);
  const second = startWorker();
  onTestFinished(() => second.stop());
  const error = await second.whileAlive(run.result().catch((e: { cause?: Error }) => e.cause));
  return { name, error: error as Error, settled: await tally(pool, name), second };
}

it('at-least-once holds where a campaign was cancelled and its worker killed: another start sends again', async () => {
  const { name, settled, second } = await lost('at-least-once', async (run) => {
    await run.cancel();
    // The slice was told, and waits for the answers.
    await until('the cancellation', async () =>
      ((await run.describe()).raw.pendingActivities ?? []).some(({ state }) => state === cancelRequested),
    );
  });
  expect(settled).toEqual({ 'planned worker_lost': 6 });
  expect((await second.whileAlive((await launch(world, name)).result())).states).toEqual({ sent: 6 });
  expect(receiver.received.get(userOf(0))).toBe(2);
});

it('what was on its way is told although the mapping has changed so that no message can be made any more', async () => {
  const { settled, error } = await lost('at-most-once', async (_run, connection) => {
    const { no: _no, ...stored } = await loadConnection(pool, key, connection);
    await saveConnection(pool, key, { ...stored, options: { ...mapping, users: { ...mapping.users, fields: {} } } });
  });
  expect(error.message).toContain('template: got the variable {{name}}');
  expect(settled).toEqual({ 'unknown worker_lost': 6 });
});
