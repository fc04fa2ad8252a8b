import type { Api, ApiWindow, Clock } from './fixture.ts';
import { Refusal } from './refusal.ts';
import { moment } from './values.ts';

/** A window as asked for: records from `from` up to `to` (ms), both counted in. */
export interface Asked {
  clock: Clock;
  from: number;
  to: number;
}

const stepMs = { ms: 1, iso: 1, s: 1000, local: 1000, day: 86_400_000 };

/** Reads and checks the time window of a call; null: it has none. @throws Refusal window, backward, old, missing, invalid */
export function readWindow(api: Api, params: Record<string, unknown>, now: number): Asked | null {
  const given = api.windows?.find((window) => isGiven(params[window.from]) || isGiven(params[window.to]));
  if (!given) {
    if (api.windowNeeded) throw new Refusal('missing', api.windows?.[0]?.from);
    return null;
  }
  if (!isGiven(params[given.from]) || !isGiven(params[given.to])) {
    if (given.single === 'ignored') return null;
    throw new Refusal('missing', isGiven(params[given.from]) ? given.to : given.from);
  }
  const from = read(given, given.from, params);
  const to = read(given, given.to, params);
  if (to < from) throw new Refusal('backward', given.to);
  if (to - from > given.capMs) throw new Refusal('window', given.from);
  // A window cut at the edge of the history must not fail for the second its call took.
  if (given.keepMs !== undefined && from < now - given.keepMs - 60_000) throw new Refusal('old', given.from);
  const clock = typeof given.clock === 'function' ? given.clock(params) : given.clock;
  return { clock, from, to: given.end === 'closed' ? to + stepMs[given.format] - 1 : to - 1 };
}

function read(window: ApiWindow, name: string, params: Record<string, unknown>): number {
  const ms = moment(params[name], window.format);
  if (Number.isNaN(ms)) throw new Refusal('invalid', name);
  return ms;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}
