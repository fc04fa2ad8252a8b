import { type Proof, proven } from './strategy.ts';
import type { Tally } from './tally.ts';

/*
 * What counts can prove. Comparing the rows that came with the total at the end is not enough: a row that came and was then
 * deleted stands for one that was lost. Two arguments hold:
 * - direction: the reader walks against the shifts, so nothing can pass it; counts only check that the list behaves.
 * - count: when nothing can have entered since the first answer, the rows that came are some of those that were there then;
 *   as many of them as the total then means all of them.
 */

const doubted = (doubt: string, again = true, owed: number | null = null): Proof => ({ doubt, again, owed });

/** Fewer rows than the total: some are missing, or the total counts what this credential may not see. */
export function agrees({ total, distinct }: Tally): Proof {
  if (total === null || distinct >= total.last) return proven;
  return doubted(`${distinct} of ${total.last} rows came`);
}

/** A closed window read against the shifts: rows can only leave it, each that leaves brings back at most one that came. */
export function leavesOnly(counts: Tally): Proof {
  const { total, repeated } = counts;
  if (total === null) return proven;
  if (total.rose) return doubted(`the total of a window of the past rose to ${total.last} while it was read`);
  if (repeated > total.first - total.last)
    return doubted(
      `${repeated} rows came again while ${total.first - total.last} left the list: its order is not what the connector says`,
    );
  return agrees(counts);
}

export interface Entering {
  /** The list is a window of the past: nothing enters. */
  closed: boolean;
  /** Rows show when they changed, so those that entered are known. */
  dated: boolean;
}

/** A list whose rows may move anywhere: proven when exactly those that were there at the first answer came. */
export function sameAsAtStart(counts: Tally, { closed, dated }: Entering): Proof {
  const { total, distinct, fresh, repeated, calls } = counts;
  if (total === null)
    return doubted('the platform tells no total, and rows may change places while they are read', false);
  const { first, least, most } = total;
  if (distinct < first) return doubted(`${distinct} of the ${first} rows came that were there when the read began`);
  if (closed && total.rose) return doubted(`the total of a window of the past rose to ${total.last} while it was read`);
  if (!closed && dated && fresh > 0)
    return doubted(`${fresh} rows changed while the list was read and may have moved others`);
  // Without times only stillness speaks: no total that changed, no row that came twice. One that left and one that entered
  // between two answers look still: who is missing is taken for gone at a second reading alone (connectors/deletes.ts).
  if (!closed && !dated && (least !== most || repeated > 0))
    return doubted('rows came, left or moved while the list was read');
  if (calls > 1)
    return doubted(`the list was read in ${calls} calls, and a row may have been counted by two of them`, true, first);
  return proven;
}
