import { readOptions, shapeOf } from '../../activities/hubspot/desk.ts';
import { breakerHolds, readSync } from '../../db/hubspot/syncs.ts';
import type { HandedBack } from '../../db/report.ts';
import type { Session } from './session.ts';

/** What may be said of the refused value without showing it; null for a reject of another pipeline or of no property. */
export function shapeIn({ pipeline, field, record }: HandedBack): string | null {
  if (pipeline !== 'hubspot' || field === null || record == null) return null;
  return shapeOf((JSON.parse(record) as Record<string, string>)[field]);
}

/** What brings the users of a connection back that were set aside. */
export async function comesBack(session: Session, name: string): Promise<string> {
  const replay = `npx syncline replay ${name} --rejects --wait`;
  const state = await readSync(await session.pool(), name);
  const { options } = readOptions({ ...(await session.connection(name)), credential: null });
  return state && breakerHolds(state.tripped, state.judged, options.rejectPercent)
    ? `More users of ${name} were refused than rejectPercent allows, and the breaker holds: runs end before they send anything, corrected values or not. Behind corrected values: ${replay}`
    : `Users of ${name} come back by themselves when their values, the mapping or the properties change, or by: ${replay}`;
}
