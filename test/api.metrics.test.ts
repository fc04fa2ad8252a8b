import { expect, inject, it } from 'vitest';
import { storedConnection } from '../db/connections.ts';
import { gauges } from '../db/gauges.ts';
import { logsGlance } from '../db/hubspot/report.ts';
import { kuaishou } from '../sandbox/kuaishou.ts';
import { serveApi } from '../workers/api.ts';
import { createWorker } from '../workers/worker.ts';
import { openCrm } from './harness/crm.ts';
import { openShop } from './harness/platforms.ts';
import { openStripeAccount } from './harness/stripes.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const token = 'a-token-of-26-characters-x';
const config = { ...world.config, taskQueue: `${world.config.taskQueue}-api`, apiToken: token };
const parts = await createWorker(config, world.servers, world.key, inject('shared').bundle);
const running = parts.worker.run();
const api = await serveApi(0, { ...parts, config });
world.onClose(async () => {
  await api.close();
  parts.worker.shutdown();
  await running;
  await parts.close();
});

const ask = (authorization?: string) =>
  fetch(`http://127.0.0.1:${api.port}/metrics`, { headers: authorization === undefined ? {} : { authorization } });

/** Value of a line of the text format; undefined where there is none. */
async function gaugeAt(name: string, labels: Record<string, string>): Promise<number | undefined> {
  const text = await (await ask(`Bearer ${token}`)).text();
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const line = text.split('\n').find((one) => one.startsWith(`${name}{`) && wanted.every((part) => one.includes(part)));
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ')));
}

it('asks for the token', async () => {
  expect((await ask()).status).toBe(401);
});

it('explains every gauge, also before anything is connected', async () => {
  const answer = await ask(`Bearer ${token}`);
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  const text = await answer.text();
  for (const [name, { help }] of Object.entries(gauges)) expect(text).toContain(`# HELP ${name} ${help}\n`);
});

it('shows the lag of a directory and the records of a stream that stand aside, and forgets what was repaired', async () => {
  const { name } = await world.scim({ users: 30, groups: 5 });
  await world.run(name);
  expect(
    await gaugeAt('syncline_lag_seconds', { connection: name, platform: 'scim', stream: 'directory' }),
  ).toBeLessThan(60);

  const shop = await openShop(world, kuaishou, { rows: 40, now: () => Date.now() - 60_000 });
  const { refunds } = shop.source.lists;
  const [bad = ''] = refunds?.ids() ?? [];
  refunds?.update(bad, { status: 'open?' });
  await shop.sync();
  const place = { connection: shop.name, pipeline: 'platform', stream: 'refunds' };
  expect(await gaugeAt('syncline_rejects', place)).toBe(1);
  expect(await gaugeAt('syncline_doubtful', { connection: shop.name, stream: 'refunds' })).toBe(0);
  expect(await gaugeAt('syncline_lag_seconds', { connection: shop.name, stream: 'orders' })).toBeGreaterThan(0);
  refunds?.update(bad, { status: 10 });
  await expect
    .poll(
      async () => {
        await shop.sync();
        return gaugeAt('syncline_rejects', place);
      },
      { timeout: 30_000 },
    )
    .toBeUndefined();
});

it('tells the age of a Stripe account by its feed alone: its lists are never read again', async () => {
  const account = await openStripeAccount(world, { counts: { customers: 20, invoices: 5 } });
  await account.copy();
  const place = { connection: account.name, platform: 'stripe' };
  expect(await gaugeAt('syncline_doubtful', { connection: account.name, stream: 'customers' })).toBe(0);
  expect(await gaugeAt('syncline_lag_seconds', { ...place, stream: 'customers' })).toBeUndefined();
  expect(await gaugeAt('syncline_lag_seconds', { ...place, stream: 'feed' })).toBeGreaterThan(0);
});

it('counts changes of contacts that no run has taken: the lag begins with the oldest of them', async () => {
  const crm = await openCrm(world, { users: 40 });
  const place = { connection: crm.name };
  const contacts = { ...place, platform: 'hubspot', stream: 'contacts' };
  await crm.sync();
  expect(await gaugeAt('syncline_logged_changes', place)).toBe(0);
  expect(await gaugeAt('syncline_marked_connections', place)).toBe(0);
  expect(await gaugeAt('syncline_lag_seconds', contacts)).toBeUndefined();

  await crm.sql(`UPDATE users SET name = 'other' WHERE id <= 30`);
  const { no } = await storedConnection(world.pool, crm.name);
  await world.pool.query(`UPDATE syncline_capture.log_${no} SET at = at - interval '2 hours' WHERE key = '7'`);
  expect(await gaugeAt('syncline_logged_changes', place)).toBe(30);
  const lag = await gaugeAt('syncline_lag_seconds', contacts);
  expect(lag).toBeGreaterThanOrEqual(7_200);
  expect(lag).toBeLessThan(7_300);
  expect(await gaugeAt('syncline_dirty_contacts', place)).toBeUndefined();
  await crm.sync();
  expect(await gaugeAt('syncline_lag_seconds', contacts)).toBeUndefined();
});

it('reads the capture logs once for all that ask; what took long stands for a while', async () => {
  const crm = await openCrm(world, { users: 5 });
  await crm.sync();
  const seen = async (glance: ReturnType<typeof logsGlance>) =>
    (await glance()).find(({ connection }) => connection === crm.name)?.changes;
  const [brief, long] = [logsGlance(world.pool, { longMs: 60_000 }), logsGlance(world.pool, { longMs: 0, times: 1e5 })];
  const asked = brief();
  expect(brief()).toBe(asked);
  await asked;
  expect([await seen(brief), await seen(long)]).toEqual([0, 0]);
  await crm.sql(`UPDATE users SET name = 'another'`);
  expect([await seen(brief), await seen(long)]).toEqual([5, 0]);
});
