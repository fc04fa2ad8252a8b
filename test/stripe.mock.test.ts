import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openTokens } from '../activities/http/auth.ts';
import { Refused } from '../activities/http/client.ts';
import { openThrottle } from '../activities/http/throttle.ts';
import { chosenLists, chosenResources, expandParams, openStripe } from '../activities/stripe/open.ts';
import { resources } from '../connectors/stripe/catalog.ts';
import { loadConnection } from '../db/connections.ts';
import { loadConfig } from '../workers/config.ts';
import { stripeSync } from '../workflows/index.ts';
import { quickSettling } from './harness/stripes.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

/** Stripe's own mock server, which refuses every parameter that the API does not have. */
const program = loadConfig()
  .programFolders.map((folder) => join(folder, 'stripe-mock'))
  .find((path) => existsSync(path));
const install = 'go install github.com/stripe/stripe-mock@v0.203.0';
const world = await openWorld();
const lists = [...new Set(resources.flatMap(({ key, nested }) => nested.map(({ field }) => `${key}.${field}`)))];

describe.skipIf(program === undefined)(`requests are legal (needs stripe-mock: ${install})`, () => {
  it('all that a copy of every resource sends', async () => {
    const name = await connect(await mock());
    const result = await world.client.workflow.execute(stripeSync, {
      args: [{ connection: name, follow: false }],
      taskQueue: world.config.taskQueue,
      workflowId: `mock-${name}`,
    });
    const refused = result.types
      .filter(({ state }) => state !== 'done')
      .map(({ type, reason }) => `${type}: ${reason}`);
    expect(refused).toEqual([]);
    expect(result.types.length).toBe(resources.length + 1);
  }, 240_000);

  it('every list behind an object and in a range, every object by id, and every list inside one', async () => {
    const name = await connect(await mock());
    const { pool, key } = world;
    const deps = {
      throttle: openThrottle(pool),
      tokens: openTokens({ pool, key }),
      connection: (id: string) => loadConnection(pool, key, id),
    };
    const opened = await openStripe(deps, name, 'bulk');
    const { signal } = new AbortController();
    const refused: string[] = [];
    const send = async (work: Promise<unknown>, what: string) => {
      await work.catch((error: unknown) => {
        if (error instanceof Refused && error.verdict === 'gone') return;
        refused.push(`${what}: ${(error as Error).message}`);
      });
    };
    for (const one of chosenResources(opened.options)) {
      const page = { ...one.params, ...expandParams(opened.options, one, 'data.'), ...pages(one.paged, 'id_1') };
      const range = one.created ? { 'created[gte]': 1, 'created[lt]': 2_000_000_000 } : {};
      const clock = one.clocks ? { test_clock: 'clock_1' } : {};
      await send(opened.api.list(one.path, { ...page, ...range, ...clock }, signal), one.key);
      await send(
        opened.api.get(`${one.path}/{id}`, { id: 'id_1', ...expandParams(opened.options, one, '') }, signal),
        `${one.key} by id`,
      );
      for (const nested of chosenLists(opened.options, one))
        await send(
          opened.api.list(nested.route, { id: 'id_1', ...pages(nested.paged, 'id_2') }, signal),
          `${one.key}.${nested.field}`,
        );
    }
    const events = { limit: 100, 'created[gte]': 1, 'created[lt]': 2_000_000_000, starting_after: 'evt_1' };
    await send(opened.api.list('/v1/events', events, signal), 'events');
    await send(opened.api.list('/v1/events', { limit: 100, ending_before: 'evt_1' }, signal), 'events on');
    await send(opened.api.get('/v1/account', {}, signal), 'account');
    await send(opened.api.post('/v1/invoices/create_preview', { subscription: 'sub_1' }, signal), 'preview');
    await deps.throttle.close();
    await deps.tokens.close();
    expect(refused).toEqual([]);
  }, 240_000);
});

const pages = (paged: boolean, after: string) => (paged ? { limit: 100, starting_after: after } : {});

const connect = (baseUrl: string) =>
  world.connect({ platform: 'stripe', baseUrl, credential: 'sk_test_123', options: { ...quickSettling, lists } });

let started: Promise<string> | undefined;

/** One for the file: a second one would want the same port for HTTPS. */
function mock(): Promise<string> {
  started ??= startMock();
  return started;
}

async function startMock(): Promise<string> {
  const port = await freePort();
  const child = spawn(program as string, ['-http-addr', `127.0.0.1:${port}`], { stdio: 'ignore' });
  world.onClose(async () => child.kill());
  const url = `http://127.0.0.1:${port}`;
  await until('stripe-mock', () =>
    fetch(`${url}/v1/account`, { headers: { authorization: 'Bearer sk_test_123' } }).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  return url;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}
