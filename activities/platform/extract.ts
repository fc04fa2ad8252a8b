import type { Column, Stream } from '../../connectors/shape.ts';
import type { LandRow } from '../../db/land.ts';
import { parseJson } from '../http/json.ts';
import { isNoTime, parseTime, valueAt } from '../http/values.ts';
import { joinKey } from './key.ts';

/** A record that cannot be written, and why. The page goes on. */
export interface Faulty {
  /** Source id, or the position where the record has none. */
  id: string;
  /** False: nobody can tell who it is, so the pass proves nothing about who is missing. */
  keyed: boolean;
  reason: 'missing_field' | 'wrong_type' | 'too_long' | 'control_character' | 'refused' | 'unread' | 'left_out';
  field: string;
  record: string;
  position: string;
}

export type Extracted = { row: LandRow } | { fault: Faulty };

const dayMs = 86_400_000;
/** Longest id we keep, characters; an index entry holds 2,700 bytes. */
const idLength = 500;

/** Where a record came from: what a row keeps and a reject tells. */
export interface Origin {
  /** When the request began, ms. */
  readMs: number;
  /** E.g. `page 3 row 17`. */
  position: string;
  /** The id that the call was made for (streams with `over`). */
  over?: string;
}

/** What is asked of a stream for each of its records. */
interface Prepared {
  columns: readonly (readonly [name: string, column: Column])[];
  key: readonly string[];
}

const prepared = new WeakMap<Stream, Prepared>();

function prepare(stream: Stream): Prepared {
  let parts = prepared.get(stream);
  if (!parts) {
    parts = { columns: Object.entries(stream.columns), key: [stream.key].flat() };
    prepared.set(stream, parts);
  }
  return parts;
}

/** Makes a row of a record, or says what is wrong with it. Pure. */
export function extract(stream: Stream, record: unknown, origin: Origin): Extracted {
  const { columns: declared, key: paths } = prepare(stream);
  const opened = openTexts(stream, record);
  const data = JSON.stringify(opened) ?? 'null';
  const key = keyOf(paths, opened, origin.over);
  const bad = (reason: Faulty['reason'], field: string): Extracted => ({
    fault: {
      id: key !== null && key.length <= idLength && !unstorable(JSON.stringify(key)) ? key : origin.position,
      keyed: key !== null,
      reason,
      field,
      record: data,
      position: origin.position,
    },
  });
  if (key === null) return bad('missing_field', paths.join('/'));
  if (key.length > idLength) return bad('too_long', paths.join('/'));
  if (unstorable(data)) return bad('control_character', 'data');
  const columns: unknown[] = [];
  for (const [name, column] of declared) {
    const value = typed(column, valueAt(opened, column.path));
    if (value === undefined) return bad('wrong_type', name);
    columns.push(value);
  }
  let timeMs: number | null = null;
  if (stream.time) {
    const told = valueAt(opened, stream.time.path);
    timeMs = parseTime(told, stream.time.format);
    if (timeMs === null && !isNoTime(told)) return bad('wrong_type', stream.time.path);
  }
  // A clock that is a day ahead is not believed: the row would resist every correction until that day.
  if (timeMs !== null && timeMs > origin.readMs + dayMs) timeMs = null;
  return { row: { id: key, data, timeMs, readMs: origin.readMs, gone: isGone(stream, opened), columns } };
}

/** Values of the typed columns of a stored record, for filling a new one; null where the record does not fit. */
export function columnValues(stream: Stream, names: readonly string[], data: unknown): unknown[] {
  return names.map((name) => {
    const column = stream.columns[name];
    return column ? (typed(column, valueAt(data, column.path)) ?? null) : null;
  });
}

/** Key of a record; null where it has none. */
export const keyIn = (stream: Stream, record: unknown, over: string | undefined): string | null =>
  keyOf(prepare(stream).key, openTexts(stream, record), over);

