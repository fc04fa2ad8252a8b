import { createHash } from 'node:crypto';
import type { Stream } from '../../../connectors/shape.ts';
import { valueAt } from '../values.ts';

/** Source id of a row within one call; a row without one is known by what is in it. `$over` is the same for all of them. */
export function keysOf(stream: Stream): (row: unknown) => string {
  const paths = [stream.key].flat().filter((path) => path !== '$over');
  return (row) => {
    let key = '';
    for (const path of paths) {
      const value = valueAt(row, path);
      if (value === undefined || value === null || typeof value === 'object') return JSON.stringify(row) ?? '';
      key += `/${value}`;
    }
    return key;
  };
}

/** Tells a page that came before: its keys, and the time of each row, since a busy row comes again with a later one. */
export function digestsOf(stream: Stream): (rows: readonly unknown[]) => string {
  const keyOf = keysOf(stream);
  const { time } = stream;
  return (rows) => {
    if (rows.length === 0) return '';
    return short(rows.map((row) => `${keyOf(row)} ${time ? valueAt(row, time.path) : ''}`).join('\n'));
  };
}

/** Tells a row that has not changed in any way: an anchor between two pages. */
export function markOf(row: unknown): string {
  return short(JSON.stringify(row) ?? '');
}

/** 72 bits of a digest. */
export function short(text: string): string {
  return createHash('sha1').update(text).digest('base64').slice(0, 12);
}
