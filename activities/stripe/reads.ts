import { setTimeout as delay } from 'node:timers/promises';
import type { Resource } from '../../connectors/stripe/catalog.ts';
import type { Burial } from '../../db/land.ts';
import { RetryLater, SyncError } from '../errors.ts';
import { Refused } from '../http/client.ts';
import type { ApplyCounts, Written } from './apply.ts';
import type { FeedEvent } from './events.ts';
import { readNested } from './nested.ts';
import { expandParams, type OpenStripe } from './open.ts';
import { rowOf } from './rows.ts';
import { previewOf, upcoming } from './upcoming.ts';
import { readTime } from './version.ts';
import { noRows, type ObjectRows } from './writer.ts';

/** An object that must be read, and the events that ask for it. */
export interface Wanted {
  resource: Resource;
  id: string;
  /** Second of the newest of them. */
  becauseMs: number;
  /** Only a read that began in a later second tells whether the object is gone. */
  later: boolean;
  events: FeedEvent[];
}

interface Open extends Wanted {
  done: Promise<void>;
  settle(error?: unknown): void;
  /** Null while it waits for its turn. */
  reading: boolean;
}

/** Objects read at once. */
const lanes = 8;
const laterMs = 250;

/** What a read brought. `stub`: the source says that it was deleted, not only that it has none. */
export type ReadObject = { found: ObjectRows } | { gone: Burial; stub?: true };

/** Reads objects that events alone cannot tell: each once, however many events ask for it while it waits. */
export class Reads {
  private readonly opened: OpenStripe;
  private readonly signal: AbortSignal;
  private readonly write: (written: Written) => Promise<void>;
  private readonly counts: ApplyCounts;
  private readonly open = new Map<string, Open[]>();
  private readonly queue: Open[] = [];
  private busy = 0;
  /** Events with how many objects each still waits for. */
  private readonly left = new Map<string, number>();

  constructor(
    opened: OpenStripe,
    signal: AbortSignal,
    write: (written: Written) => Promise<void>,
    counts: ApplyCounts,
  ) {
    this.opened = opened;
    this.signal = signal;
    this.write = write;
    this.counts = counts;
  }

  /** Whether an object is being read or waits for it: a snapshot would only come in between. */
  has(resource: Resource, id: string): boolean {
    return this.open.has(keyOf(resource, id));
  }

  /** Resolves when all of them are written. */
  want(wanted: readonly Wanted[]): Promise<void> {
    for (const { events } of wanted) for (const { id } of events) this.left.set(id, (this.left.get(id) ?? 0) + 1);
    const all = wanted.map((one) => this.add(one));
    this.start();
    return Promise.all(all).then(() => undefined);
  }

