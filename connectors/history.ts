import type { Stream, TimeFormat, Window } from './shape.ts';

const dayMs = 86_400_000;
/** How far back a first reading goes where neither platform, connector nor connection says it. */
export const usualMs = 90 * dayMs;

/** Smallest step of a format: bounds are rounded to it, so that no row is between two windows. */
export const stepMs = ({ format }: { format: TimeFormat }) =>
  ({ ms: 1, iso: 1, s: 1_000, local: 1_000, day: dayMs })[format];

/** What decides how far back a first reading goes; `beginning`: nothing is left out. */
export type HistoryEnd = 'platform' | 'since' | 'usual' | 'beginning';

/** Oldest moment of a first reading. @param since the connection's option */
export function historyOf(window: Window, since: number | null, nowMs: number): { fromMs: number; by: HistoryEnd } {
  if (window.floorMs !== undefined) {
    const served = nowMs - window.floorMs + stepMs(window);
    return since !== null && since > served ? { fromMs: since, by: 'since' } : { fromMs: served, by: 'platform' };
  }
  const beginning = window.beginning === undefined ? null : Date.parse(window.beginning);
  if (since !== null) return { fromMs: since, by: beginning !== null && since <= beginning ? 'beginning' : 'since' };
  return beginning === null ? { fromMs: nowMs - usualMs, by: 'usual' } : { fromMs: beginning, by: 'beginning' };
}

/** From when on a stream was read, where older rows were left out. */
export interface Cut {
  /** ISO moment. */
  from: string;
  by: Exclude<HistoryEnd, 'beginning'>;
}

/**
 * Where the history of a stream is cut; null where it is whole, or nothing was read yet. What is read for each row of
 * another stream has no older rows than that.
 * @param coveredFrom where the coverage of a stream begins, ms
 */
export function cutOf(
  streams: Readonly<Record<string, Stream>>,
  name: string,
  options: { since?: unknown },
  coveredFrom: (stream: string) => number | null | undefined,
): Cut | null {
  const stream = streams[name];
  if (stream?.over?.kind === 'each') return cutOf(streams, stream.over.stream, options, coveredFrom);
  const fromMs = coveredFrom(name);
  if (!stream?.window || typeof fromMs !== 'number') return null;
  const { by } = historyOf(stream.window, sinceOf(options), Date.now());
  return by === 'beginning' ? null : { from: new Date(fromMs).toISOString(), by };
}

/** The option `since`, ms; null where it is not given. */
export function sinceOf({ since }: { since?: unknown }): number | null {
  return typeof since === 'string' ? Date.parse(since) : null;
}

const why: Record<Cut['by'], string> = {
  platform: 'as far back as the platform serves',
  since: 'option since',
  usual: 'option since; 90 days unless it is given',
};

/** `since 2026-08-31 (option since)`. */
export function cutWords({ from, by }: Cut): string {
  return `since ${from.slice(0, 10)} (${why[by]})`;
}

/** A line for all streams that are cut at the same day, for the same reason. */
export function cutLines(cuts: readonly { stream: string; cut: Cut | null }[]): string[] {
  const groups = new Map<string, string[]>();
  for (const { stream, cut } of cuts) {
    if (cut === null) continue;
    const words = cutWords(cut);
    groups.set(words, [...(groups.get(words) ?? []), stream]);
  }
  return [...groups].map(([words, names]) => `Older rows are left out: ${names.join(', ')} ${words}`);
}

/** The same before anything was read: where a first reading now would be cut by what the connection says, or does not say. */
export function cutAhead(
  streams: Readonly<Record<string, Stream>>,
  name: string,
  options: { since?: unknown },
): Cut | null {
  const first = (one: string) => {
    const window = streams[one]?.window;
    return window && historyOf(window, sinceOf(options), Date.now()).fromMs;
  };
  const cut = cutOf(streams, name, options, first);
  return cut?.by === 'platform' ? null : cut;
}
