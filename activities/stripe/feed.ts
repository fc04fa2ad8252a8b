import { SyncError } from '../errors.ts';
import { type FeedEvent, readEvent } from './events.ts';
import type { OpenStripe } from './open.ts';

const path = '/v1/events';
const pageRows = 100;

/** The feed no longer holds what comes next: everything is read anew. */
export class FeedLost extends Error {
  override name = 'FeedLost';
}

/** Part of the feed as it showed at one moment. */
export interface FeedPart {
  events: FeedEvent[];
  /** Id of the newest event by the order of the feed; null where it showed none. */
  newest: string | null;
  /** When the first request of it began: our clock, and the second of Stripe's. */
  readMs: number;
  secondMs: number;
  /** Nothing follows it. */
  isLast: boolean;
}

/**
 * Events of a range of the feed's clock, newest first as the feed gives them. An event that appears in the range while it is
 * read may be missed: whoever reads it must do so again when the range is old enough.
 * @throws SyncError BadAnswer for a feed that shows the same page for ever
 */
export async function readRange(
  { api }: OpenStripe,
  fromMs: number,
  toMs: number,
  signal: AbortSignal,
): Promise<FeedPart> {
  const part: FeedPart = { events: [], newest: null, readMs: 0, secondMs: 0, isLast: true };
  let after: string | undefined;
  for (;;) {
    const answer = await api.list(
      path,
      {
        limit: pageRows,
        'created[gte]': Math.floor(fromMs / 1_000),
        'created[lt]': Math.ceil(toMs / 1_000),
        ...(after !== undefined && { starting_after: after }),
      },
      signal,
    );
    const { data, hasMore } = answer.body;
    if (after === undefined) {
      part.readMs = answer.readMs;
      part.secondMs = answer.secondMs;
      part.newest = data[0] === undefined ? null : String(data[0].id);
    }
    part.events.push(...data.map(readEvent));
    if (!hasMore) return part;
    after = advance(after, data.at(-1)?.id);
  }
}

/** Events that the feed shows in front of one, in the order in which they were appended to it, page by page. */
export async function* readOn({ api }: OpenStripe, event: string, signal: AbortSignal): AsyncGenerator<FeedPart> {
  let before = event;
  for (;;) {
    const answer = await api.list(path, { limit: pageRows, ending_before: before }, signal);
    const { data, hasMore } = answer.body;
    const newest = data[0] === undefined ? null : String(data[0].id);
    const { readMs, secondMs } = answer;
    yield { events: data.map(readEvent), newest, readMs, secondMs, isLast: !hasMore };
    if (!hasMore) return;
    before = advance(before, newest);
  }
}

function advance(from: string | undefined, to: unknown): string {
  if (typeof to === 'string' && to !== from) return to;
  throw new SyncError('BadAnswer', `${path} says that there is more and shows what it has shown: the feed has no end`);
}
