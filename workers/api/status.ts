import type { Client } from '@temporalio/client';
import { claimHolder } from '../../db/claims.ts';
import type { Pool } from '../../db/client.ts';
import { listConnections } from '../../db/connections.ts';
import { type Coverage, coveragesByStream } from '../../db/coverage.ts';
import { readFeeds } from '../../db/stripe/feed.ts';
import type { StripeProgress } from '../../workflows/stripe.view.ts';
import type { ApiPlugin } from '../api.ts';
import { askProgress, describeRun } from '../cli/runs.ts';

const at = (ms: number | null | undefined) => (typeof ms === 'number' ? new Date(ms).toISOString() : null);

/** `GET /status`: how far the data of each connection is, from the tables; of an account that is followed also what its run does. */
export const statusPlugin: ApiPlugin =
  ({ pool, client }) =>
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
          const run = feed && (await runStateOf(pool, client, id));
          return { connection: id, platform, tenant, ...(feed && run && { run, feed: feedOf(feed, run) }), streams };
        }),
      );
      return { connections: told };
    });
  };

/** running, paused, parked, or how it ended; unknown where neither Temporal nor a worker tells. */
async function runStateOf(pool: Pool, client: Client, connection: string): Promise<string> {
  const holder = await claimHolder(pool, connection, 'stripe');
  if (!holder) return 'none';
  try {
    const run = await describeRun(client, holder);
    if (run?.status !== 'RUNNING') return run?.status.toLowerCase() ?? 'none';
    return (await askProgress<StripeProgress>(client, run))?.state ?? 'unknown';
  } catch {
    // Temporal is away: what the tables tell is told all the same.
    return 'unknown';
  }
}

/** The data is live only while its run goes on; otherwise its phase is what became of the run. */
function feedOf(
  { seenMs, settledMs, liveMs }: { seenMs: number; settledMs: number; liveMs: number | null },
  run: string,
) {
  const phase = liveMs === null ? 'backfill' : 'live';
  return {
    phase: run === 'running' || run === 'unknown' ? phase : run,
    seenAt: at(seenMs),
    settledAt: at(settledMs),
    seenLagSeconds: Math.max(0, Math.round((Date.now() - seenMs) / 1_000)),
  };
}

function streamOf({ stream, watermarkMs, fullMs, doubt, withheld }: Coverage) {
  return { stream, watermark: at(watermarkMs), fullAt: at(fullMs), doubt, withheld };
}
