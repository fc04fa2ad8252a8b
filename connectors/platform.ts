import * as v from 'valibot';
import type { Connector } from './shape.ts';

const whole = (fallback: number, least: number, most: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most)), fallback);
const percent = (fallback: number) => v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(100)), fallback);

/** Options of every connection to an open platform, besides the settings its connector names. */
export const platformOptions = {
  /** Streams to read; default: all of the connector. */
  streams: v.optional(v.array(v.string())),
  /** Oldest moment of a first reading, e.g. `2026-01-01`; default: as far back as the platform serves, of goods, stock and customers all, else 90 days. */
  since: v.optional(v.pipe(v.string(), v.isoDate('a day such as 2026-01-01'))),
  /** Parts of one stream read side by side, 1-32. Each holds one of the workers' slots (`SYNCLINE_ACTIVITY_SLOTS`) until it answers: of a slow platform keep all streams together below them. Default 8. */
  parallel: whole(8, 1, 32),
  /** Requests a second of this connection, where the platform granted other than its usual limit. */
  requestsPerSecond: v.optional(v.pipe(v.number(), v.minValue(0.01), v.maxValue(10_000))),
  /** Requests a second that the app of this connection was granted for each API, where not the usual limit; the same for all its connections. */
  apiRequestsPerSecond: v.optional(v.pipe(v.number(), v.minValue(0.01), v.maxValue(10_000))),
  /** Parts a window with too many rows is split into, 2-100. Default: the stream's. */
  splitParts: v.optional(v.pipe(v.number(), v.integer(), v.minValue(2), v.maxValue(100))),
  /** Shortest part in seconds. Default: the stream's. */
  splitLeastSeconds: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(86_400))),
  /** Keeps the rows of each full pass readable under its generation in `<stream>_snapshots`. Default false. */
  snapshot: v.optional(v.boolean(), false),
  /** Generations kept, 1-365, and beside them the last one that was proven whole. Default 7. */
  snapshotKeep: whole(7, 1, 365),
  /** Most rows a full pass may mark deleted without being asked: the smaller of count and share (Entra Connect, Okta). */
  guard: v.optional(
    v.strictObject({
      /** By count. Default 500. */
      count: whole(500, 0, 100_000_000),
      /** In percent of the living rows. Default 20. */
      percent: percent(20),
      /** Below 100 living rows: by count. Default 20. */
      smallCount: whole(20, 0, 100_000_000),
      /** Below 100 living rows: in percent. Default 50. */
      smallPercent: percent(50),
    }),
    {},
  ),
};

/** Schema of a connection's options: the shared ones and the connector's own settings that are no secrets. */
export function optionsSchema(connector: Connector) {
  const own = Object.entries(connector.settings).flatMap(([name, { secret, default: fallback }]) =>
    secret ? [] : [[name, fallback === undefined ? v.string() : v.optional(v.string(), fallback)] as const],
  );
  return v.strictObject({ ...Object.fromEntries(own), ...platformOptions });
}

export type PlatformOptions = v.InferOutput<v.StrictObjectSchema<typeof platformOptions, undefined>>;
