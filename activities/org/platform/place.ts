import { SyncError } from '../../errors.ts';
import { emptyPage, type SourcePage } from '../source.ts';
import type { Reader } from './calls.ts';
import { readScope, type Scope } from './scope.ts';

/** What the place of every list carries; plain JSON, committed with the rows. */
export interface Place {
  /** Number of the way that is gone. */
  way: number;
  /** Scope that the list began with. */
  mark: string;
  /** Why the read proves nothing about who is missing; null so far. */
  doubt: string | null;
}

const rescoped = 'what the credential may see changed while it was read';

/**
 * The place to go on from, or a fresh one.
 * @throws SyncError ChainBroken when the credential reads in another way than the list began
 */
export function startAt<P extends Place>(from: P | null, { way, mark }: Scope, fresh: Omit<P, keyof Place>): P {
  if (from === null) return { way: way.no, mark, doubt: null, ...fresh } as P;
  if (from.way !== way.no)
    throw new SyncError(
      'ChainBroken',
      'The credential reads in another way than before: the list is read from its start',
    );
  return from.mark === mark ? { ...from } : { ...from, doubt: from.doubt ?? rescoped };
}

/** The last page of a list: it proves who is missing when nothing spoke against it and the scope is still the same. */
export async function lastPage(
  reader: Reader,
  { way }: Scope,
  place: Place,
  sign: string,
  signal: AbortSignal,
): Promise<SourcePage> {
  const { mark } = await readScope(reader, signal, way);
  const doubt = place.doubt ?? (mark === place.mark ? null : rescoped);
  const ended = { sign, firstTotal: null, lastTotal: null, doubt };
  return { page: emptyPage(), cursor: { ...place, doubt }, requests: 1, ended };
}
