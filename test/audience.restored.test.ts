import { expect, inject, it, onTestFinished } from 'vitest';
import { partitionOf } from '../db/audience/freeze.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { define, launch, people, tally } from './harness/audience.ts';
import { until } from './harness/until.ts';
import { startWorkerProcess } from './harness/worker-process.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const { servers, key, config, pool } = world;
const { bundle } = inject('shared');
const startWorker = () => startWorkerProcess({ servers, key, bundle, taskQueue: config.taskQueue });
const receiver = await startWebhookSandbox();
world.onClose(() => receiver.stop());
let numbers = 0;

/** A campaign of 50 a second that has sent some, and what its recipients were by then. */
async function begun() {
  const hook = await world.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: receiver.secret }),
    options: { requestsPerSecond: 50 },
  });
  const from = numbers;
  numbers += 2_000;
  const name = await define(world, { connection: await people(world, { count: 2_000, from }) }, hook);
  const first = startWorker();
  onTestFinished(() => first.kill());
  const run = await launch(world, name);
  const sent = async () => (await tally(pool, name)).sent ?? 0;
  await first.whileAlive(until('some messages', async () => (await sent()) > 20));
  const { rows } = await pool.query('SELECT no FROM audience.campaigns WHERE id = $1', [name]);
  const table = partitionOf(rows[0].no);
  await pool.query(`CREATE TABLE backup AS SELECT * FROM ${table}`);
  onTestFinished(async () => void (await pool.query('DROP TABLE backup')));
  return {
    name,
    first,
    run,
    sent,
    async setBack() {
      await pool.query(
        `UPDATE ${table} d SET state = b.state, reason = b.reason, taker = b.taker, attempt = b.attempt, at = b.at FROM backup b WHERE b.no = d.no`,
      );
    },
  };
}

const stopped = { message: expect.stringContaining('it was set back to a backup'), type: 'WentBack' };
const twice = () => [...receiver.received.values()].filter((times) => times > 1).length;

it('a database that went back to a backup stops a campaign whose worker was lost: nobody gets it twice', async () => {
  const { name, first, run, sent, setBack } = await begun();
  const pending = async () => (await run.describe()).raw.pendingActivities ?? [];
  const told = async () => {
    const payloads = (await pending()).flatMap(({ heartbeatDetails }) => heartbeatDetails?.payloads ?? []);
    return payloads.map(({ data }) => JSON.parse(new TextDecoder().decode(data ?? undefined)).settled ?? 0);
  };
  await first.whileAlive(
    until('beats of both lanes that tell of more', async () => {
      const settled = await told();
      return settled.length === 2 && settled.every((n) => n > 60);
    }),
  );
  await first.kill();
  const before = await sent();
  await setBack();
  expect(await sent()).toBeLessThan(before);
  const second = startWorker();
  onTestFinished(() => second.kill());
  await expect(second.whileAlive(run.result())).rejects.toMatchObject({ cause: stopped });
  expect(twice()).toBe(0);
  expect((await tally(pool, name)).planned).toBeGreaterThan(1_000);
});

it('and one that was paused meanwhile', async () => {
  const { first, run, sent, setBack } = await begun();
  await first.whileAlive(until('more messages', async () => (await sent()) > 120));
  await run.executeUpdate('pause');
  await first.whileAlive(
    until('the end of the slices', async () => ((await run.describe()).raw.pendingActivities ?? []).length === 0),
  );
  await setBack();
  await run.executeUpdate('resume');
  await expect(first.whileAlive(run.result())).rejects.toMatchObject({ cause: stopped });
  expect(twice()).toBe(0);
});
