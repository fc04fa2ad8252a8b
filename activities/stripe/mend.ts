import { setTimeout as delay } from 'node:timers/promises';
import type { Resource } from '../../connectors/stripe/catalog.ts';
import { type Claim, claimHolder, writeUnderClaim } from '../../db/claims.ts';
import { readFeed } from '../../db/stripe/feed.ts';
import { type Standing, standingsOf } from '../../db/stripe/objects.ts';
import { differing, extraIds } from '../../db/stripe/verify.ts';
import type { Deps } from '../deps.ts';
import { RetryLater } from '../errors.ts';
import type { Call } from '../step.ts';
import { buryObjects } from './bury.ts';
import { hidesClocks } from './clocks.ts';
import { claimOfCopy } from './identity.ts';
import { readNested } from './nested.ts';
import { readObject } from './object.ts';
import { type OpenStripe, openStripe } from './open.ts';
import { rowOf, type StripeObject } from './rows.ts';
import { type Read, readSpan, type Span, spanOf, withinOf } from './spans.ts';
import { requireResource, tableOf } from './tables.ts';
import { broken, settleOrphans } from './torn.ts';
import { laterTime } from './version.ts';
import { noRows, writeObjects } from './writer.ts';

export interface MendInput {
  connection: string;
  type: string;
  /** Beginnings of buckets, see spans.ts; null: the whole list of a resource that has no moments. */
  buckets: number[] | null;
  mend: boolean;
  /** Rows of objects that are gone which this comparison has marked deleted already: the guard counts them. */
  buried?: number;
}

/** What was wrong in the copy: what the source's own changes on their way explain is not counted. */
export interface MendResult {
  missing: number;
  different: number;
  /** Rows of objects that the source no longer has. */
  extra: number;
  mended: number;
  /** Of `mended`: marked deleted. */
  buried: number;
  /** Of `extra`: rows that the guard (option guard.count) lets stay. */
  withheld: number;
  /** What the guard lets be marked deleted. */
  guard: number;
  objects: number;
  waitMs: number;
}

const nothing = { missing: 0, different: 0, extra: 0, mended: 0, buried: 0, withheld: 0, objects: 0, waitMs: 0 };

const settledPollMs = 500;

/**
 * Reads bad buckets again, waits until the feed has settled behind that reading, and compares row by row: what then still
 * differs, and is no newer, has drifted. Drifted rows are written as they were read; rows of objects that are gone, asked
 * for one by one, are marked deleted.
 */
export async function mendType(
  deps: Deps,
  { connection, type, buckets, mend, buried = 0 }: MendInput,
  call: Call,
): Promise<MendResult> {
  const opened = await openStripe(deps, connection, 'bulk');
  const claim = await claimOfCopy(deps, opened, call);
  const resource = requireResource(type);
  const table = tableOf(resource);
  const { count: guard } = opened.options.guard;
  const result: MendResult = { ...nothing, guard };
  // What is mended is no drift any more when the call is made again.
  const done: MendResult = { ...nothing, guard };
  const spans: Span[] = buckets?.map(spanOf) ?? (hidesClocks(opened, resource) ? ['whole', 'clocks'] : ['whole']);
  const startedMs = Date.now();
  let reads: Read[] = [];
  const extras: string[] = [];
  try {
    // What has moments was asked for its orphans by the scan.
    if (buckets === null) {
      const { extra, mended } = await settleOrphans(deps, opened, resource, connection, mend);
      for (const counts of mend ? [result, done] : [result]) {
        counts.extra += extra;
        counts.mended += mended;
      }
    }
    for (const span of spans) {
      const read = await readSpan(deps, opened, resource, span, call);
      const ids = read.map(({ id }) => id);
      extras.push(
        ...(await extraIds(deps.pool, table, connection, withinOf(resource, span), { ids, beforeMs: startedMs })),
      );
      const suspects = new Set((await differing(deps.pool, table, connection, read)).map(({ id }) => id));
      for (const id of await broken(deps, opened, resource, connection, ids)) suspects.add(id);
      reads.push(...read.filter(({ id }) => suspects.has(id)));
      result.objects += read.length;
      call.report({ objects: result.objects, suspects: reads.length + extras.length });
    }
    if (reads.length + extras.length === 0) return result;
    await settled(deps, connection, opened.api.secondMs(), call);
    const left = new Map((await differing(deps.pool, table, connection, reads)).map((one) => [one.id, one]));
    const torn = new Set(
      await broken(
        deps,
        opened,
        resource,
        connection,
        reads.map(({ id }) => id),
      ),
    );
    reads = reads.filter(({ id }) => left.has(id) || torn.has(id));
    const kindOf = (id: string) => (left.get(id)?.missing ? 'missing' : 'different');
    for (const { id } of reads) result[kindOf(id)] += 1;
    if (mend && reads.length > 0)
      for (const id of await land(deps, opened, claim, resource, reads, call)) {
        for (const counts of [result, done]) counts.mended += 1;
        done[kindOf(id)] += 1;
      }
    for (const one of await stillLiving(deps, table, connection, extras)) {
      const mayBury = mend && buried + result.buried < guard;
      const fate = await settleExtra(deps, opened, claim, resource, one, mayBury, call);
      if (fate === 'there') continue;
      result.extra += 1;
      if (fate === 'stays') {
        if (mend) result.withheld += 1;
        continue;
      }
      done.extra += 1;
      for (const counts of [result, done]) {
        counts.mended += 1;
        counts.buried += 1;
      }
    }
    return result;
  } catch (error) {
    if (!(error instanceof RetryLater)) throw error;
    return { ...done, waitMs: error.waitMs };
  }
}

