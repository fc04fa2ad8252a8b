/**
 * How many readers side by side use up a limit: requests on their way at once are rate times latency (Little's law), and one
 * more is ready when a permit comes. Further ones would only queue, and each leaves a last page behind that is not full:
 * 20,000 rows at 25 requests a second and 100 ms took 208 requests with eight readers, where 200 are full.
 * @param perSecond requests that the limit allows; null: none is known
 * @param tookMs of late from the permit to the page in hand; null before the first page
 * @param most readers that the connection's options allow
 */
export function lanesWorth(perSecond: number | null, tookMs: number | null, most: number): number {
  if (perSecond === null || tookMs === null) return most;
  return Math.min(most, Math.ceil((perSecond * tookMs) / 1_000) + 1);
}
