import type { BudgetView } from '../../../db/budget.ts';
import {
  fits,
  hold,
  type LevelRoom,
  Line,
  msFor,
  noLimit,
  type Ready,
  type Share,
  SharedApis,
  take,
  type Want,
} from './line.ts';

export interface Shares {
  of: Map<Want, Share>;
  /** The platform as a whole has less than what is wanted. */
  short: boolean;
  /** Turn of the last permit that was granted. */
  turn: number;
  /** Turn from which a connection that was away goes on. */
  from: number;
  /** The same for each API whose limit is one for all connections, by its scope: turns are counted there too. */
  apis: Map<string, Turns>;
}

export type Turns = Pick<Shares, 'turn' | 'from'>;

/** Turns that a connection may be behind the others: who was away gets this many permits first, and no more. */
const credit = 4;

/**
 * Who gets the permits there are: of all requests that wait in all workers, the one whose connection had the fewest turns
 * goes first (start-time fair queueing). So each connection gets the same, what one cannot use (its own limit, too little
 * work) goes to the others, and a hundred requests of one connection delay nobody. Live requests go before bulk ones of
 * their connection and may take what is reserved for them. Every worker computes the same from what it reads and takes
 * only its own part.
 */
export function share(view: BudgetView, wants: readonly Want[], worker: string): Shares {
  const platform = view.scopes.get('') ?? noLimit;
  const from = platform.served - credit;
  const apis = new SharedApis(view);
  const lines = [...linesOf(wants)].map(([connection, list]) => new Line(connection, list, view, apis, from));
  const room = { tokens: platform.blockedMs > 0 ? 0 : platform.tokens, bulk: platform.bulkTokens };
  const of = new Map<Want, Share>();
  for (const want of wants) if (want.worker === worker) of.set(want, { granted: 0, ahead: 0, waitMs: [] });
  const through = dealApis(
    lines.flatMap((line) => line.ready),
    apis,
    view,
    of,
  );
  const ready = [...through.keys()];
  ready.sort((a, b) => a.turn - b.turn || (a.want.connection < b.want.connection ? -1 : 1));
  const behind = rankOf(lines);
  const late = (place: number) =>
    Math.max(platform.blockedMs, msFor(behind(place) - Math.max(0, platform.tokens), platform.perSecond));
  let short = platform.blockedMs > 0;
  let turn = 0;
  const ofApis: Shares['apis'] = new Map();
  let before = 0;
  for (const one of ready) {
    const { live } = one.want;
    const mine = of.get(one.want);
    const fit = fits(room, live);
    if (fit) take(room, live);
    else before++;
    short ||= !fit;
    if (!mine) continue;
    if (!fit) mine.waitMs.push(Math.max(platform.blockedMs, msFor(before, platform.perSecond)));
    else {
      mine.granted++;
      turn = Math.max(turn, one.turn);
      const api = apis.of(one.want);
      if (api) keepTurn(ofApis, api, through.get(one) ?? 0);
    }
  }
  for (const line of lines)
    for (const { want, place, waitMs } of line.held)
      of.get(want)?.waitMs.push(short ? Math.max(waitMs, late(place)) : waitMs);
  if (!short) for (const line of lines) line.leaseAhead(of, room, platform.burst / 2);
  return { of, short, turn, from, apis: ofApis };
}

/**
 * Gives the permits of each shared API to the connections whose turn it is at that API, and sends the others away with the
 * time they wait. @returns the requests that may go on, with their turn there
 */
function dealApis(
  ready: readonly Ready[],
  apis: SharedApis,
  view: BudgetView,
  of: Map<Want, Share>,
): Map<Ready, number> {
  const through = new Map<Ready, number>();
  const queues = new Map<LevelRoom, [Ready, number][]>();
  const places = new Map<string, number>();
  for (const one of ready) {
    const api = apis.of(one.want);
    if (!api) {
      through.set(one, 0);
      continue;
    }
    const { scope } = one.want;
    const place = places.get(scope) ?? 0;
    places.set(scope, place + 1);
    const first = Math.max(view.scopes.get(scope)?.served ?? 0, api.state.served - credit);
    const queue = queues.get(api) ?? [];
    queues.set(api, queue);
    queue.push([one, first + place]);
  }
  for (const [api, queue] of queues) {
    queue.sort(([a, x], [b, y]) => x - y || (a.want.connection < b.want.connection ? -1 : 1));
    for (const [one, turn] of queue) {
      const { want } = one;
      if (fits(api.room, want.live)) {
        take(api.room, want.live);
        through.set(one, turn);
      } else of.get(want)?.waitMs.push(hold([api], want.live));
    }
  }
  return through;
}

function keepTurn(turns: Shares['apis'], { scope, state }: LevelRoom, turn: number): void {
  turns.set(scope, { turn: Math.max(turns.get(scope)?.turn ?? 0, turn), from: state.served - credit });
}

function linesOf(wants: readonly Want[]): Map<string, Want[]> {
  const lines = new Map<string, Want[]>();
  for (const want of wants) {
    const line = lines.get(want.connection);
    if (line) line.push(want);
    else lines.set(want.connection, [want]);
  }
  return lines;
}

/** How many requests of all connections leave before and with the one at a place of its connection. */
function rankOf(lines: readonly Line[]): (place: number) => number {
  const ranks: number[] = [];
  for (const line of lines) for (let place = 0; place < line.length; place++) ranks[place] = (ranks[place] ?? 0) + 1;
  for (let place = 1; place < ranks.length; place++) ranks[place]! += ranks[place - 1]!;
  return (place) => ranks[place] ?? 0;
}
