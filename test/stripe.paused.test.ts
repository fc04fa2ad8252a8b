import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { expect, inject, it } from 'vitest';
import { createWorker } from '../workers/worker.ts';
import { openStripeAccount } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

/** The workflows with one number changed: what is parked is tried again after three seconds instead of five minutes. */
function impatientBundle(folder: string): string {
  const code = readFileSync(inject('shared').bundle, 'utf8');
  const changed = code.replace(/const parkedMs = 300_?000/, 'const parkedMs = 3000');
  expect(changed).not.toBe(code);
  const path = join(folder, 'workflows.bundle.js');
  writeFileSync(path, changed);
  return path;
}

const world = await openWorld({ worker: false });
const folder = mkdtempSync(join(tmpdir(), 'syncline-paused-'));
const parts = await createWorker(world.config, world.servers, world.key, impatientBundle(folder));
const running = parts.worker.run();
world.onClose(async () => {
  parts.worker.shutdown();
  await running;
  await parts.close();
  rmSync(folder, { recursive: true });
});

/** Events behind the last pause, once the time after which what is parked is tried again is over. */
async function afterParking(run: WorkflowHandle): Promise<string[] | undefined> {
  const { events } = await run.fetchHistory();
  const names = (events ?? []).map((one) => Object.keys(one).find((key) => key.endsWith('EventAttributes')) ?? '');
  const paused = names.lastIndexOf('workflowExecutionUpdateAcceptedEventAttributes');
  const later = names.slice(paused);
  const fired = later.indexOf('timerFiredEventAttributes');
  return fired >= 0 && later.indexOf('workflowTaskCompletedEventAttributes', fired) > fired ? later : undefined;
}

it('a parked run that is paused stays paused, past the time of its next try, until it is resumed', async () => {
  const account = await openStripeAccount(world, { counts: { customers: 20 } });
  const run = await account.start();
  await account.untilLive(run);
  account.source.setFaults([{ type: 'revoked' }]);
  await until('the run to be parked', async () => (await account.progress(run)).state === 'parked');
  expect(await run.executeUpdate('pause')).toBe('paused');
  account.source.setFaults([]);
  const id = account.source.create('customers');
  const later = await until('the time of the next try', () => afterParking(run));
  expect(later).not.toContain('activityTaskScheduledEventAttributes');
  expect((await account.progress(run)).state).toBe('paused');
  expect((await account.rows('customers')).has(id)).toBe(false);
  await run.executeUpdate('resume');
  await until('the change', async () => (await account.rows('customers')).has(id));
  expect((await account.progress(run)).state).toBe('running');
  await run.cancel();
  await run.result().catch(() => undefined);
});
