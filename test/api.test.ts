import { expect, inject, it, vi } from 'vitest';
import { serveApi } from '../workers/api.ts';
import { ConfigError, loadConfig } from '../workers/config.ts';
import { createWorker } from '../workers/worker.ts';
import { until } from './harness/until.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld({ worker: false });
const token = 'a-token-of-26-characters-x';
const config = { ...world.config, apiToken: token };
const parts = await createWorker(config, world.servers, world.key, inject('shared').bundle);
const running = parts.worker.run();
const api = await serveApi(0, { ...parts, config });
world.onClose(async () => {
  await api.close();
  parts.worker.shutdown();
  await running;
  await parts.close();
});

const ask = (path: string, authorization?: string) =>
  fetch(`http://127.0.0.1:${api.port}${path}`, { headers: authorization === undefined ? {} : { authorization } });

it('says without a token that it is healthy', async () => {
  const answer = await ask('/healthz');
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({ healthy: true, worker: 'RUNNING', postgres: 'answers' });
});

it('describes its routes', async () => {
  const description = (await (await ask('/openapi.json')).json()) as { openapi: string; paths: object };
  expect(description.openapi).toMatch(/^3\./);
  expect(Object.keys(description.paths)).toContain('/healthz');
});

it('writes of a failure of its own into the log of the worker: where, which class, and nothing of the request', async () => {
  const stderr = vi.spyOn(process.stderr, 'write');
  const logged = () => stderr.mock.calls.map(([text]) => String(text)).find((text) => text.includes('[ERROR]'));
  await world.pool.query('ALTER TABLE syncline.connections RENAME TO connections_away');
  try {
    const answer = await ask('/wait/secret-name?object=cus_secret', `Bearer ${token}`);
    expect(answer.status).toBe(500);
    expect(await answer.json()).toEqual({ error: 'The worker failed; its log says why' });
    const line = await until('the line', async () => logged(), 5_000);
    expect(line).toContain('GET /wait/:connection failed: DrizzleQueryError: ');
    expect(line).toContain('The tables are not there yet');
    expect(line).not.toContain('secret');
  } finally {
    await world.pool.query('ALTER TABLE syncline.connections_away RENAME TO connections');
    stderr.mockRestore();
  }
});

it('names the route list to who asks for another path', async () => {
  const answer = await ask('/nothing');
  expect(answer.status).toBe(404);
  expect(await answer.json()).toEqual({ error: 'No GET route of this path; the routes: GET /openapi.json' });
});

it.each([
  [{ SYNCLINE_API_PORT: '0' }, 'SYNCLINE_API_TOKEN: got nothing; accepted: at least 16 characters without spaces'],
  [{ SYNCLINE_API_PORT: '0', SYNCLINE_API_TOKEN: 'short' }, 'SYNCLINE_API_TOKEN: got a text of 5 characters'],
  [{ SYNCLINE_API_PORT: '70000', SYNCLINE_API_TOKEN: token }, 'SYNCLINE_API_PORT: got "70000"; accepted: a TCP port'],
])('refuses %j', (env, message) => {
  expect(() => loadConfig(env)).toThrow(ConfigError);
  expect(() => loadConfig(env)).toThrow(message);
});
