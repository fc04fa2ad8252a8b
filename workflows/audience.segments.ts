import { segmentSyncInput } from './audience.input.ts';
import { readInput } from './org.input.ts';
import { type PlatformSyncResult, syncStreams } from './platform.ts';

/** Workflow id of a connection's runs started by CLI and client. Other ids work too: the claims keep runs apart. */
export const segmentSyncId = (connection: string) => `segmentSync-${connection}`;

/** Users, segments, memberships and orders of a foreign database → the tables of schema audience, a child workflow each. Input: {@link segmentSyncInput}. */
export async function segmentSync(input: unknown): Promise<PlatformSyncResult> {
  return syncStreams('segmentSync', readInput(segmentSyncInput, input, '{"connection":"members"}'), 'database');
}
