import type { Resource } from '../../connectors/stripe/catalog.ts';
import type { Within } from '../../db/stripe/verify.ts';
import type { Deps } from '../deps.ts';
import { SyncError } from '../errors.ts';
import { Refused } from '../http/client.ts';
import type { Call } from '../step.ts';
import { comparedClocks } from './clocks.ts';
import { expandParams, type OpenStripe } from './open.ts';
import { type StripeObject, textOf } from './rows.ts';
import { readTime } from './version.ts';

/** An hour: some thousand objects of a busy account, so that a bad one costs some dozen requests. */
export const bucketSeconds = 3_600;
/** The bucket of everything that stands under a test clock, whenever it was made: a moment before every object's. */
export const clockBucket = -bucketSeconds;

/** The bucket of rows of which the copy does not know when their objects were made, such as what an event of a deletion left. */
export const unknownBucket = 2 * clockBucket;

/**
 * A part of a resource that is compared at once: a bucket, a whole list, what stands under test clocks and no list shows
 * beside it, or rows without a moment, which belong to no bucket.
 */
export type Span = { fromSecond: number; toSecond: number } | 'whole' | 'clocks' | 'unknown';

export function spanOf(bucket: number): Span {
  if (bucket === clockBucket) return 'clocks';
  return bucket === unknownBucket ? 'unknown' : { fromSecond: bucket, toSecond: bucket + bucketSeconds };
}

/** Rows of the copy that belong to a span. */
export function withinOf({ clocks }: Resource, span: Span): Within {
  return {
    range: typeof span === 'object' || span === 'unknown' ? span : null,
    clocks: span === 'clocks' ? 'only' : clocks ? 'without' : null,
  };
}

/** An object as a list showed it, and its number. */
export interface Read {
  id: string;
  timeMs: number;
  readMs: number;
  data: StripeObject;
  text: string;
}

const pageRows = 100;

/** Reads a span at the source. */
export async function readSpan(
  { pool }: Pick<Deps, 'pool'>,
  opened: OpenStripe,
  resource: Resource,
  span: Span,
  call: Call,
): Promise<Read[]> {
  // No list can be asked for them: each is asked for by its id.
  if (span === 'unknown') return [];
  if (span === 'whole') return readList(opened, resource, {}, call);
  if (span !== 'clocks') {
    const { fromSecond, toSecond } = span;
    return readList(opened, resource, { 'created[gte]': fromSecond, 'created[lt]': toSecond }, call);
  }
  const found: Read[] = [];
  for (const test_clock of await comparedClocks(pool, opened, resource))
    found.push(
      ...(await readList(opened, resource, { test_clock }, call).catch((error: unknown) => {
        // The clock is deleted, and with it what stood under it.
        if (error instanceof Refused && error.verdict === 'gone') return [];
        throw error;
      })),
    );
  return found;
}

async function readList(
  { api, options }: OpenStripe,
  resource: Resource,
  params: Record<string, unknown>,
  call: Call,
): Promise<Read[]> {
  const found: Read[] = [];
  let after: string | undefined;
  for (;;) {
    const { body, readMs, secondMs } = await api.list(
      resource.path,
      {
        ...(resource.paged && { limit: pageRows }),
        ...resource.params,
        ...expandParams(options, resource, 'data.'),
        ...params,
        ...(after !== undefined && { starting_after: after }),
      },
      call.signal,
    );
    for (const data of body.data)
      found.push({ id: String(data.id), timeMs: readTime(secondMs), readMs, data, text: textOf(data) });
    if (!body.hasMore) return found;
    const last = String(body.data.at(-1)?.id);
    if (last === after)
      throw new SyncError('BadAnswer', `${resource.path} shows what it has shown: the list has no end`);
    after = last;
  }
}
