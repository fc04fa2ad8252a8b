import type { WorkflowHandle } from '@temporalio/client';
import { expect, inject, it } from 'vitest';
import type { StripeFault } from '../sandbox/stripe.ts';
import { historyJson, scan } from './harness/scan.ts';
import { openStripeAccount, type StripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { startWorkerProcess } from './harness/worker-process.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const { servers, key, config } = world;
const { bundle } = inject('shared');
const worker = startWorkerProcess({ servers, key, bundle, taskQueue: config.taskQueue, logLevel: 'DEBUG' });
world.onClose(() => worker.stop());
const databasePassword = decodeURIComponent(new URL(servers.databaseUrl).password);

/** Everything that must not be seen: people, their ids, ids of events, the key. */
function secretsOf({ source }: StripeAccount): string[] {
  const ids = Object.keys(source.stores).flatMap((list) => [...source.truth(list).keys()].slice(0, 5));
  const events = source.feed.visible(Date.now()).slice(-5);
  return ['@example.org', 'Customer 1', source.key, databasePassword, ...ids, ...events.map(({ id }) => id)];
}

async function look(run: WorkflowHandle): Promise<Record<string, unknown>> {
  const description = await run.describe();
  return {
    history: historyJson(await run.fetchHistory()),
    description: description.raw,
    progress: await run.query('progress').catch(() => null),
  };
}

it.each<[string, StripeFault[]]>([
  ['a copy that follows changes', []],
  [
    'trouble on the way',
    [
      { type: 'cut', path: '/v1/customers', after: 1, times: 1 },
      { type: 'status', status: 500, path: '/v1/events', after: 4, times: 2 },
      { type: 'html', path: '/v1/invoices', times: 1 },
      { type: 'forbidden', path: '/v1/coupons', times: 1 },
    ],
  ],
])('Temporal and the log learn nothing about people, objects and the key from %s', async (_, faults) => {
  const account = await openStripeAccount(world, { faults, thinShare: 0.2 });
  const stop = account.source.churn(60);
  const run = await account.start();
  const seen: Record<string, unknown> = {};
  let beats = 0;
  await until('a run that follows', async () => {
    const { raw } = await run.describe();
    const pending = raw.pendingActivities ?? [];
    beats += pending.filter(({ heartbeatDetails }) => heartbeatDetails).length;
    seen[`pending ${beats}`] = pending;
    return (await account.progress(run).catch(() => null))?.phase === 'follow' && beats > 3;
  });
  stop();
  await account.untilSettled();
  Object.assign(seen, await look(run));
  await run.cancel();
  await run.result().catch(() => undefined);
  Object.assign(seen, { end: await look(run), log: worker.output() });
  expect(scan(seen, secretsOf(account))).toEqual([]);
  expect(worker.output().length).toBeGreaterThan(100);
});

it('and the scanner finds what is planted', async () => {
  const account = await openStripeAccount(world, { counts: { customers: 3 } });
  const planted = 'customer_quuxington';
  const run = await account.start({ connection: planted });
  await run.result().catch(() => undefined);
  expect(scan(await look(run), [planted]).length).toBeGreaterThan(0);
});
