import { timingSafeEqual } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import swagger from '@fastify/swagger';
import { Runtime } from '@temporalio/worker';
import fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifyReply } from 'fastify';
import type { Deps } from '../activities/deps.ts';
import { callbacksPlugin } from './api/callbacks.ts';
import { healthPlugin } from './api/health.ts';
import { metricsPlugin } from './api/metrics.ts';
import { statusPlugin } from './api/status.ts';
import { waitPlugin } from './api/wait.ts';
import { plainMessage } from './cli/trouble.ts';
import type { Config } from './config.ts';
import type { WorkerParts } from './worker.ts';

/** What a plugin is made of. */
export interface ApiParts extends Pick<WorkerParts, 'pool' | 'worker' | 'client'> {
  config: Config;
  /** Tools of the activities: connections, budget, tokens. */
  deps: Deps;
}

/** Routes of one concern. */
export type ApiPlugin = (parts: ApiParts) => FastifyPluginAsync;

/** Served to who shows the bearer token. A concern is a file in workers/api/ and a line here. */
const plugins: readonly ApiPlugin[] = [statusPlugin, metricsPlugin, waitPlugin];
/** Served to everybody who reaches the port. */
const openPlugins: readonly ApiPlugin[] = [healthPlugin, callbacksPlugin];

export interface Api {
  port: number;
  close(): Promise<void>;
}

/** Largest body that is read; no route takes more than a few lines. */
const bodyBytes = 256 * 1024;

/**
 * Serves the HTTP interface of a worker. Every route but `/healthz` and `/openapi.json` wants
 * `Authorization: Bearer <SYNCLINE_API_TOKEN>`. Answers are JSON; a refusal is `{"error":"…"}`.
 * @throws Error when the port is taken
 */
export async function serveApi(port: number, parts: ApiParts): Promise<Api> {
  const app = fastify({
    logger: false,
    bodyLimit: bodyBytes,
    forceCloseConnections: true,
    // An address that no route is looked up for.
    frameworkErrors: (_error, _request, reply: unknown) => {
      const error = 'The path is malformed: accepted is percent-encoded UTF-8; the routes: GET /openapi.json';
      void (reply as FastifyReply).code(400).send({ error });
    },
  });
  app.setErrorHandler((error: Error & { statusCode?: number; validation?: unknown }, request, reply) => {
    const status = error.statusCode ?? 500;
    // What a driver says may quote values, and an address names objects: neither is told.
    if (status >= 500)
      Runtime.instance().logger.error(
        `${request.method} ${request.routeOptions.url ?? 'of no route'} failed: ${error.constructor.name}: ${plainMessage(error)}`,
      );
    void reply.code(status).send({ error: status < 500 ? error.message : 'The worker failed; its log says why' });
  });
  app.setNotFoundHandler((request, reply) => {
    void reply.code(404).send({ error: `No ${request.method} route of this path; the routes: GET /openapi.json` });
  });
  await app.register(swagger, {
    openapi: {
      info: { title: 'Syncline', version: '1', description: 'State of connections, and waiting for their data.' },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    },
  });
  for (const plugin of openPlugins) await app.register(plugin(parts));
  await app.register(async (inner) => {
    requireToken(inner, parts.config.apiToken);
    for (const plugin of plugins) await inner.register(plugin(parts));
  });
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  try {
    await app.listen({ port, host: parts.config.apiHost });
  } catch (cause) {
    await app.close();
    throw new Error(
      `SYNCLINE_API_PORT: port ${port} of ${parts.config.apiHost} cannot be used; another one, or 0 for a free one`,
      { cause },
    );
  }
  const { port: taken } = app.server.address() as AddressInfo;
  return { port: taken, close: () => app.close() };
}

/** Refuses whoever does not show the token, in a time that tells nothing about it. */
function requireToken(app: FastifyInstance, token: string | undefined): void {
  const wanted = Buffer.from(`Bearer ${token ?? ''}`);
  app.addHook('onRequest', async (request, reply) => {
    const given = Buffer.from(request.headers.authorization ?? '');
    if (token !== undefined && given.length === wanted.length && timingSafeEqual(given, wanted)) return;
    await reply
      .code(401)
      .header('www-authenticate', 'Bearer')
      .send({ error: 'Authorization: accepted "Bearer <token>" with the SYNCLINE_API_TOKEN of the worker' });
  });
}
