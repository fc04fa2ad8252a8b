import * as v from 'valibot';
import type { CustomNext, CustomPage } from '../shape.ts';
import {
  dayMs,
  filled,
  flag,
  kind,
  kinds,
  matching,
  method,
  object,
  path,
  rates,
  scalars,
  text,
  timeFormat,
  untaken,
  value,
  values,
  valuesOrLists,
  whole,
  word,
} from './parts.ts';

const apiCall = { api: text, version: v.optional(text), method: v.optional(method), params: valuesOrLists };
const sqlName = matching(/^[^\s"'`;]+$/, 'a name without spaces and quotes');
const zoneWords = 'a time zone such as Asia/Shanghai';
function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
const sqlCall = object({
  dialect: v.optional(word('postgres', 'mysql')),
  zone: v.optional(v.pipe(v.string(zoneWords), v.check(isZone, zoneWords))),
  from: sqlName,
  select: filled(sqlName, 'a list of columns'),
  keyset: v.pipe(v.tupleWithRest([sqlName], sqlName, 'a list of columns'), v.readonly()),
  changed: v.optional(object({ column: sqlName, overlapMs: whole(0, 7 * dayMs) })),
  where: v.optional(values),
  count: v.optional(flag),
});

const size = object({ param: v.optional(text), rows: whole(1, 1_000_000) });
const first = word(0, 1);
const paging = kinds([
  object({ kind: kind('whole') }),
  object({
    kind: kind('cursor'),
    param: text,
    size,
    next: path,
    first: v.optional(v.union([v.string(), v.number()], 'a text or a number')),
    more: v.optional(path),
    sentinel: v.optional(v.string('a text')),
    total: v.optional(path),
    pageParam: v.optional(text),
    livesMs: v.optional(whole(1, dayMs)),
  }),
  object({
    kind: kind('page'),
    param: text,
    first,
    size,
    total: v.optional(path),
    more: v.optional(path),
    order: word('ascending', 'descending', 'unknown', 'fixed'),
    deepest: v.optional(object({ page: v.optional(whole(1, 10_000_000)), rows: v.optional(whole(1, 1_000_000_000)) })),
  }),
  object({
    kind: kind('offset'),
    param: text,
    first,
    size,
    total: v.optional(path),
    more: v.optional(path),
    order: word('unknown', 'fixed'),
  }),
  object({
    kind: kind('link'),
    at: v.union([object({ header: word('link') }), object({ path })], "{ header: 'link' } or { path: a path }"),
    size,
  }),
  object({
    kind: kind('version'),
    param: text,
    path,
    size,
    params: v.optional(values),
    overlapMs: v.optional(whole(0, 86_400_000)),
  }),
  object({ kind: kind('keyset'), size }),
  object({
    kind: kind('export'),
    job: path,
    poll: object({
      ...apiCall,
      param: text,
      everyMs: whole(100, 3_600_000),
      done: object({ path, is: scalars }),
      url: path,
    }),
    format: word('json', 'jsonl', 'csv'),
  }),
  object({
    kind: kind('custom'),
    size,
    step: v.custom<(seen: CustomPage | null) => CustomNext | null>((f) => typeof f === 'function', 'a function'),
  }),
]);

const spanMs = (least: number) => whole(least, 10_000 * dayMs);
const window = object({
  from: text,
  to: text,
  format: timeFormat,
  end: v.optional(word('open', 'closed')),
  capMs: spanMs(1),
  overlapMs: spanMs(0),
  lagMs: spanMs(0),
  floorMs: v.optional(spanMs(1)),
  beginning: v.optional(matching(/^\d{4}-\d{2}-\d{2}$/, 'a day such as 2014-01-01')),
  leastMs: v.optional(spanMs(1)),
  parts: v.optional(whole(2, 1_000)),
  denseRows: v.optional(whole(1, 1_000_000_000)),
  count: v.optional(object({ call: v.optional(object(apiCall)), params: v.optional(values), total: path })),
});
const tree = object({ kind: kind('tree'), root: value, param: text });
const over = kinds([
  object({
    kind: kind('each'),
    stream: text,
    path: v.optional(path),
    param: text,
    batch: whole(1, 10_000),
    also: v.optional(filled(text, 'a list of ids')),
    when: word('changed', 'all'),
    brings: v.optional(word('one', 'several')),
  }),
  tree,
]);
const deletes = kinds([
  object({ kind: kind('sweep') }),
  object({ kind: kind('status'), path, is: scalars }),
  object({ kind: kind('listed'), by: text }),
  object({ kind: kind('none'), why: text }),
]);

/** What every landed row has beside the declared columns (db/streams.ts). */
const rowColumns = [
  'connection_id',
  'id',
  'data',
  'source_time',
  'generation',
  'synced_at',
  'deleted_at',
  'row_version',
];
const columnName = untaken(
  /^[a-z][a-z0-9_]{0,62}$/,
  (name) => rowColumns.includes(name),
  `a name of 1-63 characters a-z, 0-9 and _, beginning with a letter, none of ${rowColumns.join(', ')}`,
);
const column = object({
  path,
  type: word('text', 'bigint', 'numeric', 'boolean', 'timestamptz', 'jsonb', 'bigint[]', 'text[]'),
  format: v.optional(timeFormat),
});

/** `<stream>_snapshots` keeps the rows of full passes. */
export const streamName = untaken(
  /^[a-z][a-z0-9_]{0,49}$/,
  (name) => name.endsWith('_snapshots'),
  'a name of 1-50 characters a-z, 0-9 and _, beginning with a letter, not ending in _snapshots',
);
export const stream = object({
  title: text,
  lacks: v.optional(text),
  call: v.optional(object(apiCall)),
  sql: v.optional(sqlCall),
  rows: path,
  emptyHas: v.optional(path),
  key: v.union([path, filled(path, 'a path or a list of paths')], 'a path or a list of paths'),
  time: v.optional(object({ path, format: timeFormat })),
  paging,
  window: v.optional(window),
  over: v.optional(over),
  instead: v.optional(object({ params: values, over: tree })),
  deletes,
  columns: v.record(columnName, column, 'an object of columns'),
  jsonText: v.optional(filled(path, 'a list of paths')),
  limits: v.optional(rates),
  appLimits: v.optional(rates),
});
