/** A filter behind pages of 100 may leave out 100,000 rows at a stretch; what shows none for longer goes on for ever. */
export const emptyMost = 1_000;
/**
 * Rows that change come again: so often a list may come over, and a short one so many rows more. Beyond that it begins
 * again and again, or what it tells is not its total.
 */
export const timesMost = 10;
const rowsBesides = 10_000;

/** Whether more rows came than a list of this total ever shows. */
export function isPast(rows: number, total: number): boolean {
  return rows > total * timesMost + rowsBesides;
}
