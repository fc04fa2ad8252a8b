import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity';
import { failure } from './errors.ts';

/** What a step may ask about the call it serves. */
export interface Call {
  /** Aborted by cancellation and by the worker's shutdown. Looked at between pages and chunks. */
  signal: AbortSignal;
  /** 1 at first; more after an attempt that failed or was lost. */
  attempt: number;
  /** What the attempt before reported last; of one whose worker was killed, a beat behind it at most. Empty at first. */
  before: Readonly<Record<string, number>>;
  /** True once the slice should end: its time is up, or the worker is going down. Throws when the run was cancelled. */
  shouldEnd(): boolean;
  /** Counters shown with the pending activity: sent with each beat, as they are by then. */
  report(counters: Readonly<object>): void;
}

/** A slice keeps its slot at most about this long, so that many connections share a worker. */
export const sliceMs = 20_000;
const beatMs = 1_000;

/**
 * Makes an activity of a step: beats in the background (a killed worker is noticed within the heartbeat timeout), and
 * turns whatever is thrown into a failure that carries no foreign text.
 * @param ms how long it may take before it should end
 */
export function step<I, O>(
  name: string,
  work: (input: I, call: Call) => Promise<O>,
  ms = sliceMs,
): (input: I) => Promise<O> {
  return async (input) => {
    const context = Context.current();
    const signal = context.cancellationSignal;
    const before = (context.info.heartbeatDetails as Record<string, number> | undefined) ?? {};
    // Until this attempt reports, what the one before did stays told: also to a third one.
    let counters: Readonly<object> = before;
    const beat = setInterval(() => context.heartbeat(counters), beatMs);
    const until = Date.now() + ms;
    const call: Call = {
      signal,
      attempt: context.info.attempt,
      before,
      shouldEnd() {
        if (signal.aborted && !isShutdown(signal.reason)) throw new CancelledFailure('cancelled');
        return signal.aborted || Date.now() >= until;
      },
      report(next) {
        counters = next;
      },
    };
    try {
      return await work(input, call);
    } catch (error) {
      context.heartbeat(counters);
      if (signal.aborted && !isShutdown(signal.reason)) throw new CancelledFailure('cancelled');
      const told = signal.aborted
        ? ApplicationFailure.retryable(`${name}: the worker was shut down`, 'Unavailable')
        : failure(error, name, connectionOf(input));
      if (told !== error) context.log.warn(told.message, { step: name, stack: stackOf(error) });
      throw told;
    } finally {
      clearInterval(beat);
    }
  };
}

/** Every step is told its connection: by name, with its claim, or with the claim of its plan or pass. */
function connectionOf(input: unknown): string | undefined {
  type Claimed = { claim: { connection: string } };
  type Told = { connection?: string; plan?: Claimed; pass?: Claimed } & Partial<Claimed>;
  const { connection, claim, plan, pass } = input as Told;
  return connection ?? (claim ?? (plan ?? pass)?.claim)?.connection;
}

/** A worker that goes down asks its slices to end after the page in hand; the next slice runs elsewhere. */
function isShutdown(reason: unknown): boolean {
  return reason instanceof Error && reason.message === 'WORKER_SHUTDOWN';
}

/** Places of our own code without the message, which may quote values. */
function stackOf(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  return stack.slice(stack.indexOf('\n    at ') + 1).slice(0, 2_000);
}
