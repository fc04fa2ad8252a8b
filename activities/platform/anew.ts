import { SyncError } from '../errors.ts';

/** A list that breaks off, or disagrees with its own total, is read so many times more before the shortfall is shown. */
export const rereadsMost = 2;

/**
 * Reads one list of many (of an id, of a node): where its chain of pages breaks, from its first page again. What came of the
 * others stands.
 * @param broke told of each reading that broke off
 * @returns what `read` did, or why nobody knows whether its list is whole
 */
export async function readAnew<T>(
  read: () => Promise<T>,
  broke: () => void,
): Promise<{ read: T } | { read: null; doubt: string }> {
  for (let rereads = 0; ; rereads += 1) {
    try {
      return { read: await read() };
    } catch (error) {
      if (!(error instanceof SyncError) || error.type !== 'ChainBroken') throw error;
      broke();
      if (rereads >= rereadsMost)
        return { read: null, doubt: `a list broke off at each of ${rereads + 1} readings: ${error.message}` };
    }
  }
}
