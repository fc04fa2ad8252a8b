import { ApplicationFailure, allHandlersFinished, condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import { readInput } from './org.input.ts';
import { replayWindowInput } from './platform.input.ts';
import { type StreamResult, StreamRun } from './platform.stream.ts';
import type { Carried } from './platform.view.ts';

/** Reads a range of a stream again, or its records that stand aside. Moves no watermark. Input: {@link replayWindowInput}. */
export async function replayWindow(
  input: unknown,
  handed?: Carried,
): Promise<StreamResult | { stream: string; tried: number; landed: number }> {
  const example = '{"connection":"shop","stream":"orders","from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:00Z"}';
  const request = readInput(replayWindowInput, input, example);
  const { connection, stream, from, to } = request;
  const carried = workflowInfo().continuedFromExecutionRunId ? handed : undefined;
  const run = new StreamRun(connection, stream, carried);
  if (from === undefined || to === undefined) {
    const begun = await run.begin({ connection, stream, mode: null, replay: 'rejects' });
    if ('skipped' in begun) throw ApplicationFailure.nonRetryable('Another run reads this stream', 'AlreadyRunning');
    const replayed = await run.replayRejects(begun.pass);
    await run.readPass(begun.pass, false);
    return { stream, ...replayed };
  }
  const begun = await run.begin({ connection, stream, mode: null, replay: { from, to } });
  if ('skipped' in begun) throw ApplicationFailure.nonRetryable('Another run reads this stream', 'AlreadyRunning');
  const counts = await run.readPass(begun.pass, false);
  if (counts) return run.result(counts);
  await condition(allHandlersFinished);
  return continueAsNew<typeof replayWindow>(input, run.view.carry());
}
