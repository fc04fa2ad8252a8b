import { randomInt } from 'node:crypto';
import type { Path, TimeFormat, Value } from '../../connectors/shape.ts';
import { SyncError } from '../errors.ts';

/** What a value of a request may stand for, at the moment of the call. */
export interface ValueContext {
  /** Options of the connection, defaults filled in. */
  options: Readonly<Record<string, unknown>>;
  /** Fields of the credential. */
  secrets: Readonly<Record<string, string>>;
  /** Milliseconds since 1970. */
  nowMs: number;
  /** The API that is called; absent in calls for a token. */
  api?: { name: string; version?: string };
  token?: { access?: string; refresh?: string };
}

export type Scalar = string | number | boolean;

const beijingMs = 8 * 3600 * 1000;
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/**
 * What stands at `path`: keys (or indexes of lists) separated by dots, '' is the object itself; undefined where nothing is.
 * @example valueAt({ data: { items: [{ id: 7 }] } }, 'data.items.0.id') // 7
 */
export function valueAt(object: unknown, path: Path): unknown {
  if (path === '') return object;
  let value = object;
  for (const key of keysOf(path)) {
    // Only what the source sent: an inherited name (`constructor`) is not there, nor is a list's length.
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    if (Array.isArray(value) && !/^\d+$/.test(key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

/** Paths come from connectors: a few dozen, asked for ten times a row. */
const known = new Map<Path, readonly string[]>();

function keysOf(path: Path): readonly string[] {
  let keys = known.get(path);
  if (!keys) {
    keys = path.split('.');
    known.set(path, keys);
  }
  return keys;
}

/**
 * The value that is sent; undefined (nothing is sent) where the context has none: a missing version or token.
 * @throws SyncError InvalidInput for an option or a credential field that the connection lacks
 */
export function resolveValue(value: Value, context: ValueContext): Scalar | undefined {
  if (typeof value !== 'object') return value;
  if ('option' in value) return optionOf(context, value.option);
  if ('secret' in value) return secretOf(context, value.secret);
  if ('now' in value) return formatTime(context.nowMs, value.now);
  if ('random' in value) return randomText(value.random);
  if ('api' in value) return context.api?.[value.api];
  return context.token?.[value.token];
}

/** A field of the credential. @throws SyncError InvalidInput where it is missing or empty */
export function secretOf(context: Pick<ValueContext, 'secrets'>, field: string): string {
  const value = Object.hasOwn(context.secrets, field) ? context.secrets[field] : undefined;
  if (value) return value;
  throw new SyncError(
    'InvalidInput',
    `The credential has no field "${field}". It is a JSON object that holds it: npx syncline connect NAME --credential-env VARIABLE`,
  );
}

function optionOf(context: ValueContext, name: string): Scalar {
  const value = Object.hasOwn(context.options, name) ? context.options[name] : undefined;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  const got = value === undefined ? 'nothing' : typeof value;
  throw new SyncError(
    'InvalidInput',
    `Option "${name}" of the connection: got ${got}, accepted a text, a number, true or false. Set it: npx syncline connect NAME --option ${name}=VALUE`,
  );
}

function randomText(length: number): string {
  return Array.from({ length }, () => letters[randomInt(letters.length)]).join('');
}

/** A moment as the platform writes it: a number for `ms` and `s` (whole seconds, rounded down), text otherwise. */
export function formatTime(ms: number, format: TimeFormat): string | number {
  switch (format) {
    case 'ms':
      return ms;
    case 's':
      return Math.floor(ms / 1000);
    case 'iso':
      return new Date(ms).toISOString();
    case 'local':
      return new Date(ms + beijingMs).toISOString().slice(0, 19).replace('T', ' ');
    case 'day':
      return new Date(ms + beijingMs).toISOString().slice(0, 10);
  }
}

const isoTime = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/i;
const localTime = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?$/;
const day = /^\d{4}-\d\d-\d\d$/;

/** How .NET and MySQL write that there is no date. */
const emptyDate = /^(0001-01-01|0000-00-00)([T ]00:00:00(\.0+)?(Z|[+-]\d\d:?\d\d)?)?$/i;

/** Whether the platform wrote that there is no moment. */
export function isNoTime(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return typeof value === 'string' && (value.trim() === '' || emptyDate.test(value.trim()));
}

/**
 * Milliseconds since 1970 of what the platform wrote; null for what is no moment in that format: another type, '', the
 * 31st of February, an `iso` text without its zone (it would depend on where the worker stands), a year before 1 or after
 * 9999, which Postgres does not take as we write it (and which seconds read as milliseconds, or the other way, bring).
 */
export function parseTime(value: unknown, format: TimeFormat): number | null {
  if (isNoTime(value)) return null;
  if (format === 'ms' || format === 's') return fromNumber(value, format === 's' ? 1000 : 1);
  if (typeof value !== 'string') return null;
  const text = value.trim();
  if (format === 'iso') return isoTime.test(text) && isDay(text.slice(0, 10)) ? orNull(Date.parse(iso(text))) : null;
  const date = text.slice(0, 10);
  if (!isDay(date)) return null;
  if (format === 'day') return day.test(text) ? orNull(Date.parse(`${text}T00:00:00+08:00`)) : null;
  const parts = localTime.exec(text);
  return parts ? orNull(Date.parse(`${date}T${parts[2]}${(parts[3] ?? '').slice(0, 4)}+08:00`)) : null;
}

function fromNumber(value: unknown, unit: number): number | null {
  const number = typeof value === 'string' && /^-?\d{1,16}(\.\d+)?$/.test(value.trim()) ? Number(value) : value;
  if (typeof number !== 'number') return null;
  return orNull(new Date(Math.trunc(number * unit)).getTime());
}

/** JavaScript reads `+0800` and a space before the time only by luck of the engine. */
function iso(text: string): string {
  return text.replace(' ', 'T').replace(/([+-]\d\d)(\d\d)$/, '$1:$2');
}

/** Date.parse takes the 31st of February for the 3rd of March. */
function isDay(text: string): boolean {
  const ms = Date.parse(`${text}T00:00:00Z`);
  return day.test(text) && !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}

const earliestMs = Date.parse('0001-01-01T00:00:00Z');
const latestMs = Date.parse('9999-12-31T23:59:59.999Z');

function orNull(ms: number): number | null {
  return ms >= earliestMs && ms <= latestMs ? ms : null;
}
