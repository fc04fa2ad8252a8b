import type { BudgetView, ScopeState } from '../../../db/budget.ts';

/** Requests of one worker that wait for the same permits. */
export interface Want {
  worker: string;
  connection: string;
  /** Narrowest scope: the connection's or its endpoint's. */
  scope: string;
  live: boolean;
  waiting: number;
  /** Permits wanted for soon, taken only from what nobody waits for. */
  ahead: number;
}

export interface Share {
  /** Permits for requests that wait. */
  granted: number;
  /** Permits for soon. */
  ahead: number;
  /** How long the others still wait, first to last, ms: an estimate. */
  waitMs: number[];
}

export interface Ready {
  want: Want;
  turn: number;
}

interface Held {
  want: Want;
  /** Requests of the same connection before it. */
  place: number;
  waitMs: number;
}

export interface Room {
  tokens: number;
  bulk: number;
}

export function fits(room: Room, live: boolean): boolean {
  return room.tokens >= 1 && (live || room.bulk >= 1);
}

export function take(room: Room, live: boolean, count = 1): void {
  room.tokens -= count;
  if (!live) room.bulk -= count;
}

export function msFor(requests: number, perSecond: number): number {
  return requests > 0 ? (requests / perSecond) * 1000 : 0;
}

export const noLimit: ScopeState = {
  tokens: Number.POSITIVE_INFINITY,
  bulkTokens: Number.POSITIVE_INFINITY,
  perSecond: Number.POSITIVE_INFINITY,
  burst: Number.POSITIVE_INFINITY,
  blockedMs: 0,
  served: 0,
};

/** A scope while its permits are dealt out. */
export interface LevelRoom {
  scope: string;
  state: ScopeState;
  room: Room;
  /** Requests that find no permit here. */
  held: number;
}

/** APIs whose limit is one for all connections, by their scope; made as they are asked for. */
export class SharedApis {
  private readonly rooms = new Map<string, LevelRoom | undefined>();
  private readonly view: BudgetView;

  constructor(view: BudgetView) {
    this.view = view;
  }

  /** The API that a want counts at; undefined where it has no limit of its own. */
  of({ scope }: Want): LevelRoom | undefined {
    const slash = scope.indexOf('/');
    if (slash < 0) return undefined;
    const name = scope.slice(slash);
    if (!this.rooms.has(name)) this.rooms.set(name, this.view.scopes.has(name) ? levelOf(this.view, name) : undefined);
    return this.rooms.get(name);
  }
}

/** What waits for one connection, in the order in which it leaves. */
export class Line {
  /** Within the limits of connection and endpoint. */
  readonly ready: Ready[] = [];
  readonly held: Held[] = [];
  readonly length: number;
  private readonly levels = new Map<string, readonly LevelRoom[]>();
  private readonly wants: readonly Want[];
  private readonly apis: SharedApis;

  constructor(connection: string, wants: readonly Want[], view: BudgetView, apis: SharedApis, from: number) {
    this.wants = wants;
    this.apis = apis;
    const own = levelOf(view, connection);
    for (const { scope } of wants)
      if (!this.levels.has(scope)) this.levels.set(scope, scope === connection ? [own] : [own, levelOf(view, scope)]);
    const { served } = own.state;
    const first = Math.max(served, from);
    let place = 0;
    for (const want of lineUp(wants, served)) {
      const levels = this.levels.get(want.scope)!;
      // What an API that is used up keeps back must not take the connection's permits from its other APIs.
      const all = [...levels, apis.of(want) ?? []].flat();
      if (all.every(({ room }) => fits(room, want.live))) {
        for (const { room } of levels) take(room, want.live);
        this.ready.push({ want, turn: first + this.ready.length });
      } else this.held.push({ want, place, waitMs: hold(all, want.live) });
      place++;
    }
    this.length = place;
  }

  /** Gives the worker's own wants what is left beyond `keep` tokens of the platform. */
  leaseAhead(of: Map<Want, Share>, platform: Room, keep: number): void {
    for (const want of this.wants) {
      const mine = want.ahead > 0 && of.get(want);
      if (!mine) continue;
      const api = this.apis.of(want);
      const own = this.levels.get(want.scope)!.map((level) => level.room);
      const rooms = api ? [...own, api.room] : own;
      const left = [platform.tokens - (Number.isFinite(keep) ? keep : 0), ...own.map((r) => r.tokens)];
      if (api) left.push(api.room.tokens - (Number.isFinite(api.state.burst) ? api.state.burst / 2 : 0));
      if (!want.live) left.push(platform.bulk, ...rooms.map((r) => r.bulk));
      const count = Math.max(0, Math.min(want.ahead, Math.floor(Math.min(...left))));
      for (const room of [platform, ...rooms]) take(room, want.live, count);
      mine.ahead = count;
    }
  }
}

function levelOf(view: BudgetView, scope: string): LevelRoom {
  const state = view.scopes.get(scope) ?? noLimit;
  const open = state.blockedMs === 0;
  return { scope, state, room: { tokens: open ? state.tokens : 0, bulk: open ? state.bulkTokens : 0 }, held: 0 };
}

/** Counts a request that finds no permit; how long it waits for one, ms. */
export function hold(levels: readonly LevelRoom[], live: boolean): number {
  let waitMs = 0;
  for (const level of levels) {
    const { state, room, held } = level;
    const have = live ? room.tokens : Math.min(room.tokens, room.bulk);
    waitMs = Math.max(waitMs, state.blockedMs, msFor(1 + held - have, state.perSecond));
    level.held++;
  }
  return waitMs;
}

/** Live before bulk; inside a lane one after the other, and another one begins each turn. */
function lineUp(wants: readonly Want[], served: number): Want[] {
  const line: Want[] = [];
  for (const live of [true, false]) {
    const lane = wants.filter((want) => want.live === live && want.waiting > 0);
    if (lane.length > 1) lane.sort((a, b) => (a.worker + a.scope < b.worker + b.scope ? -1 : 1));
    for (let round = 0, more = lane.length > 0; more; round++) {
      more = false;
      for (let i = 0; i < lane.length; i++) {
        const want = lane[(i + Math.floor(served)) % lane.length]!;
        if (round < want.waiting) line.push(want);
        more ||= round + 1 < want.waiting;
      }
    }
  }
  return line;
}
