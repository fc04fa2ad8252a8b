import { resourceOf } from '../../connectors/stripe/catalog.ts';
import { type Claim, writeUnderClaim } from '../../db/claims.ts';
import type { Client } from '../../db/client.ts';
import { uncover } from '../../db/coverage.ts';
import type { Burial } from '../../db/land.ts';
import { type RejectRow, setAside } from '../../db/rejects.ts';
import { keepEvents, type LedgerEvent, unappliedEvents } from '../../db/stripe/events.ts';
import { moveFeed, type Reached } from '../../db/stripe/feed.ts';
import { standingsOf } from '../../db/stripe/objects.ts';
import type { Deps } from '../deps.ts';
import type { Aside } from './aside.ts';
import { buryObjects } from './bury.ts';
import { type FeedEvent, type Target, targetsOf } from './events.ts';
import { feedStream, foreignOf, foreignRejects, unanswering } from './foreign.ts';
import { readNested } from './nested.ts';
import { chosenResources, type OpenStripe } from './open.ts';
import { Reads, type Wanted } from './reads.ts';
import { rowOf } from './rows.ts';
import { tableOf } from './tables.ts';
import { previewsOf } from './upcoming.events.ts';
import { upcoming, upcomingChosen } from './upcoming.ts';
import { deletionTime, judgeEvent } from './version.ts';
import { addRows, noRows, type ObjectRows, writeObjects } from './writer.ts';

/** What one transaction writes. */
export interface Written {
  found: Map<string, ObjectRows>;
  gone: Map<string, Burial[]>;
  /** Events of which nothing is left to do. */
  events: LedgerEvent[];
  /** Accounts of events that are none of this copy. */
  foreign: RejectRow[];
  reached: Reached | null;
}

export const nothingWritten = (): Written => ({
  found: new Map(),
  gone: new Map(),
  events: [],
  foreign: [],
  reached: null,
});

interface Group {
  target: Target;
  events: FeedEvent[];
  /** Of the newest second; several cannot be told apart. */
  newest: { event: FeedEvent; target: Target }[];
}

/** Counts for people. */
export interface ApplyCounts {
  events: number;
  snapshots: number;
  reads: number;
  deletes: number;
}

/**
 * Applies events to the copy, each once. What the event itself can prove is written at once; whatever it cannot (several
 * changes in one second, another version, a thin event, a cut list, a field that events never expand) is read from the API,
 * objects with several events once. An event counts as applied with the transaction that writes the last of what it brought.
 */
export class Applier {
  readonly counts: ApplyCounts = { events: 0, snapshots: 0, reads: 0, deletes: 0 };
  private readonly deps: Deps;
  private readonly claim: Claim;
  private readonly opened: OpenStripe;
  private readonly chosen: ReadonlySet<string>;
  private readonly account: string | null;
  private readonly reads: Reads;
  private readonly signal: AbortSignal;
  /** Events that are being applied. */
  private readonly open = new Map<string, Promise<void>>();

  /** @param account whose events are applied; see foreign.ts */
  constructor(deps: Deps, claim: Claim, opened: OpenStripe, account: string | null, aside: Aside, signal: AbortSignal) {
    this.deps = deps;
    this.claim = claim;
    this.opened = opened;
    this.account = account;
    this.signal = signal;
    this.chosen = new Set(chosenResources(opened.options).map(({ key }) => key));
    // Read whole again within the hour, or parked until the right is there.
    const forbidden = (resource: string) => uncover(deps.pool, claim.connection, resource);
    this.reads = new Reads(opened, signal, (written) => this.write(written), forbidden, this.counts, aside);
  }

  /**
   * Returns when everything that needs no reading is written.
   * @param reached written with it when nothing is left to read
   * @returns `whole` resolves when all of it is written; `moved`: the watermarks were
   */
  async apply(
    events: readonly FeedEvent[],
    readMs: number,
    reached: Reached | null,
  ): Promise<{ whole: Promise<void>; moved: boolean }> {
    const all = await this.freshOf(events);
    const foreign = foreignOf(all, this.account);
    const fresh = all.filter((one) => !foreign.includes(one));
    const others = events.flatMap(({ id }) => this.open.get(id) ?? []);
    const groups = this.group(fresh);
    const written = nothingWritten();
    const wanted: Wanted[] = [];
    const waiting = new Map<string, number>();
    await this.judge(groups, readMs, written, wanted);
    if (upcomingChosen(this.opened.options))
      wanted.push(...(await previewsOf(this.deps.pool, this.claim.connection, fresh)));
    for (const { events: of } of wanted) for (const { id } of of) waiting.set(id, (waiting.get(id) ?? 0) + 1);
    written.events = [...fresh.filter(({ id }) => !waiting.has(id)), ...foreign.map(unanswering)];
    written.foreign = foreignRejects(foreign);
    if (wanted.length === 0 && others.length === 0) written.reached = reached;
    this.counts.events += fresh.length;
    await this.write(written);
    const moved = written.reached !== null;
    if (wanted.length === 0) return { whole: Promise.all(others).then(() => undefined), moved };
    const reading = this.reads.want(wanted);
    for (const { id } of fresh) if (waiting.has(id)) this.open.set(id, reading);
    const whole = Promise.all([reading, ...others]).then(() => undefined);
    void reading.then(
      () => this.forget(fresh),
      () => this.forget(fresh),
    );
    // Who does not wait for it is told by the next one who does.
    whole.catch(() => undefined);
    return { whole, moved };
  }

