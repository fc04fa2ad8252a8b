import type { ApiPlugin } from '../api.ts';
import { healthOf } from '../health.ts';

/** `GET /healthz`: 200 while the worker polls and Postgres answers, else 503. */
export const healthPlugin: ApiPlugin = (parts) => async (app) => {
  const schema = {
    summary: 'Whether the worker polls and Postgres answers',
    response: {
      default: {
        type: 'object',
        properties: { healthy: { type: 'boolean' }, worker: { type: 'string' }, postgres: { type: 'string' } },
      },
    },
  };
  app.get('/healthz', { schema }, async (_request, reply) => {
    const health = await healthOf(parts);
    return reply
      .code(health.healthy ? 200 : 503)
      .header('cache-control', 'no-store')
      .send(health);
  });
};
