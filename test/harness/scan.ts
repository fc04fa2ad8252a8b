import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { temporal } from '@temporalio/proto';

/** Where a forbidden text was found. The text itself is named: these are the tests' own inventions. */
export interface Found {
  needle: string;
  /** Path inside what was scanned, such as `events.12.activityTaskFailedEventAttributes.failure.message`. */
  at: string;
}

/**
 * Searches a value for texts: every string and key in it, payloads decoded, texts that hold JSON or base64 opened, URL
 * escapes undone; without regard to case.
 */
export function scan(value: unknown, needles: readonly string[], at = ''): Found[] {
  const found: Found[] = [];
  for (const { text, path } of texts(value, at, 0)) {
    const lower = text.toLowerCase();
    for (const needle of needles) if (lower.includes(needle.toLowerCase())) found.push({ needle, at: path });
  }
  return found;
}

/** A history as the UI's download gives it, payloads in base64. */
export function historyJson(history: temporal.api.history.v1.IHistory): { events: Record<string, unknown>[] } {
  return JSON.parse(historyToJSON(history as Parameters<typeof historyToJSON>[0]));
}

const deepest = 40;

function* texts(value: unknown, path: string, depth: number): Generator<{ text: string; path: string }> {
  if (depth > deepest) throw new Error(`${path} is nested deeper than ${deepest} levels; nothing below was looked at`);
  if (value instanceof Uint8Array) value = Buffer.from(value).toString('utf8');
  if (typeof value === 'number') value = String(value);
  if (typeof value === 'string') {
    yield { text: value, path };
    for (const inner of insides(value)) yield* texts(inner, `${path} (decoded)`, depth + 1);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, child] of value instanceof Map ? value : Object.entries(value)) {
      yield { text: String(key), path: `${path}.${key}` };
      yield* texts(child, path === '' ? String(key) : `${path}.${key}`, depth + 1);
    }
  }
}

/** What a text may hide: escapes, base64, JSON. */
function* insides(text: string): Generator<unknown> {
  if (/%[0-9a-f]{2}/i.test(text)) {
    const plain = text.replace(/(%[0-9a-f]{2})+/gi, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString());
    if (plain !== text) yield plain;
  }
  if (text.length >= 8 && /^[A-Za-z0-9+/_-]+={0,2}$/.test(text))
    yield Buffer.from(text, 'base64')
      .toString('utf8')
      .replace(/[^\x20-\x7e\u00a0-\uffff]+/g, ' ');
  if (/^\s*[[{"]/.test(text)) {
    const value = jsonIn(text);
    if (value !== undefined) yield value;
  }
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: the text was looked at as it is.
    return undefined;
  }
}