function keyOf(paths: readonly string[], record: unknown, over: string | undefined): string | null {
  const parts: string[] = [];
  for (const path of paths) {
    const value = path === '$over' ? over : path === '' ? record : valueAt(record, path);
    if (value === undefined || value === null || value === '' || typeof value === 'object') return null;
    parts.push(String(value));
  }
  return joinKey(parts);
}

function openTexts(stream: Stream, record: unknown): unknown {
  if (!stream.jsonText || typeof record !== 'object' || record === null) return record;
  const copy: Record<string, unknown> = { ...(record as Record<string, unknown>) };
  for (const path of stream.jsonText) {
    const text = copy[path];
    if (typeof text !== 'string') continue;
    try {
      copy[path] = parseJson(text);
    } catch {
      // Not JSON after all: the text itself is kept.
    }
  }
  return copy;
}

/** What jsonb refuses: U+0000 and half a surrogate pair. JSON.stringify writes both as escapes. */
export function unstorable(json: string): boolean {
  return (
    (json.includes('\\u0000') && /(?<!\\)(?:\\\\)*\\u0000/.test(json)) ||
    (json.includes('\\ud') && /(?<!\\)(?:\\\\)*\\ud[89a-f]/.test(json))
  );
}

const integer = /^[+-]?\d{1,19}$/;
const decimal = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?$/;
const flags: Record<string, boolean> = { true: true, false: false, '1': true, '0': false };
const largest = 2n ** 63n;
const isBigint = (value: bigint) => value < largest && value >= -largest;

/** The value as Postgres takes it; null where there is none; undefined where it does not fit. Empty text is none, but in text columns, and so is an empty date in those of moments. */
export function typed(column: Pick<Column, 'type' | 'format'>, value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (column.type === 'jsonb') return value;
  if (column.type === 'bigint[]' || column.type === 'text[]') return listed(column.type, value);
  if (typeof value === 'object') return undefined;
  const text = String(value);
  if (column.type === 'text') return text;
  if (text.trim() === '') return null;
  switch (column.type) {
    case 'bigint':
      return integer.test(text) && (text.length < 19 || isBigint(BigInt(text))) ? text : undefined;
    case 'numeric':
      return decimal.test(text) ? text : undefined;
    case 'boolean':
      return flags[text.toLowerCase()];
    case 'timestamptz': {
      if (isNoTime(value)) return null;
      const ms = parseTime(value, column.format ?? 'iso');
      return ms === null ? undefined : new Date(ms).toISOString();
    }
  }
}

/** A list as Postgres writes arrays; null for an empty one, undefined for what is no list of words and numbers. */
function listed(type: 'bigint[]' | 'text[]', value: unknown): string | null | undefined {
  const parts = partsOf(value);
  if (parts === undefined) return undefined;
  const isNumber = (part: string) => integer.test(part) && BigInt(part) < largest && BigInt(part) >= -largest;
  const wanted = [...new Set(parts.filter((part) => isNumber(part) === (type === 'bigint[]')))];
  if (wanted.length === 0) return null;
  if (type === 'bigint[]') return `{${wanted.map((part) => BigInt(part)).join(',')}}`;
  return `{${wanted.map((part) => `"${part.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}

function partsOf(value: unknown): string[] | undefined {
  if (Array.isArray(value)) {
    const flat = value.every((one) => typeof one !== 'object');
    return flat ? value.map((one) => String(one).trim()).filter((one) => one !== '') : undefined;
  }
  if (typeof value === 'number' || typeof value === 'bigint') return [String(value)];
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  if (!text.startsWith('['))
    return text
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '');
  try {
    return partsOf(parseJson(text));
  } catch {
    return undefined;
  }
}

function isGone(stream: Stream, record: unknown): boolean {
  const { deletes } = stream;
  if (deletes.kind !== 'status') return false;
  const value = valueAt(record, deletes.path);
  return deletes.is.some((one) => String(one) === String(value));
}
