import type { Paging, Path, Stream, Value } from '../../../connectors/shape.ts';
import { SyncError } from '../../errors.ts';
import type { Answer } from '../client.ts';
import type { Cursor, End } from '../paginate.ts';
import { valueAt } from '../values.ts';
import type { Counting, Tally } from './tally.ts';

/**
 * One family of paging: what to ask in a state, and what an answer means. It does no I/O; `drive` sends, counts and hands
 * out. `S` is plain JSON and small: it is the cursor.
 */
export interface Strategy<S> {
  /** State before the first request; null where there is nothing to ask. */
  start(): S | null;
  /** Where answers hold the total, where they do. */
  total?: Path | undefined;
  counting: Counting;
  /** True: a read that stops cannot go on, so nobody is asked whether to stop. */
  oneCall?: boolean;
  ask(state: S): Ask;
  take(state: S, got: Got): Turn<S>;
  /** What is known of completeness, once `take` has told the end. */
  judge(state: S, counts: Tally): Proof;
  /** True: when the platform refuses a request in this state, the chain is broken rather than the call wrong. */
  isChain?(state: S): boolean;
}

export interface Ask {
  params: Record<string, unknown>;
  /** Address of the next page: replaces path and parameters. */
  url?: string;
  /** Parameters of the family that are values of the connection. */
  values?: Record<string, Value>;
}

/** An answer, opened. */
export interface Got {
  answer: Answer;
  rows: readonly unknown[];
  total: number | null;
  /** With this answer's total, and without its rows. */
  counts: Tally;
}

export interface Turn<S> {
  state: S;
  /** Where the rows stood. */
  position: string;
  /** What told the end; null while there is more. */
  sign: string | null;
  /** Rows to hand out, when not all. */
  rows?: readonly unknown[];
  /** True: a probe; its rows come again and are not handed out. */
  silent?: boolean;
}

export type Proof = Pick<End, 'doubt' | 'again' | 'owed' | 'version'>;

export const proven: Proof = { doubt: null, again: true, owed: null };

/** @throws ChainBroken for a cursor that was made when the connector said otherwise */
export function requireFamily(name: string, paging: Paging, cursor: Cursor): void {
  if (cursor.family === paging.kind) return;
  throw new SyncError(
    'ChainBroken',
    `${name}: the cursor is one of paging "${cursor.family}", the connector says "${paging.kind}"`,
  );
}

/**
 * The rows of a payload; one object is one row. Without a list it is empty where something says so: a total of 0, what the
 * connector names, or the verdict of the answer, which leaves no payload. @throws BadAnswer
 */
export function rowsOf(name: string, stream: Stream, data: unknown, total?: Path): readonly unknown[] {
  const { rows: path, emptyHas, key } = stream;
  const rows = valueAt(data, path);
  if (Array.isArray(rows)) return rows;
  if (!isNothing(rows)) {
    if (typeof rows === 'object') return [rows];
    throw new SyncError(
      'BadAnswer',
      `${name}: got a ${typeof rows} at "${path}" of the answer, accepted a list or an object`,
    );
  }
  // Whose record an answer is the call alone says: an answer without one is for the reader of ids to judge.
  if (data === null || totalOf(data, total, 0) === 0 || key === '$over') return [];
  if (emptyHas === '' || (emptyHas !== undefined && !isNothing(valueAt(data, emptyHas)))) return [];
  const left = emptyHas === undefined ? '; "emptyHas" says what stands there where an empty list is left out' : '';
  throw new SyncError(
    'BadAnswer',
    `${name}: got nothing at "${path}" of the answer, accepted a list, an object, or ${emptyHas === undefined ? 'a total of 0' : `"${emptyHas}"`}${left}`,
  );
}

const isNothing = (value: unknown) => value === null || value === undefined || value === '';

/** The total an answer tells; null where it tells none, or one that cannot be (some platforms tell it on the first page only, then 0). */
export function totalOf(data: unknown, path: Path | undefined, rows: number): number | null {
  if (path === undefined) return null;
  const told = valueAt(data, path);
  const total = typeof told === 'string' && /^\d{1,15}$/.test(told) ? Number(told) : told;
  return typeof total === 'number' && Number.isSafeInteger(total) && total >= rows ? total : null;
}

const flags = new Map<unknown, boolean>([
  ...[true, 1, '1', 'true', 'True', 'TRUE'].map((value) => [value, true] as const),
  ...[false, 0, '0', 'false', 'False', 'FALSE', '', null].map((value) => [value, false] as const),
]);

/** Whether an answer says that there is more; undefined where it says nothing. @throws BadAnswer for what is no flag */
export function moreOf(name: string, data: unknown, path: Path | undefined): boolean | undefined {
  const told = path === undefined ? undefined : valueAt(data, path);
  if (told === undefined) return undefined;
  const flag = flags.get(told);
  if (flag !== undefined) return flag;
  throw new SyncError(
    'BadAnswer',
    `${name}: got a ${typeof told} at "${path}" of the answer, accepted true, false, 1 or 0`,
  );
}
