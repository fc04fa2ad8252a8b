import type { LandRow } from './land.ts';

/** Rows on their way to `landBatch` (db/land.ts): written as JSON text when their page came, into a buffer that is used again. */
export interface Landing {
  /** Source ids in the order they came, repeated ones too. */
  ids: string[];
  /** In the binary format of jsonb, which is its text behind the number of a version; not closed yet. Null while empty. */
  buffer: Buffer | null;
  length: number;
}

export const emptyLanding = (): Landing => ({ ids: [], buffer: null, length: 0 });

const leastBytes = 256 * 1024;
/** Larger ones are rare and given back to the system. */
const mostBytes = 2 * 1024 * 1024;
/** What stays in memory between two batches: at most 16 MB. */
const mostKept = 8;
const kept: Buffer[] = [];

const opening = '\u0001[';
const closing = ']';
/** UTF-8 needs no more for a unit of JavaScript's text. */
const bytesPerUnit = 3;

/**
 * Puts rows behind those that a batch holds, outside of the heap: rows that waited as objects outlived the young ones, and
 * marking them was half of a worker's CPU time. The buffers are used again for the same reason: fresh ones of a megabyte
 * made V8 collect the whole heap every 5,000 rows.
 */
export function addRows(landing: Landing, rows: readonly LandRow[]): void {
  if (rows.length === 0) return;
  const parts: string[] = [];
  for (const { id, data, timeMs, readMs, gone, columns } of rows) {
    landing.ids.push(id);
    // The records are JSON texts already: they are joined, not parsed and written again.
    parts.push(
      `{"i":${JSON.stringify(id)},"t":${timeMs},"r":${readMs},"x":${gone},"c":${JSON.stringify(columns)},"d":${data}}`,
    );
  }
  append(landing, `${landing.length === 0 ? opening : ','}${parts.join(',')}`);
}

/** The whole as one parameter. Nothing can be added to it any more. */
export function closeLanding(landing: Landing): Buffer {
  append(landing, closing);
  return (landing.buffer as Buffer).subarray(0, landing.length);
}

/** Gives the buffer back, when the statement that took it has ended well. */
export function releaseLanding(landing: Landing): void {
  const { buffer } = landing;
  landing.buffer = null;
  if (buffer !== null && buffer.length <= mostBytes && kept.length < mostKept) kept.push(buffer);
}

function append(landing: Landing, text: string): void {
  const buffer = roomFor(landing, text.length * bytesPerUnit);
  landing.length += buffer.write(text, landing.length);
}

/** @returns the landing's buffer, with so many bytes free behind its end */
function roomFor(landing: Landing, bytes: number): Buffer {
  const { buffer, length } = landing;
  if (buffer !== null && buffer.length - length >= bytes) return buffer;
  const wanted = length + bytes;
  const at = kept.findIndex((one) => one.length >= wanted);
  const next = at >= 0 ? (kept.splice(at, 1)[0] as Buffer) : Buffer.allocUnsafeSlow(sizeFor(wanted));
  buffer?.copy(next, 0, 0, length);
  releaseLanding(landing);
  landing.buffer = next;
  return next;
}

const sizeFor = (bytes: number) => Math.max(leastBytes, 2 ** Math.ceil(Math.log2(bytes)));
