import { gunzipSync } from 'node:zlib';
import type { Paging, Stream } from '../../../connectors/shape.ts';
import { SyncError } from '../../errors.ts';
import { parseJson } from '../json.ts';
import { readCsv } from './csv.ts';
import { rowsOf } from './strategy.ts';

type Format = Extract<Paging, { kind: 'export' }>['format'];

/** A file is held in memory as a whole, packed and unpacked. */
const unpackedCap = 256 * 1024 * 1024;

/**
 * Records of a fetched file, in order; gzip is unpacked. A line that is no JSON comes as its text and a CSV row of another
 * length than the header as a list: neither has a key, so each is set aside alone and the file goes on.
 * @throws BadAnswer for a zip archive, for what is not UTF-8, and for JSON that is broken or cut
 */
export function recordsOf(name: string, stream: Stream, format: Format, file: Buffer): Iterable<unknown> {
  const text = textOf(name, unpacked(name, file));
  if (format === 'csv') return readCsv(name, text);
  if (format === 'jsonl') return readLines(text);
  try {
    return rowsOf(name, stream, parseJson(text));
  } catch (cause) {
    if (cause instanceof SyncError) throw cause;
    throw new SyncError('BadAnswer', `${name}: the file is broken or cut JSON (${file.length} bytes)`, { cause });
  }
}

function unpacked(name: string, file: Buffer): Buffer {
  if (file.subarray(0, 4).toString('latin1') === 'PK\u0003\u0004')
    throw new SyncError('BadAnswer', `${name}: the file is a zip archive, accepted plain or gzip`);
  if (file[0] !== 0x1f || file[1] !== 0x8b) return file;
  try {
    return gunzipSync(file, { maxOutputLength: unpackedCap });
  } catch (cause) {
    throw new SyncError('BadAnswer', `${name}: the file is cut gzip, or more than ${unpackedCap} bytes unpacked`, {
      cause,
    });
  }
}

function textOf(name: string, file: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(file);
  } catch (cause) {
    throw new SyncError('BadAnswer', `${name}: the file is not UTF-8`, { cause });
  }
}

function* readLines(text: string): Generator<unknown> {
  for (let from = 0; from < text.length; ) {
    const end = text.indexOf('\n', from);
    const line = text.slice(from, end < 0 ? undefined : end).trim();
    from = end < 0 ? text.length : end + 1;
    if (line !== '') yield recordOf(line);
  }
}

function recordOf(line: string): unknown {
  try {
    return parseJson(line);
  } catch {
    // Set aside as it is: what the parser says would quote it.
    return line;
  }
}
