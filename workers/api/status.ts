import { listConnections } from '../../db/connections.ts';
import { type Coverage, coveragesByStream } from '../../db/coverage.ts';
import { readFeeds } from '../../db/stripe/feed.ts';
import type { ApiPlugin } from '../api.ts';

const at = (ms: number | null | undefined) => (typeof ms === 'number' ? new Date(ms).toISOString() : null);

/** `GET /status`: how far the data of each connection is, from the tables alone; what runs do Temporal tells. */
export const statusPlugin: ApiPlugin =
  ({ pool }) =>
  async (app) => {
    const schema = {
      summary: 'How far the data of each connection is',
      security: [{ token: [] }],
      response: {
        200: { description: 'Moments by the clock of the source', type: 'object', additionalProperties: true },
      },
    };
    app.get('/status', { schema }, async () => {
      const connections = await listConnections(pool);
      const feeds = await readFeeds(
        pool,
        connections.flatMap(({ id, platform }) => (platform === 'stripe' ? [id] : [])),
      );
      const told = await Promise.all(
        connections.map(async ({ id, platform, tenant }) => {
          const feed = feeds.get(id);
          const streams = [...(await coveragesByStream(pool, id)).values()].map(streamOf);
          return { connection: id, platform, tenant, ...(feed && { feed: feedOf(feed) }), streams };
        }),
      );
      return { connections: told };
    });
  };

function feedOf({ seenMs, settledMs, liveMs }: { seenMs: number; settledMs: number; liveMs: number | null }) {
  return {
    phase: liveMs === null ? 'backfill' : 'live',
    seenAt: at(seenMs),
    settledAt: at(settledMs),
    seenLagSeconds: Math.max(0, Math.round((Date.now() - seenMs) / 1_000)),
  };
}

function streamOf({ stream, watermarkMs, fullMs, doubt, withheld }: Coverage) {
  return { stream, watermark: at(watermarkMs), fullAt: at(fullMs), doubt, withheld };
}