  private add(wanted: Wanted): Promise<void> {
    const key = keyOf(wanted.resource, wanted.id);
    const known = this.open.get(key) ?? [];
    // One that has begun may not see the change of this event.
    const waiting = known.find(({ reading }) => !reading);
    if (waiting) {
      waiting.events.push(...wanted.events);
      waiting.becauseMs = Math.max(waiting.becauseMs, wanted.becauseMs);
      waiting.later ||= wanted.later;
      return waiting.done;
    }
    let settle: Open['settle'] = () => undefined;
    const done = new Promise<void>((resolve, reject) => {
      settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    done.catch(() => undefined);
    const one: Open = { ...wanted, events: [...wanted.events], done, settle, reading: false };
    this.open.set(key, [...known, one]);
    this.queue.push(one);
    return done;
  }

  private start(): void {
    while (this.busy < lanes) {
      // Two reads of one object at once could be written in the wrong order.
      const at = this.queue.findIndex(
        (one) => !(this.open.get(keyOf(one.resource, one.id)) ?? []).some(({ reading }) => reading),
      );
      const [one] = at < 0 ? [] : this.queue.splice(at, 1);
      if (!one) return;
      one.reading = true;
      this.busy += 1;
      void this.serve(one).finally(() => {
        this.busy -= 1;
        this.start();
      });
    }
  }

  private async serve(one: Open): Promise<void> {
    const key = keyOf(one.resource, one.id);
    const close = (error?: unknown) => {
      const rest = (this.open.get(key) ?? []).filter((other) => other !== one);
      if (rest.length > 0) this.open.set(key, rest);
      else this.open.delete(key);
      one.settle(error);
    };
    try {
      const read = await this.read(one);
      this.counts.reads += 1;
      const events = one.events.filter(({ id }) => {
        const left = (this.left.get(id) ?? 1) - 1;
        if (left > 0) this.left.set(id, left);
        else this.left.delete(id);
        return left <= 0;
      });
      await this.write({
        found: new Map('found' in read ? [[one.resource.key, read.found]] : []),
        gone: new Map('gone' in read ? [[one.resource.key, [read.gone]]] : []),
        events,
        reached: null,
      });
      close();
    } catch (error) {
      close(error);
    }
  }

  private async read(one: Open): Promise<ReadObject> {
    for (;;) {
      try {
        const { read, secondMs } =
          one.resource === upcoming
            ? {
                read: await previewOf(this.opened, one.id, one.becauseMs, this.signal),
                secondMs: Number.POSITIVE_INFINITY,
              }
            : await readObject(
                this.opened,
                one.resource,
                one.id,
                (second) => readTime(second, one.becauseMs),
                this.signal,
              );
        if (!one.later || secondMs > one.becauseMs) return read;
        await delay(laterMs, undefined, { signal: this.signal });
      } catch (error) {
        if (!(error instanceof RetryLater)) return unreadable(one, error);
        await delay(error.waitMs, undefined, { signal: this.signal });
      }
    }
  }
}

/**
 * What cannot be read must not stop the feed. Without the right to a resource its events bring nothing: it is parked, and
 * read whole when the right is there. An id that is refused is set aside. @throws everything else
 */
function unreadable({ resource, id }: Open, error: unknown): ReadObject {
  const found = noRows(resource);
  if (error instanceof Refused) {
    const record = JSON.stringify({ id, code: error.code });
    found.faults.push({ id, keyed: true, reason: 'refused', field: 'id', record, position: `${resource.key} by id` });
    return { found };
  }
  if (error instanceof SyncError && error.type === 'Forbidden') return { found };
  throw error;
}

const keyOf = (resource: Resource, id: string) => `${resource.key} ${id}`;

/**
 * Reads one object with its lists. An object that the API calls deleted, or says it does not have, is gone.
 * @param timeOf its number, of the second in which the request began
 */
export async function readObject(
  opened: OpenStripe,
  resource: Resource,
  id: string,
  timeOf: (secondMs: number) => number,
  signal: AbortSignal,
): Promise<{ read: ReadObject; secondMs: number }> {
  const askedMs = Date.now();
  try {
    const params = { id, ...expandParams(opened.options, resource, '') };
    const { body, readMs, secondMs } = await opened.api.get(`${resource.path}/{id}`, params, signal);
    if (body.deleted === true)
      return { read: { gone: { id, timeMs: timeOf(secondMs), readMs }, stub: true }, secondMs };
    if (body.id !== id)
      throw new SyncError('BadAnswer', `${resource.path}/{id} answered with another object than the one asked for`);
    const origin = { timeMs: timeOf(secondMs), readMs, position: `${resource.key} by id` };
    const made = rowOf(resource, body, origin);
    const found = noRows(resource);
    if ('fault' in made) found.faults.push(made.fault);
    else {
      found.rows.push(made.row);
      found.nested = await readNested(opened, resource, [{ object: body, origin }], signal);
    }
    return { read: { found }, secondMs };
  } catch (error) {
    if (!(error instanceof Refused) || error.verdict !== 'gone') throw error;
    const secondMs = opened.api.secondMs();
    return { read: { gone: { id, timeMs: timeOf(secondMs), readMs: askedMs } }, secondMs };
  }
}
