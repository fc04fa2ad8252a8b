import * as v from 'valibot';

const name = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'a name of 1-64 characters a-z, 0-9, - and _'));
const stream = v.pipe(v.string(), v.regex(/^[a-z0-9_]{1,63}$/, 'a stream as `npx syncline connectors` lists them'));
const moment = v.pipe(
  v.string(),
  v.regex(/^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2}))?$/, 'a moment such as 2026-11-01T00:00:00Z'),
);

/** What a person types to start platformSync: `{"connection":"shop"}`. */
export const platformSyncInput = v.strictObject({
  /** Name of the connection, as made by `syncline connect`. */
  connection: name,
  /** Streams to read. Default: those of the connection's option `streams`, else all of the connector. */
  streams: v.optional(v.pipe(v.array(stream), v.minLength(1))),
  /** `full` reads everything again and marks what is gone; default: the rest of a full pass that was cut off; full the first time and where a stream has no other way; else incremental. */
  mode: v.optional(v.picklist(['full', 'incremental'])),
  /** `accept`: a person has looked at a withheld deletion; the guard is not asked in this run. Doubts still are. Default `ask`. */
  deletions: v.optional(v.picklist(['ask', 'accept']), 'ask'),
});

/** One stream of a run; platformSync starts it as a child, a person may start it too. */
export const streamSyncInput = v.strictObject({ ...v.omit(platformSyncInput, ['streams']).entries, stream });

/** What a person types to read a range again: `{"connection":"shop","stream":"orders","from":"2026-11-01","to":"2026-11-02"}`. */
export const replayWindowInput = v.pipe(
  v.strictObject({
    connection: name,
    stream,
    /** First moment, included; a day is its midnight in UTC. A stream without a window is read whole. */
    from: v.optional(moment),
    /** Last moment, not included. One within a second (or what the stream's window counts by) has that second read whole. */
    to: v.optional(moment),
    /** Instead of a range: tries the records that stand aside again, as they came; no call to the source. */
    rejects: v.optional(v.literal(true)),
  }),
  v.check(
    ({ from, to, rejects }) => (from !== undefined && to !== undefined) !== (rejects === true),
    'either from and to, or "rejects": true',
  ),
);

export type PlatformSyncInput = v.InferOutput<typeof platformSyncInput>;
export type StreamSyncInput = v.InferOutput<typeof streamSyncInput>;
export type ReplayWindowInput = v.InferOutput<typeof replayWindowInput>;
