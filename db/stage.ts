import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import type { Client } from './client.ts';

export type CopyValue = string | number | boolean | null;

/** About 64 KiB a chunk: smaller ones cost a write call each, larger ones gain nothing. */
const chunkChars = 65_536;
const special = /[\\\n\r\t]/;
const specialAll = /[\\\n\r\t]/g;
const escapes: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/**
 * COPY of rows into a stage table in text format. Twice the speed of an INSERT of the same rows (test/bench).
 * @param columns names as they stand in the table; values in the same order
 * @throws what Postgres says, e.g. for a NUL character: the caller has refused those records already
 */
export async function copyRows(
  client: Client,
  table: string,
  columns: readonly string[],
  rows: Iterable<readonly CopyValue[]>,
): Promise<void> {
  const stream = client.query(copyFrom(`COPY ${table} (${columns.join(', ')}) FROM STDIN`));
  await pipeline(Readable.from(encode(rows), { objectMode: false }), stream);
}

function* encode(rows: Iterable<readonly CopyValue[]>): Generator<Buffer> {
  let text = '';
  for (const row of rows) {
    for (let i = 0; i < row.length; i++) {
      if (i > 0) text += '\t';
      text += field(row[i] as CopyValue);
    }
    text += '\n';
    if (text.length >= chunkChars) {
      yield Buffer.from(text);
      text = '';
    }
  }
  if (text !== '') yield Buffer.from(text);
}

function field(value: CopyValue): string {
  if (value === null) return '\\N';
  if (typeof value === 'boolean') return value ? 't' : 'f';
  const text = String(value);
  return special.test(text) ? text.replace(specialAll, (c) => escapes[c] as string) : text;
}
