import type { Client } from '@temporalio/client';
import { claimHolder } from '../../db/claims.ts';
import type { Pool } from '../../db/client.ts';
import { listConnections } from '../../db/connections.ts';
import { type Coverage, coveragesByStream } from '../../db/coverage.ts';
import { readFeeds } from '../../db/stripe/feed.ts';
import type { StripeProgress } from '../../workflows/stripe.view.ts';
import type { ApiPlugin } from '../api.ts';
import { askProgress, describeRun } from '../cli/runs.ts';
import { isPast, troublesOf } from '../cli/trouble.stripe.ts';

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
          const run = feed && (await runOf(pool, client, id, feed));
          return {
            connection: id,
            platform,
            tenant,
            ...(feed && run && { ...run, feed: feedOf(feed, run.run) }),
            streams,
          };
        }),
      );
      return { connections: told };
    });
  };

/** What becomes of a copy. */
export interface RunTold {
  /** running, paused, parked, or how it ended; unknown where neither Temporal nor a worker tells. */
  run: string;
  /** What holds it up: step, class of the failure with our sentence, and since when nothing came. */
  trouble: { step: string; type: string; failure: string; since: string | null }[];
  /** What it says of itself, such as why it is parked. */
  notes: string[];
}

/** The run that holds a copy. Who asks Temporal in vain learns that it is unknown. */
export async function runOf(
  pool: Pool,
  client: Client,
  connection: string,
  feed: { polledMs: number | null },
): Promise<RunTold> {
  const untold = { trouble: [], notes: [] };
  const holder = await claimHolder(pool, connection, 'stripe');
  if (!holder) return { run: 'none', ...untold };
  try {
    const run = await describeRun(client, holder);
    if (run?.status !== 'RUNNING') return { run: run?.status.toLowerCase() ?? 'none', ...untold };
    const progress = await askProgress<StripeProgress>(client, run);
    const trouble = troublesOf(run, feed).map(({ sinceMs, ...one }) => ({ ...one, since: at(sinceMs) }));
    return { run: progress?.state ?? 'unknown', trouble, notes: progress?.notes ?? [] };
  } catch {
    // Temporal is away: what the tables tell is told all the same.
    return { run: 'unknown', ...untold };
  }
}

/** Phase of a copy, and in words why it does not get on; null when nothing holds it up. */
export function holdUpOf(connection: string, feed: { liveMs: number | null }, { run, trouble, notes }: RunTold) {
  const ended = !['running', 'paused', 'parked', 'unknown'].includes(run);
  const why = [
    ...notes.filter((note) => !isPast(note)),
    ...trouble.map(({ step, failure }) => `${step}: ${failure}`),
    ...(ended ? [`no run follows the feed; start one with: npx syncline start stripeSync ${connection}`] : []),
    ...(run === 'paused' ? [`it goes on with: npx syncline resume ${connection}`] : []),
  ];
  return { phase: phaseOf(feed, run), why: why.length > 0 ? why.join('; ') : null };
}

/** The data is live only while its run goes on; otherwise its phase is what became of the run. */
function phaseOf({ liveMs }: { liveMs: number | null }, run: string): string {
  if (run !== 'running' && run !== 'unknown') return run;
  return liveMs === null ? 'backfill' : 'live';
}

function feedOf(
  { seenMs, settledMs, liveMs }: { seenMs: number; settledMs: number; liveMs: number | null },
  run: string,
) {
  return {
    phase: phaseOf({ liveMs }, run),
    seenAt: at(seenMs),
    settledAt: at(settledMs),
    seenLagSeconds: Math.max(0, Math.round((Date.now() - seenMs) / 1_000)),
  };
}

function streamOf({ stream, watermarkMs, fullMs, doubt, withheld }: Coverage) {
  return { stream, watermark: at(watermarkMs), fullAt: at(fullMs), doubt, withheld };
}
