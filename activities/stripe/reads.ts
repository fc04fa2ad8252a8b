import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Resource } from '../../connectors/stripe/catalog.ts';
import { RetryLater, SyncError } from '../errors.ts';
import type { ApplyCounts, Written } from './apply.ts';
import { type Aside, type Asked, isUnread, keyOf, unreadFault } from './aside.ts';
import type { FeedEvent } from './events.ts';
import { type ReadObject, readObject, withoutRight } from './object.ts';
import type { OpenStripe } from './open.ts';
import { previewOf, upcoming } from './upcoming.ts';
import { readTime } from './version.ts';
import { noRows } from './writer.ts';

/** An object that must be read, and the events that ask for it. */
export interface Wanted extends Asked {
  events: FeedEvent[];
}

interface Open extends Wanted {
  done: Promise<void>;
  settle(error?: unknown): void;
  /** False while it waits for its turn. */
  reading: boolean;
  /** When it was read first, and how often it failed since. */
  sinceMs: number;
  fails: number;
}

/** Objects read at once. */
const lanes = 8;
const laterMs = 250;
/** What failed is tried again in its place for so long; everything behind its events counts as applied only then. */
const holdMs = 3_000;
const firstPauseMs = 250;

/** Reads objects that events alone cannot tell: each once, however many events ask for it while it waits. */
export class Reads {
  private readonly opened: OpenStripe;
  private readonly signal: AbortSignal;
  private readonly end = new AbortController();
  private readonly aside: Aside;
  private readonly write: (written: Written) => Promise<void>;
  private readonly forbidden: (resource: string) => Promise<void>;
  private readonly counts: ApplyCounts;
  private readonly open = new Map<string, Open[]>();
  private readonly queue: Open[] = [];
  private busy = 0;
  /** Events with how many objects each still waits for, and whether none of them stands aside. */
  private readonly left = new Map<string, { objects: number; whole: boolean }>();

  constructor(
    opened: OpenStripe,
    signal: AbortSignal,
    write: (written: Written) => Promise<void>,
    /** Told before an event counts as applied whose object the key may not read. */
    forbidden: (resource: string) => Promise<void>,
    counts: ApplyCounts,
    aside: Aside,
  ) {
    this.opened = opened;
    this.signal = AbortSignal.any([signal, this.end.signal]);
    // Every request under way and every pause listens to it.
    setMaxListeners(0, this.signal);
    this.aside = aside;
    this.write = write;
    this.forbidden = forbidden;
    this.counts = counts;
  }

  /** Whether an object is being read or waits for it: a snapshot would only come in between. */
  has(resource: Resource, id: string): boolean {
    return this.open.has(keyOf({ resource, id }));
  }

  /** Tries what stands aside and is due. */
  retry(): void {
    for (const asked of this.aside.due()) this.push({ ...asked, events: [] });
    this.start();
  }

  /** Whatever is still being read belongs to the next follower. */
  stop(): void {
    this.end.abort();
  }

  /** Resolves when all of them are written, or stand aside. */
  want(wanted: readonly Wanted[]): Promise<void> {
    for (const { events } of wanted)
      for (const { id } of events) {
        const { objects = 0, whole = true } = this.left.get(id) ?? {};
        this.left.set(id, { objects: objects + 1, whole });
      }
    const all = wanted.map((one) => this.add(one));
    this.start();
    return Promise.all(all).then(() => undefined);
  }

  private add(wanted: Wanted): Promise<void> {
    if (this.aside.join(wanted)) {
      this.endedOf(wanted.events, false);
      return Promise.resolve();
    }
    const known = this.open.get(keyOf(wanted)) ?? [];
    // One that has begun may not see the change of this event.
    const waiting = known.find(({ reading }) => !reading);
    if (waiting) {
      waiting.events.push(...wanted.events);
      waiting.becauseMs = Math.max(waiting.becauseMs, wanted.becauseMs);
      waiting.later ||= wanted.later;
      return waiting.done;
    }
    return this.push(wanted);
  }

  private push(wanted: Wanted): Promise<void> {
    const key = keyOf(wanted);
    let settle: Open['settle'] = () => undefined;
    const done = new Promise<void>((resolve, reject) => {
      settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    done.catch(() => undefined);
    const again = { reading: false, sinceMs: 0, fails: 0 };
    const one: Open = { ...wanted, events: [...wanted.events], done, settle, ...again };
    this.open.set(key, [...(this.open.get(key) ?? []), one]);
    this.queue.push(one);
    return done;
  }

  private start(): void {
    while (this.busy < lanes) {
      // Two reads of one object at once could be written in the wrong order.
      const at = this.queue.findIndex((one) => !(this.open.get(keyOf(one)) ?? []).some(({ reading }) => reading));
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
    if (one.fails === 0) one.sinceMs = Date.now();
    try {
      const read = await this.read(one).catch((error: unknown) => {
        if (!isUnread(error)) throw error;
        return error;
      });
      if (read instanceof SyncError) await this.fail(one, read);
      else await this.land(one, read);
    } catch (error) {
      this.close(one, error);
    }
  }

  private async land(one: Open, read: ReadObject): Promise<void> {
    const { key } = one.resource;
    this.counts.reads += 1;
    await this.write({
      found: new Map('found' in read ? [[key, read.found]] : []),
      gone: new Map('gone' in read ? [[key, [read.gone]]] : []),
      events: this.endedOf(one.events, true),
      foreign: [],
      reached: null,
    });
    this.aside.read(one);
    this.close(one);
  }

  /** Its events do not count as applied: the settling reader meets them again. */
  private async fail(one: Open, error: SyncError): Promise<void> {
    const pauseMs = firstPauseMs * 2 ** one.fails;
    if (!this.aside.has(one) && Date.now() + pauseMs < one.sinceMs + holdMs) {
      one.fails += 1;
      one.reading = false;
      delay(pauseMs, undefined, { signal: this.signal }).then(
        () => {
          this.queue.push(one);
          this.start();
        },
        (ended) => this.close(one, ended),
      );
      return;
    }
    const found = noRows(one.resource);
    found.faults.push(unreadFault(one, error));
    await this.write({
      found: new Map([[one.resource.key, found]]),
      gone: new Map(),
      events: [],
      foreign: [],
      reached: null,
    });
    this.aside.failed(one);
    this.endedOf(one.events, false);
    this.close(one);
  }

  /** Of the events of an object that is read or stands aside, those that wait for no other one and are whole. */
  private endedOf(events: readonly FeedEvent[], whole: boolean): FeedEvent[] {
    return events.filter(({ id }) => {
      const left = this.left.get(id);
      if (!left) return false;
      left.objects -= 1;
      left.whole &&= whole;
      if (left.objects === 0) this.left.delete(id);
      return left.objects === 0 && left.whole;
    });
  }

  private close(one: Open, error?: unknown): void {
    const key = keyOf(one);
    const rest = (this.open.get(key) ?? []).filter((other) => other !== one);
    if (rest.length > 0) this.open.set(key, rest);
    else this.open.delete(key);
    one.settle(error);
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
        if (error instanceof SyncError && error.type === 'Forbidden') await this.forbidden(one.resource.key);
        if (!(error instanceof RetryLater)) return withoutRight(one, error);
        await delay(error.waitMs, undefined, { signal: this.signal });
      }
    }
  }
}
