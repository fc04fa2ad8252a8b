import { type Resource, resourceOf } from '../../connectors/stripe/catalog.ts';
import type { Unread } from '../../db/stripe/unread.ts';
import { SyncError } from '../errors.ts';
import type { Faulty } from '../platform/extract.ts';
import { upcoming } from './upcoming.ts';

/** An object that is to be read because of events. */
export interface Asked {
  resource: Resource;
  id: string;
  /** Second of the newest of them. */
  becauseMs: number;
  /** Only a read that began in a later second tells whether the object is gone. */
  later: boolean;
}

interface Standing extends Asked {
  /** When it stood aside first, and when it is tried again; our clock. */
  sinceMs: number;
  dueMs: number;
  reading: boolean;
  /** An event came while it was read. */
  again: boolean;
}

const shortestMs = 1_000;
const longestMs = 3_600_000;
/** One that does not answer holds its lane for a minute. */
const mostAtOnce = 2;

export const keyOf = ({ resource, id }: Pick<Asked, 'resource' | 'id'>) => `${resource.key} ${id}`;

/**
 * Objects that the source failed to show while it shows others: each is tried again when it has stood aside as long again as
 * it had before, after an hour at the latest. They stand in `syncline.rejects` too, so that people see them and a later
 * follower goes on.
 */
export class Aside {
  private readonly all = new Map<string, Standing>();

  constructor(known: readonly Unread[]) {
    const now = Date.now();
    for (const { stream, id, becauseMs, later, stoodMs, agoMs } of known) {
      const resource = stream === upcoming.key ? upcoming : resourceOf(stream);
      const asked = resource && { resource, id, becauseMs, later };
      if (asked) this.put(asked, now - agoMs - stoodMs, now - agoMs);
    }
  }

  has(asked: Asked): boolean {
    return this.all.has(keyOf(asked));
  }

  /** An event of an object that stands aside waits for the next try. @returns false for every other object */
  join(asked: Asked): boolean {
    const known = this.all.get(keyOf(asked));
    if (!known) return false;
    known.becauseMs = Math.max(known.becauseMs, asked.becauseMs);
    known.later ||= asked.later;
    known.again ||= known.reading;
    return true;
  }

  failed(asked: Asked): void {
    this.put(asked, this.all.get(keyOf(asked))?.sinceMs ?? Date.now(), Date.now());
  }

  read(asked: Asked): void {
    const known = this.all.get(keyOf(asked));
    if (known?.again) Object.assign(known, { again: false, reading: false, dueMs: Date.now() });
    else this.all.delete(keyOf(asked));
  }

  /** Those to be tried by now; each until `failed` or `read` is told of it. */
  due(): Asked[] {
    const free = mostAtOnce - [...this.all.values()].filter(({ reading }) => reading).length;
    const now = Date.now();
    const due = [...this.all.values()].filter(({ reading, dueMs }) => !reading && dueMs <= now).slice(0, free);
    for (const one of due) one.reading = true;
    return due.map(({ resource, id, becauseMs, later }) => ({ resource, id, becauseMs, later }));
  }

  private put({ resource, id, becauseMs, later }: Asked, sinceMs: number, triedMs: number): void {
    const dueMs = triedMs + Math.min(longestMs, Math.max(shortestMs, triedMs - sinceMs));
    const one = { resource, id, becauseMs, later, sinceMs, dueMs, reading: false, again: false };
    this.all.set(keyOf(one), one);
  }
}

/** Whether the source failed to show this object, which says nothing of others: no answer, 5xx, or something that is none. */
export function isUnread(error: unknown): error is SyncError {
  return error instanceof SyncError && (error.type === 'Unavailable' || error.type === 'BadAnswer');
}

/** What stands aside of it for people and for a later follower. */
export function unreadFault({ resource, id, becauseMs, later }: Asked, error: SyncError): Faulty {
  const record = JSON.stringify({ id, failure: error.message, becauseMs, later });
  return { id, keyed: true, reason: 'unread', field: 'id', record, position: `${resource.key} by id` };
}

/** More objects of one page than this that fail are the trouble of the source, not theirs: the page is read again. */
const mostOfPage = 5;

/** Sets an object of a page of a backfill aside, for the follower. @returns false where the error says nothing of the object */
export function putAside(faults: Faulty[], resource: Resource, id: string, error: unknown): boolean {
  const unread = faults.filter(({ reason }) => reason === 'unread').length;
  if (!isUnread(error) || unread >= mostOfPage) return false;
  faults.push(unreadFault({ resource, id, becauseMs: 0, later: false }, error));
  return true;
}
