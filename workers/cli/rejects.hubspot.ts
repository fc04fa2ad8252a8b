import { shapeOf } from '../../activities/hubspot/desk.ts';
import type { HandedBack } from '../../db/report.ts';

/** What may be said of the refused value without showing it; null for a reject of another pipeline or of no property. */
export function shapeIn({ pipeline, field, record }: HandedBack): string | null {
  if (pipeline !== 'hubspot' || field === null || record == null) return null;
  return shapeOf((JSON.parse(record) as Record<string, string>)[field]);
}
