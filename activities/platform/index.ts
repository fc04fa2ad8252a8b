import { sweepsTwice } from '../../connectors/deletes.ts';
import { type Cut, cutOf } from '../../connectors/history.ts';
import { type Closed, closePass } from '../../db/close.ts';
import { coveragesByStream } from '../../db/coverage.ts';
import type { Pass } from '../../db/passes.ts';
import type { Deps } from '../deps.ts';
import { step } from '../step.ts';
import { type BeginInput, beginPass } from './begin.ts';
import { listStreams, type StreamsInput } from './list.ts';
import { openStream, scopeOf, tableOf } from './open.ts';
import { openPace } from './pace.ts';
import { replayRejects } from './rejected.ts';
import { readSlice, type SliceInput } from './slice.ts';

export interface CloseInput {
  pass: Pass;
  /** A person has looked at a withheld sweep and said yes. */
  force: boolean;
}

/** Parts that platformSync, streamSync and replayWindow are made of. */
export function platformActivities(deps: Deps) {
  const pace = openPace();
  return {
    listStreams: step('listStreams', (input: StreamsInput) => listStreams(deps, input)),
    beginPass: step('beginPass', (input: BeginInput, call) => beginPass(deps, input, call)),
    readSlice: step('readSlice', async (input: SliceInput, call) => {
      const result = await readSlice(deps, input, pace.often(call, input.pass.id));
      pace.told(input.pass.id);
      return result;
    }),
    closePass: step('closePass', async ({ pass, force }: CloseInput): Promise<Closed & { cut?: Cut | null }> => {
      const opened = await openStream(deps, pass.claim.connection, pass.stream);
      const { stream, connector, options } = opened;
      const closed = await closePass(deps.pool, pass, opened.table, {
        scope: scopeOf(opened),
        sweep: stream.deletes.kind === 'sweep' && (sweepsTwice(stream) ? 'twice' : true),
        guard: options.guard,
        force,
        listed: stream.deletes.kind === 'listed' ? tableOf(connector, stream.deletes.by) : null,
        snapshots: options.snapshot ? options.snapshotKeep : 0,
      });
      if (closed.undone !== null || pass.kind === 'replay') return closed;
      const known = await coveragesByStream(deps.pool, pass.claim.connection);
      return { ...closed, cut: cutOf(connector.streams, pass.stream, options, (one) => known.get(one)?.coveredFromMs) };
    }),
    replayRejects: step('replayRejects', ({ pass }: { pass: Pass }, call) => replayRejects(deps, pass, call)),
  };
}

export type PlatformActivities = ReturnType<typeof platformActivities>;
