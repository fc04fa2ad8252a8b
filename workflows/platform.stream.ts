import {
  ApplicationFailure,
  allHandlersFinished,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  patched,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { BeginInput, Begun } from '../activities/platform/begin.ts';
import type { SliceResult } from '../activities/platform/slice.ts';
import type { Cut } from '../connectors/history.ts';
import type { PassCounts } from '../db/close.ts';
import type { Pass } from '../db/passes.ts';
import { pause, resume } from './control.ts';
import { historyIsLong } from './history.ts';
import { slice, whole } from './options.ts';
import { readInput } from './org.input.ts';
import { type StreamSyncInput, streamSyncInput } from './platform.input.ts';
import { type Carried, nothingCarried, type StreamProgress, StreamView } from './platform.view.ts';
import { tried } from './tries.ts';
import { waitNote } from './wait.ts';

/** What a stream's run did. Counts only; the rows stand in the platform's schema and in syncline.rejects. */
export interface StreamResult extends PassCounts {
  stream: string;
  outcome: 'whole' | 'doubtful' | 'skipped';
  kind: string | null;
  durationMs: number;
  /** Older rows than this were not read; absent where the history is whole. */
  cut?: Cut;
}

export const streamProgress = defineQuery<StreamProgress>('progress');
/** From platformSync to its streams. */
export const hold = defineSignal<[boolean]>('hold');

/** One list of a platform → its table. Input: {@link streamSyncInput}. platformSync starts one a stream. */
export async function streamSync(input: unknown, handed?: Carried): Promise<StreamResult> {
  const request: StreamSyncInput = readInput(streamSyncInput, input, '{"connection":"shop","stream":"orders"}');
  const { connection, stream, mode, deletions } = request;
  const carried = workflowInfo().continuedFromExecutionRunId ? handed : undefined;
  const run = new StreamRun(connection, stream, carried);
  // What is under way goes on, whatever a run that begins would read by then.
  const kind = carried?.kind === 'replay' ? undefined : carried?.kind;
  const begun = await run.begin({ connection, stream, mode: kind ?? mode ?? null, replay: null });
  if ('skipped' in begun) return skippedResult(stream);
  const counts = await run.readPass(begun.pass, deletions === 'accept');
  if (counts) return run.result(counts);
  await condition(allHandlersFinished);
  return continueAsNew<typeof streamSync>(input, run.view.carry());
}

/** The machinery that streamSync and replayWindow share: a queue of slices, lanes that read them, pause, one wait for all. */
export class StreamRun {
  readonly view: StreamView;
  private readonly connection: string;
  private readonly stream: string;
  private readonly continued: boolean;
  private readonly slices;
  private readonly whole;
  private readonly queue: number[] = [];
  private lanes = 1;
  private active = 0;
  private paused = false;
  private waiting: Promise<void> | null = null;
  private waits = false;
  private kind: string | null = null;
  private cut: Cut | null = null;

  constructor(connection: string, stream: string, carried?: Carried) {
    this.connection = connection;
    this.stream = stream;
    this.continued = carried !== undefined;
    this.view = new StreamView(connection, stream, carried ?? nothingCarried(Date.now()));
    const priority = { fairnessKey: connection };
    this.slices = proxyActivities<Activities>({ ...slice, priority });
    this.whole = proxyActivities<Activities>({ ...whole, priority });
    setHandler(streamProgress, () => this.view.progress());
    setHandler(hold, (paused) => void this.setPaused(paused));
    setHandler(pause, () => this.setPaused(true));
    setHandler(resume, () => this.setPaused(false));
  }

  async begin(input: Omit<BeginInput, 'workflowId' | 'runId'>): Promise<Begun | { skipped: true }> {
    const { workflowId, firstExecutionRunId: runId } = workflowInfo();
    const begun = await tried(this.view, 'beginPass', () => this.whole.beginPass({ ...input, workflowId, runId }));
    if ('heldBy' in begun) {
      if (isScheduled()) return { skipped: true };
      throw ApplicationFailure.nonRetryable(
        `Another run reads ${this.stream} of this connection: ${begun.heldBy.workflowId}. Wait for it (npx syncline status ${this.connection}), or cancel it first.`,
        'AlreadyRunning',
      );
    }
    this.kind = begun.pass.kind;
    this.lanes = begun.lanes;
    this.queue.push(...begun.slices);
    // The same run goes on: nobody left anything open.
    this.view.begin({ ...begun, resumed: begun.resumed && !this.continued });
    return begun;
  }

  /** Reads what is queued until nothing is left and the pass can be closed; undefined when the history got long. */
  async readPass(pass: Pass, force: boolean): Promise<PassCounts | undefined> {
    for (;;) {
      const ends = await Promise.allSettled(Array.from({ length: this.lanes }, () => this.lane(pass)));
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
      if (historyIsLong()) return undefined;
      const closed = await tried(this.view, 'closePass', () => this.whole.closePass({ pass, force }));
      if (closed.undone === null) {
        this.cut = closed.cut ?? null;
        this.view.finish(closed.counts, this.cut);
        return closed.counts;
      }
      this.queue.push(...closed.undone);
      this.view.more(closed.undone.length);
    }
  }

  async replayRejects(pass: Pass) {
    return tried(this.view, 'replayRejects', () => this.whole.replayRejects({ pass }));
  }

  result(counts: PassCounts): StreamResult {
    const { stream, kind, cut } = this;
    const outcome = counts.doubt === null ? 'whole' : 'doubtful';
    return {
      stream,
      outcome,
      kind,
      ...counts,
      durationMs: Date.now() - this.view.carry().started,
      ...(cut && { cut }),
    };
  }

  /** Takes slices until none is left that this or another lane may still bring. A failure ends it; the others go on to their ends. */
  private async lane(pass: Pass): Promise<void> {
    for (;;) {
      await condition(() => !this.paused && this.waiting === null && (this.queue.length > 0 || this.active === 0));
      const no = historyIsLong() ? undefined : this.queue.shift();
      if (no === undefined) {
        if (this.active === 0 || historyIsLong()) return;
        // Another lane was quicker; what it reads may still be split.
        continue;
      }
      this.active += 1;
      try {
        const result = await tried(this.view, 'readSlice', () => this.slices.readSlice({ pass, no }));
        this.take(no, result);
      } finally {
        this.active -= 1;
      }
    }
  }

  private take(no: number, result: SliceResult): void {
    this.view.read(no, result);
    if (result.split) {
      const { first, count } = result.split;
      // In front: a hot window is finished before the next one is begun, so that few are open at once.
      this.queue.unshift(...Array.from({ length: count }, (_, i) => first + i));
      this.view.more(count);
    } else if (!result.done) this.queue.unshift(no);
    if (result.waitMs > 0) this.wait(result.waitMs, result.waitFor ?? null);
  }

  /** One sleep for all lanes: a limit of the connection holds for each of them. */
  private wait(ms: number, why: string | null): void {
    if (this.waiting !== null) return;
    this.view.note('source', waitNote(this.connection, ms, why));
    this.waits = true;
    this.waiting = condition(() => !this.waits, ms)
      .then(() => undefined)
      .finally(() => {
        this.waits = false;
        this.waiting = null;
        this.view.note('source', null);
      });
    // A cancelled sleep is met by the lanes.
    this.waiting.catch(() => undefined);
  }

  private setPaused(paused: boolean): string {
    this.paused = paused;
    // A quota may be raised before its time: who resumes has the source asked again. Recorded runs slept on.
    if (!paused && this.waits && patched('resume ends a wait')) this.waits = false;
    this.view.pause(paused);
    return paused ? 'paused' : 'running';
  }
}

/** Whether a schedule started this very run; its children do not tell. */
export const isScheduled = () => workflowInfo().searchAttributes.TemporalScheduledById?.[0] !== undefined;

/** Of a stream that a run left to another one. */
export function skippedResult(stream: string): StreamResult {
  const none = {
    slices: 0,
    pages: 0,
    rows: 0,
    written: 0,
    rejected: 0,
    requests: 0,
    deleted: 0,
    withheld: 0,
    unsure: 0,
  };
  return { stream, outcome: 'skipped', kind: null, ...none, doubt: 'another run reads this stream', durationMs: 0 };
}

/** Of a stream that was read twice: what both did, and what the second one says of it. */
export function together(first: StreamResult, second: StreamResult): StreamResult {
  if (second.outcome === 'skipped') return first;
  const sum = { ...second };
  for (const key of ['slices', 'pages', 'written', 'rejected', 'requests', 'deleted', 'durationMs'] as const)
    sum[key] += first[key];
  return sum;
}
