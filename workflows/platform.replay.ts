import { ApplicationFailure } from '@temporalio/workflow';
import { readInput } from './org.input.ts';
import { replayWindowInput } from './platform.input.ts';
import { type StreamResult, StreamRun } from './platform.stream.ts';

/** Reads a range of a stream again, or its records that stand aside. Moves no watermark. Input: {@link replayWindowInput}. */
export async function replayWindow(
  input: unknown,
): Promise<StreamResult | { stream: string; tried: number; landed: number }> {
  const example = '{"connection":"shop","stream":"orders","from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:00Z"}';
  const request = readInput(replayWindowInput, input, example);
  const { connection, stream, from, to } = request;
  const run = new StreamRun(connection, stream);
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
  throw ApplicationFailure.nonRetryable(
    'The range is too long for one replay: what was read is kept; start it again with the same range to go on',
    'InvalidInput',
  );
}
