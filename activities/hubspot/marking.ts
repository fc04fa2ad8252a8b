import type { Pool } from '../../db/client.ts';
import { markEverybody, openMark } from '../../db/hubspot/mark.ts';
import type { Tally } from './tally.ts';

interface Marking {
  turn: Parameters<typeof markEverybody>[1];
  mapping: Parameters<typeof markEverybody>[2];
  keyType: string;
  tally: Tally;
  ending: () => boolean;
}

/** Marks everybody, part after part. @returns false when the slice ends first; its successor goes on behind the last key */
export async function markAll(pool: Pool, { turn, mapping, keyType, tally, ending }: Marking): Promise<boolean> {
  const { mark } = await openMark(pool, turn.claim.connection);
  if (mark === null) return true;
  while (!ending()) {
    const { marked, done } = await markEverybody(pool, turn, mapping, keyType);
    tally.counts.marked += marked;
    if (done) return true;
  }
  return false;
}
