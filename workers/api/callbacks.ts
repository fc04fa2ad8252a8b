import type { FastifyPluginAsync } from 'fastify';
import { takeCallback } from '../../activities/audience/callbacks.ts';
import type { Deps } from '../../activities/deps.ts';

/** Largest body of a callback; channels send a few events at a time. */
const bodyBytes = 256 * 1024;

/**
 * `POST /callbacks/:connection`: what a channel tells of messages that left, and `GET` for its question whether this address is
 * ours. Wants no bearer token: the channel's own signature stands in for it.
 */
export const callbacksPlugin =
  ({ deps }: { deps: Pick<Deps, 'pool' | 'connection'> }): FastifyPluginAsync =>
  async (app) => {
    // The signature is over the bytes: nothing may parse and write them anew.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'string', bodyLimit: bodyBytes }, (_request, body, done) =>
      done(null, body),
    );
    app.route({
      method: ['GET', 'POST'],
      url: '/callbacks/:connection',
      async handler(request, reply) {
        const { connection } = request.params as { connection: string };
        const query = Object.entries(request.query as Record<string, unknown>).map(([key, value]) => [
          key,
          String(value),
        ]);
        const headers = Object.entries(request.headers).map(([key, value]) => [
          key,
          Array.isArray(value) ? value[0] : value,
        ]);
        const { status, body } = await takeCallback(deps, {
          connection,
          method: request.method === 'GET' ? 'GET' : 'POST',
          query: Object.fromEntries(query),
          headers: Object.fromEntries(headers),
          body: typeof request.body === 'string' ? request.body : '',
        });
        return reply
          .code(status)
          .type(body.startsWith('{') ? 'application/json' : 'text/plain')
          .send(body);
      },
    });
  };
