import type { Resource } from '../../connectors/stripe/catalog.ts';
import { type Bucket, copyBuckets, sourceBuckets } from '../../db/stripe/verify.ts';
import type { Deps } from '../deps.ts';
import { RetryLater, SyncError } from '../errors.ts';
import type { Call } from '../step.ts';
import { hidesClocks } from './clocks.ts';
import { claimOfCopy } from './identity.ts';
import { expandParams, type OpenStripe, openStripe } from './open.ts';
import { textOf } from './rows.ts';
import { bucketSeconds, clockBucket, readSpan, unknownBucket, withinOf } from './spans.ts';
import { requireResource, tableOf } from './tables.ts';
import { broken, settleOrphans } from './torn.ts';

export interface ScanInput {
  connection: string;
  type: string;
  /** Seconds since 1970, not included: what is newer was compared by an earlier call. Null at the beginning. */
  toSecond: number | null;
  /** Oldest moment to compare; null: all. */
  sinceSecond: number | null;
  /** Default false, as in runs of before it was told. */
  mend?: boolean;
}

/** What one call compared. */
export interface ScanResult {
  /** Where the next call goes on; null when everything was compared. */
  toSecond: number | null;
  buckets: number;
  objects: number;
  /** Beginnings of the buckets that differ. */
  bad: number[];
  /** Items that are living under parents that are deleted; counted by the last call. */
  extra: number;
  mended: number;
  waitMs: number;
}

const pageRows = 100;
/** Buckets that one answer may name: beyond it the copy is rather made anew. */
const mostBad = 2_000;

/**
 * Compares a resource bucket by bucket, from the newest to the oldest: counts and hashes of what the source lists now and of
 * what the copy holds now. A bucket that changes meanwhile differs as well; whether that is drift is asked afterwards.
 */
export async function scanType(deps: Deps, input: ScanInput, call: Call): Promise<ScanResult> {
  const opened = await openStripe(deps, input.connection, 'bulk');
  const resource = requireResource(input.type);
  const blank: ScanResult = {
    toSecond: input.toSecond,
    buckets: 0,
    objects: 0,
    bad: [],
    extra: 0,
    mended: 0,
    waitMs: 0,
  };
  const result = { ...blank, bad: [...blank.bad] };
  try {
    await claimOfCopy(deps, opened, call);
    if (input.toSecond === null) {
      await scanClocks(deps, opened, resource, result, call);
      const unknown = withinOf(resource, 'unknown');
      if ((await copyBuckets(deps.pool, tableOf(resource), input.connection, unknown, bucketSeconds)).length > 0)
        result.bad.push(unknownBucket);
    }
    for await (const part of partsOf(opened, resource, input, call)) {
      const within = withinOf(resource, { fromSecond: part.fromSecond, toSecond: part.toSecond });
      const copy = await copyBuckets(deps.pool, tableOf(resource), input.connection, within, bucketSeconds);
      const source = await sourceBuckets(deps.pool, part.objects.map(textOf), bucketSeconds);
      const bad = new Set(badOf(source, copy));
      const ids = part.objects.map(({ id }) => String(id));
      const torn = new Set(await broken(deps, opened, resource, input.connection, ids));
      for (const { id, created } of part.objects)
        if (torn.has(String(id))) bad.add(Math.floor(Number(created) / bucketSeconds) * bucketSeconds);
      result.bad.push(...bad);
      result.buckets += new Set([...source, ...copy].map(({ second }) => second)).size;
      result.objects += part.objects.length;
      result.toSecond = part.isLast ? null : part.fromSecond;
      if (part.isLast)
        Object.assign(result, await settleOrphans(deps, opened, resource, input.connection, input.mend ?? false));
      call.report({ objects: result.objects, bad: result.bad.length });
      if (part.isLast || call.shouldEnd() || result.bad.length >= mostBad) return result;
    }
  } catch (error) {
    if (!(error instanceof RetryLater)) throw error;
    // The next call begins where no part has ended, with what stands under test clocks too.
    return { ...(result.toSecond === input.toSecond ? blank : result), waitMs: error.waitMs };
  }
  return result;
}

/** What stands under test clocks is one bucket: no list shows it beside the others, and a clock holds a few objects. */
async function scanClocks(
  deps: Deps,
  opened: OpenStripe,
  resource: Resource,
  result: ScanResult,
  call: Call,
): Promise<void> {
  if (!hidesClocks(opened, resource)) return;
  const { id } = opened.connection;
  const read = await readSpan(deps, opened, resource, 'clocks', call);
  const copy = await copyBuckets(deps.pool, tableOf(resource), id, withinOf(resource, 'clocks'), bucketSeconds);
  const texts = read.map(({ text }) => text);
  const source = await sourceBuckets(deps.pool, texts, bucketSeconds);
  const ids = read.map((one) => one.id);
  const torn = await broken(deps, opened, resource, id, ids);
  if (badOf(source, copy).length + torn.length > 0) result.bad.push(clockBucket);
  result.buckets += read.length + copy.length > 0 ? 1 : 0;
  result.objects += read.length;
}

function badOf(source: readonly Bucket[], copy: readonly Bucket[]): number[] {
  const text = ({ count, hash }: Bucket) => `${count} ${hash}`;
  const theirs = new Map(source.map((one) => [one.second, text(one)]));
  const ours = new Map(copy.map((one) => [one.second, text(one)]));
  const all = [...new Set([...theirs.keys(), ...ours.keys()])];
  return all.filter((second) => theirs.get(second) !== ours.get(second));
}

interface Part {
  objects: Record<string, unknown>[];
  fromSecond: number;
  toSecond: number;
  isLast: boolean;
}

/** Objects compared at once: a scan of the table each. */
const partRows = 5_000;
/** Later than any object. */
const endOfTime = 2 ** 33;

/** The list in parts that end at the beginning of a bucket. */
async function* partsOf(
  { api, options }: OpenStripe,
  resource: Resource,
  { toSecond, sinceSecond }: ScanInput,
  call: Call,
): AsyncGenerator<Part> {
  let end = toSecond ?? endOfTime;
  let held: Record<string, unknown>[] = [];
  let after: string | undefined;
  const since = sinceSecond === null ? 0 : Math.floor(sinceSecond / bucketSeconds) * bucketSeconds;
  for (;;) {
    const { body } = await api.list(
      resource.path,
      {
        ...(resource.paged && { limit: pageRows }),
        ...resource.params,
        ...expandParams(options, resource, 'data.'),
        ...(end < endOfTime && { 'created[lt]': end }),
        ...(since > 0 && { 'created[gte]': since }),
        ...(after !== undefined && { starting_after: after }),
      },
      call.signal,
    );
    held.push(...body.data);
    if (!body.hasMore) {
      yield { objects: held, fromSecond: since, toSecond: end, isLast: true };
      return;
    }
    const last = body.data.at(-1);
    if (String(last?.id) === after)
      throw new SyncError('BadAnswer', `${resource.path} shows what it has shown: the list has no end`);
    after = String(last?.id);
    const edge = Math.floor(Number(last?.created) / bucketSeconds) * bucketSeconds + bucketSeconds;
    const whole = held.filter(({ created }) => Number(created) >= edge);
    if (whole.length < partRows && held.length < 20 * partRows) continue;
    if (whole.length === 0) continue;
    yield { objects: whole, fromSecond: edge, toSecond: end, isLast: false };
    held = held.filter(({ created }) => Number(created) < edge);
    // The cursor stays good: what is held was read in front of it.
    end = edge;
  }
}
