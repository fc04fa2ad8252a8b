import { expect, inject, it } from 'vitest';
import { kuaishou } from '../sandbox/kuaishou.ts';
import { startWebhookSandbox } from '../sandbox/webhook.ts';
import { connectClient } from '../workers/temporal.ts';
import { define, launch, people, tally, userOf } from './harness/audience.ts';
import { openShop } from './harness/platforms.ts';
import { startShortHistories } from './harness/short-history.ts';
import { openStripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { startWorkerProcess } from './harness/worker-process.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const { bundle } = inject('shared');
const inFlight = 8;

/** A Temporal that knows nothing, with a worker. `end` loses both. */
async function openTemporal() {
  const temporal = await startShortHistories(4_096);
  const servers = {
    ...world.servers,
    temporal: {
      address: temporal.address,
      namespace: 'default',
      connectionOptions: { address: temporal.address },
    },
  };
  const client = await connectClient(servers.temporal);
  const { key, config } = world;
  const worker = startWorkerProcess({ servers, key, bundle, taskQueue: config.taskQueue });
  const end = async () => {
    await worker.kill();
    await client.connection.close();
    await temporal.stop();
  };
  return { place: { ...world, client }, worker, end };
}

it('a Temporal that is lost with all its histories costs nothing but another start', async () => {
  const receiver = await startWebhookSandbox();
  world.onClose(() => receiver.stop());
  const first = await openTemporal();
  const shop = await openShop(first.place, kuaishou, { rows: 5_000, latencyMs: 50 });
  const stripe = await openStripeAccount(first.place, { counts: { customers: 3_000 }, latencyMs: 50 });
  const hook = await world.connect({
    platform: 'webhook',
    baseUrl: receiver.url,
    credential: JSON.stringify({ signSecret: receiver.secret }),
    options: { requestsPerSecond: 100, inFlight },
  });
  const crowd = 600;
  const name = await define(world, { connection: await people(world, { count: crowd }) }, hook);
  await shop.start({ streams: ['orders'] });
  await stripe.start();
  await launch(first.place, name);
  const hasRows = async (table: string) => {
    const { rows } = await world.pool.query('SELECT to_regclass($1) IS NOT NULL AS there', [table]);
    return rows[0].there && (await world.pool.query(`SELECT FROM ${table} LIMIT 1`)).rowCount === 1;
  };
  await first.worker.whileAlive(
    until(
      'all of them at work',
      async () =>
        receiver.received.size > 20 && (await hasRows('kuaishou.orders')) && (await hasRows('stripe.customers')),
    ),
  );
  await first.end();
  const before = receiver.received.size;
  expect(before).toBeLessThan(crowd);

  const second = await openTemporal();
  world.onClose(second.end);
  const syncAgain = second.place.client.workflow.execute('platformSync', {
    args: [{ connection: shop.name, streams: ['orders'] }],
    taskQueue: world.config.taskQueue,
    workflowId: 'again',
  });
  const stripeAgain = second.place.client.workflow.execute('stripeSync', {
    args: [{ connection: stripe.name, follow: false }],
    taskQueue: world.config.taskQueue,
    workflowId: 'stripe-again',
  });
  const campaignAgain = (await launch(second.place, name)).result();
  const [synced, copied] = await second.worker.whileAlive(Promise.all([syncAgain, stripeAgain, campaignAgain]));
  expect(synced).toMatchObject({ outcome: 'whole' });
  expect(copied).toMatchObject({ outcome: 'live' });
  await shop.expectSame('orders');
  expect(await stripe.differences()).toEqual([]);
  const counts = await tally(world.pool, name);
  const unknown = counts['unknown worker_lost'] ?? 0;
  expect(counts).toEqual({ sent: crowd - unknown, ...(unknown > 0 && { 'unknown worker_lost': unknown }) });
  expect(unknown).toBeLessThanOrEqual(inFlight);
  const got = Array.from({ length: crowd }, (_, n) => receiver.received.get(userOf(n)) ?? 0);
  expect(got.filter((times) => times > 1)).toEqual([]);
  expect(got.filter((times) => times === 0).length).toBeLessThanOrEqual(unknown);
});
