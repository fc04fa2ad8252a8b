import { sinceOf } from '../../connectors/history.ts';
import type { Pass } from '../../db/passes.ts';
import { readSliceState, type SliceState, shortenSlice } from '../../db/slices.ts';
import type { Deps } from '../deps.ts';
import type { OpenStream } from './open.ts';
import { servedFrom } from './windows.ts';

/** Connectors leave an hour between their floor and the platform's: a slice that is at work is not cut with each call. */
const slackMs = 30 * 60_000;

/**
 * The slice as far as the platform still serves it. The oldest windows of a history that moves along leave it while a pass
 * is left open or waits; asked for, they would be refused, by every run that goes on with the pass. A range that a person
 * typed stays as it is: he is told what the platform says to it.
 */
export async function stillServed(
  deps: Deps,
  { stream, options }: OpenStream,
  pass: Pass,
  state: SliceState,
): Promise<SliceState> {
  if (stream.window?.floorMs === undefined || pass.kind === 'replay' || typeof state.fromMs !== 'number') return state;
  const fromMs = servedFrom(stream.window, sinceOf(options), Date.now());
  if (state.fromMs >= fromMs - slackMs) return state;
  await shortenSlice(deps.pool, pass, state, fromMs);
  return (await readSliceState(deps.pool, pass.id, state.no)) ?? { ...state, done: true };
}