/** Waits until every event that was told before a moment is applied. Where nobody follows the feed there is nothing to wait for. */
async function settled(deps: Deps, connection: string, secondMs: number, call: Call): Promise<void> {
  const holder = await claimHolder(deps.pool, connection, 'stripe');
  if (!holder || !(await deps.isOpen(holder))) return;
  let before = -1;
  let still = 0;
  for (;;) {
    const feed = await readFeed(deps.pool, connection);
    if (!feed || feed.settledMs > secondMs + 1_000) return;
    still = feed.seenMs === before ? still + 1 : 0;
    before = feed.seenMs;
    if (still * settledPollMs > 15_000) return;
    await delay(settledPollMs, undefined, { signal: call.signal });
  }
}

async function land(
  deps: Deps,
  opened: OpenStripe,
  claim: Claim,
  resource: Resource,
  reads: readonly Read[],
  call: Call,
): Promise<string[]> {
  const found = noRows(resource);
  const objects: { object: StripeObject; origin: { timeMs: number; readMs: number; position: string } }[] = [];
  for (const { data, timeMs, readMs } of reads) {
    const origin = { timeMs, readMs, position: `${resource.key} compared` };
    const made = rowOf(resource, data, origin);
    if ('fault' in made) found.faults.push(made.fault);
    else {
      found.rows.push(made.row);
      objects.push({ object: data, origin });
    }
  }
  found.nested = await readNested(opened, resource, objects, call.signal);
  await writeUnderClaim(deps.pool, claim, { name: `mend ${resource.key}` }, (client) =>
    writeObjects(client, claim, found, { generation: 0, touch: true, mayHaveRejects: true }),
  );
  return found.rows.map(({ id }) => id);
}

async function stillLiving(
  deps: Deps,
  table: ReturnType<typeof tableOf>,
  connection: string,
  ids: readonly string[],
): Promise<Standing[]> {
  const standings = await standingsOf(deps.pool, table, connection, ids);
  return [...standings.values()].filter(({ deleted }) => !deleted);
}

/**
 * A row whose object no list shows: asked for by id, since a list may hide it. It is marked deleted only under the guard. It
 * stood before it was asked for, so the answer is newer, also within one second.
 */
async function settleExtra(
  deps: Deps,
  opened: OpenStripe,
  claim: Claim,
  resource: Resource,
  { id, timeMs }: Standing,
  mayBury: boolean,
  call: Call,
): Promise<'there' | 'stays' | 'buried'> {
  const { read } = await readObject(opened, resource, id, (secondMs) => laterTime(secondMs, timeMs), call.signal);
  if (!('gone' in read)) return 'there';
  if (!mayBury) return 'stays';
  await writeUnderClaim(deps.pool, claim, { name: `mend ${resource.key}` }, (client) =>
    buryObjects(client, claim, opened, resource, [read.gone]),
  );
  return 'buried';
}