  /** Tries what stands aside and is due. */
  retry(): void {
    this.reads.retry();
  }

  /** Ends the reads that nobody waits for. */
  stop(): void {
    this.reads.stop();
  }

  private forget(events: readonly FeedEvent[]): void {
    for (const { id } of events) this.open.delete(id);
  }

  private async freshOf(events: readonly FeedEvent[]): Promise<FeedEvent[]> {
    const unknown = events.filter(({ id }) => !this.open.has(id));
    const left = await unappliedEvents(
      this.deps.pool,
      this.claim.connection,
      unknown.map(({ id }) => id),
    );
    // One id twice in a reading counts once.
    return [...new Map(unknown.filter(({ id }) => left.has(id)).map((one) => [one.id, one])).values()];
  }

  private group(events: readonly FeedEvent[]): Map<string, Group> {
    const groups = new Map<string, Group>();
    for (const event of events)
      for (const target of targetsOf(event, this.opened, this.chosen)) {
        const key = `${target.resource.key} ${target.id}`;
        const group = groups.get(key) ?? { target, events: [], newest: [] };
        groups.set(key, group);
        group.events.push(event);
        const [newest] = group.newest;
        if (!newest || event.createdMs > newest.event.createdMs) group.newest = [{ event, target }];
        else if (event.createdMs === newest.event.createdMs) group.newest.push({ event, target });
      }
    return groups;
  }

  /** Sorts groups into what is written and what must be read. */
  private async judge(groups: Map<string, Group>, readMs: number, written: Written, wanted: Wanted[]): Promise<void> {
    const byResource = new Map<string, Group[]>();
    for (const group of groups.values()) {
      const { key } = group.target.resource;
      byResource.set(key, [...(byResource.get(key) ?? []), group]);
    }
    for (const [key, all] of byResource) {
      const resource = (all[0] as Group).target.resource;
      const ids = all.map(({ target }) => target.id);
      const standings = await standingsOf(this.deps.pool, tableOf(resource), this.claim.connection, ids);
      const found = noRows(resource);
      for (const group of all) {
        const { target, events, newest } = group;
        const standing = standings.get(target.id);
        const verdict = judgeEvent((newest[0] as (typeof newest)[0]).event.createdMs, standing?.timeMs ?? null);
        const becauseMs = (newest[0] as (typeof newest)[0]).event.createdMs;
        const only = newest.length === 1 ? (newest[0] as (typeof newest)[0]).target : null;
        if (verdict === 'stale') continue;
        if (only?.gone) {
          written.gone.set(key, [
            ...(written.gone.get(key) ?? []),
            { id: target.id, timeMs: deletionTime(becauseMs), readMs },
          ]);
          this.counts.deletes += 1;
        } else if (only?.snapshot && verdict === 'apply' && !this.reads.has(resource, target.id)) {
          await this.take(found, only, becauseMs, readMs);
          this.counts.snapshots += 1;
        } else {
          const ended = standing?.deleted === true || newest.some((one) => one.target.gone);
          wanted.push({ resource, id: target.id, becauseMs, later: ended, events });
        }
      }
      if (found.rows.length + found.faults.length > 0) written.found.set(key, found);
    }
  }

  private async take(found: ObjectRows, { resource, snapshot }: Target, timeMs: number, readMs: number): Promise<void> {
    const object = snapshot as NonNullable<Target['snapshot']>;
    const origin = { timeMs, readMs, position: `event of ${resource.key}` };
    const made = rowOf(resource, object, origin);
    const one = noRows(resource);
    if ('fault' in made) one.faults.push(made.fault);
    else {
      one.rows.push(made.row);
      one.nested = await readNested(this.opened, resource, [{ object, origin }], this.signal);
    }
    addRows(found, one);
  }

  /** One transaction: rows, deletions, the ledger and the watermarks. */
  private async write({ found, gone, events, foreign, reached }: Written): Promise<void> {
    if (found.size + gone.size + events.length === 0 && reached === null) return;
    const { claim, deps } = this;
    await writeUnderClaim(deps.pool, claim, { name: 'events', durable: false }, async (client) => {
      for (const rows of found.values())
        await writeObjects(client, claim, rows, { generation: 0, touch: true, mayHaveRejects: true });
      for (const [key, burials] of gone) await this.end(client, key, burials);
      await setAside(client, claim, feedStream, foreign);
      await keepEvents(client, claim.connection, events);
      if (reached) await moveFeed(client, claim.connection, reached);
    });
  }

  private async end(client: Client, key: string, burials: readonly Burial[]): Promise<void> {
    const resource = key === upcoming.key ? upcoming : resourceOf(key);
    if (!resource) return;
    await buryObjects(client, this.claim, this.opened, resource, burials);
  }
}
